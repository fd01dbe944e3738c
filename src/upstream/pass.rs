//! Requests of OpenAI's API other than chats: method, path and body as they came, answer as it
//! comes.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use crate::body::Body;
use crate::config::UpstreamKind;
use crate::error::{Error, Kind, Result};

use super::client::{Call, Client};
use super::directory::Upstream;
use super::{failure, headers};

/// A request that is passed on.
#[derive(Debug)]
pub struct Passage<'a> {
    /// Its method.
    pub method: Method,
    /// Its path behind `/v1`, with the query: `/embeddings`.
    pub path: &'a str,
    /// The headers of the caller; those that are not for the upstream are left out here.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// The answer to a [`Passage`].
#[derive(Debug)]
pub struct Passed {
    /// Its status, whatever it is; never a redirect.
    pub status: StatusCode,
    /// Its headers, without those that belong to the connection.
    pub headers: HeaderMap,
    /// Its body. Dropping it ends the request at the upstream.
    pub body: Body,
}

/// Passes a request on.
pub(super) async fn send(
    client: &Client,
    upstream: &Upstream,
    passage: &Passage<'_>,
) -> Result<Passed> {
    let call = Call {
        method: passage.method.clone(),
        path: &[openai_root(upstream), passage.path].concat(),
        headers: &|| headers::for_upstream(passage.headers, upstream),
        body: passage.body.clone(),
        conversation: None,
    };
    let (parts, body) = client.send(upstream, &call).await?.into_parts();
    let status = parts.status;
    if status.is_redirection() || status.is_informational() {
        let why = format!("status {}", status.as_u16());
        return Err(failure::invalid(&upstream.name, &why));
    }
    if headers::is_encoded(&parts.headers) {
        let why = "it is compressed though that was not asked for";
        return Err(failure::invalid(&upstream.name, why));
    }
    Ok(Passed {
        status,
        headers: headers::for_caller(parts.headers),
        body: Body::stream(body),
    })
}

/// The demo model does nothing but chat.
pub(super) fn unsupported(upstream: &Upstream) -> Error {
    let message = format!("upstream `{}` answers chats only", upstream.name);
    Error::new(Kind::UnknownRoute, message)
}

/// Ollama serves OpenAI's API beside its own, below `/v1`.
fn openai_root(upstream: &Upstream) -> &'static str {
    match upstream.kind {
        UpstreamKind::Ollama => "/v1",
        UpstreamKind::OpenAi | UpstreamKind::Embedded => "",
    }
}
