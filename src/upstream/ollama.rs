//! Ollama's dialect: the request is translated into it, the answer out of it.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, StatusCode};

use crate::body::Body;
use crate::error::{Error, Kind, Result};
use crate::wire::ollama::{self, ReplyError, StreamTranslator};

use super::answer::{self, Judged, Refusal};
use super::client::{Call, Client};
use super::directory::Upstream;
use super::incoming::Arriving;
use super::openai::json_headers;
use super::{Answer, Contract, Outgoing, Reply, StreamAnswer, failure, headers};

/// Sends a chat request and reads the head of its answer, or all of a whole one.
pub(super) async fn send(
    client: &Client,
    upstream: &Upstream,
    model: &str,
    request: &Outgoing<'_>,
) -> Result<Reply> {
    let body = ollama::request(request.document, model)
        .map_err(|error| Error::invalid_request(error.param(), error.to_string()))?;
    let call = Call {
        method: Method::POST,
        path: "/api/chat",
        headers: &|| json_headers(request.headers, upstream),
        body,
        conversation: request.conversation,
    };
    let arrived = client.send(upstream, &call).await?;
    let (parts, body) = match answer::judge(upstream, arrived).await? {
        Judged::Refused(refusal) => return Err(refused(upstream, request.contract, refusal)),
        Judged::Answer(parts, body) => (parts, body),
    };
    let headers = headers::for_caller(parts.headers);
    if request.stream {
        Ok(stream_reply(upstream, model, request, headers, body))
    } else {
        whole_reply(upstream, model, request, headers, body).await
    }
}

/// Ollama's own words with its status, `{"error": text}` in its body.
fn refused(upstream: &Upstream, contract: Contract, refusal: Refusal) -> Error {
    match refusal.body.as_deref().and_then(ollama::error_text) {
        Some(text) => refusal.into_error_saying(text),
        None => refusal.into_error(upstream, contract),
    }
}

async fn whole_reply(
    upstream: &Upstream,
    model: &str,
    request: &Outgoing<'_>,
    headers: HeaderMap,
    body: Arriving,
) -> Result<Reply> {
    let body = body.collect(answer::ANSWER_LIMIT_BYTES).await?;
    let id = whole_id(model, request);
    let body = ollama::completion(&body, &id, request.created, model)
        .map_err(|error| in_our_words(&upstream.name, error))?;
    Ok(Reply::Whole(Answer {
        status: StatusCode::OK,
        headers: of_type(headers, "application/json"),
        body,
    }))
}

fn stream_reply(
    upstream: &Upstream,
    model: &str,
    request: &Outgoing<'_>,
    headers: HeaderMap,
    body: Arriving,
) -> Reply {
    let translation = Translation {
        upstream: upstream.name.clone(),
        lines: body,
        translator: StreamTranslator::new(&request.answer_id(), request.created, model),
        ended: false,
    };
    Reply::Stream(StreamAnswer {
        headers: of_type(headers, "text/event-stream"),
        body: Body::stream(translation.into_frames()),
    })
}

/// Open WebUI names whole answers of Ollama models after the model.
fn whole_id(model: &str, request: &Outgoing<'_>) -> String {
    match request.contract {
        Contract::OpenAi => request.answer_id(),
        Contract::OpenWebUi => format!("{model}-{}", request.request_id),
    }
}

fn of_type(mut headers: HeaderMap, content_type: &'static str) -> HeaderMap {
    let content_type = HeaderValue::from_static(content_type);
    headers.insert(header::CONTENT_TYPE, content_type);
    headers
}

fn in_our_words(upstream: &str, error: ReplyError) -> Error {
    match error {
        ReplyError::Refused(text) => Error::new(Kind::UpstreamRefused, text),
        ReplyError::Cut => failure::cut(upstream, "in the middle of its answer"),
        ReplyError::Invalid => failure::invalid(upstream, "it is no reply of Ollama's"),
        ReplyError::TooLong => failure::invalid(upstream, "a line of it is too long"),
    }
}

/// A stream of Ollama's that is read as one of OpenAI's.
struct Translation {
    upstream: String,
    lines: Arriving,
    translator: StreamTranslator,
    ended: bool,
}

impl Translation {
    fn into_frames(self) -> impl Stream<Item = Result<Bytes>> + Send {
        stream::unfold(self, |mut translation| async move {
            let frame = translation.next_frame().await?;
            Some((frame, translation))
        })
    }

    async fn next_frame(&mut self) -> Option<Result<Bytes>> {
        loop {
            if let Some(frame) = self.translator.next_frame() {
                self.ended |= frame.is_err();
                return Some(frame.map_err(|error| in_our_words(&self.upstream, error)));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.read_on().await {
                return Some(Err(error));
            }
        }
    }

    /// After the answer's end the rest is still read, so that the connection can be used again;
    /// what goes wrong there is nobody's loss.
    async fn read_on(&mut self) -> Result<()> {
        match self.lines.next().await {
            Some(Ok(piece)) => self.translator.push(&piece),
            Some(Err(error)) => {
                self.ended = true;
                return self.translator.is_complete().then_some(()).ok_or(error);
            }
            None => {
                self.ended = true;
                self.translator.finish();
            }
        }
        Ok(())
    }
}
