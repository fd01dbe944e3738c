//! OpenAI's dialect: the body goes as it came, the answer comes as it is.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, response};

use crate::body::Body;
use crate::error::Result;
use crate::wire::json::{self, Document};

use super::answer::{self, Judged};
use super::client::{Call, Client};
use super::directory::Upstream;
use super::gather::Gather;
use super::incoming::Arriving;
use super::{Answer, Contract, Outgoing, Reply, StreamAnswer, failure, headers};

/// Sends a chat request and reads the head of its answer, or all of a whole one.
pub(super) async fn send(
    client: &Client,
    upstream: &Upstream,
    model: &str,
    request: &Outgoing<'_>,
) -> Result<Reply> {
    let call = Call {
        method: Method::POST,
        path: "/chat/completions",
        headers: &|| json_headers(request.headers, upstream),
        body: with_model(request.document, model),
        conversation: request.conversation,
    };
    let arrived = client.send(upstream, &call).await?;
    match answer::judge(upstream, arrived).await? {
        Judged::Refused(refusal) => Err(refusal.into_error(upstream, request.contract)),
        Judged::Answer(parts, body) => read(upstream, request, parts, body).await,
    }
}

/// The headers of a request whose body is JSON, whatever the caller's said.
pub(super) fn json_headers(caller: &HeaderMap, upstream: &Upstream) -> HeaderMap {
    let mut headers = headers::for_upstream(caller, upstream);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers
}

/// The body with the model's own id; the same bytes where that is what it says already.
fn with_model(document: &Document, model: &str) -> Bytes {
    if document.says("model", model) {
        return document.bytes().clone();
    }
    document.edit().set("model", json::quote(model)).finish()
}

async fn read(
    upstream: &Upstream,
    request: &Outgoing<'_>,
    parts: response::Parts,
    body: Arriving,
) -> Result<Reply> {
    if request.contract == Contract::OpenAi && headers::is_html(&parts.headers) {
        return Err(failure::invalid(&upstream.name, "it is a page of HTML"));
    }
    let is_stream = is_stream(&parts.headers, request.stream);
    let headers = headers::for_caller(parts.headers);
    if is_stream {
        let body = Body::stream(Gather::new(body));
        return Ok(Reply::Stream(StreamAnswer { headers, body }));
    }
    Ok(Reply::Whole(Answer {
        status: parts.status,
        headers,
        body: body.collect(answer::ANSWER_LIMIT_BYTES).await?,
    }))
}

/// What the answer says it is; an answer that says nothing is what was asked for.
fn is_stream(headers: &HeaderMap, asked_for: bool) -> bool {
    headers::is_event_stream(headers) || asked_for && !headers.contains_key(header::CONTENT_TYPE)
}
