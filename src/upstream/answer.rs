//! Judging the head of an answer: a refusal, something that is no answer, or one to read on.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{StatusCode, response};

use crate::error::{Error, Kind, PassedAnswer, Result};

use super::client::Arrived;
use super::directory::Upstream;
use super::incoming::Arriving;
use super::{Contract, failure, headers};

/// The longest whole answer.
pub(super) const ANSWER_LIMIT_BYTES: usize = 64 << 20;
/// The longest error that is passed on.
const REFUSAL_LIMIT_BYTES: usize = 1 << 20;

/// An error of the model server, read to its end.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// `None` when it is compressed, cut or too long; the status still counts.
    pub(super) body: Option<Bytes>,
}

/// What the head of an answer says.
pub(super) enum Judged {
    /// Read on.
    Answer(response::Parts, Arriving),
    /// The server refused.
    Refused(Refusal),
}

/// Splits refusals from answers; what is neither is an error.
/// Redirects are not followed: they would carry prompts and keys to a host that nobody configured.
pub(super) async fn judge(upstream: &Upstream, arrived: Arrived) -> Result<Judged> {
    let (parts, body) = arrived.into_parts();
    let status = parts.status;
    if status.is_client_error() || status.is_server_error() {
        let refusal = Box::pin(Refusal::read(parts, body));
        return Ok(Judged::Refused(refusal.await));
    }
    if !has_content(status) {
        let why = format!("status {}", status.as_u16());
        return Err(failure::invalid(&upstream.name, &why));
    }
    if headers::is_encoded(&parts.headers) {
        let why = "it is compressed though that was not asked for";
        return Err(failure::invalid(&upstream.name, why));
    }
    Ok(Judged::Answer(parts, body))
}

fn has_content(status: StatusCode) -> bool {
    status.is_success() && !matches!(status.as_u16(), 204 | 205)
}

impl Refusal {
    async fn read(parts: response::Parts, body: Arriving) -> Self {
        let body = if headers::is_encoded(&parts.headers) {
            None
        } else {
            body.collect(REFUSAL_LIMIT_BYTES).await.ok()
        };
        Self {
            status: parts.status,
            headers: headers::for_caller(parts.headers),
            body,
        }
    }

    /// The error that passes this on unchanged. A page for people is not passed on to a program on
    /// OpenAI's routes; on Open WebUI's it becomes plain text, as there.
    pub(super) fn into_error(mut self, upstream: &Upstream, contract: Contract) -> Error {
        let is_html = headers::is_html(&self.headers);
        let Some(body) = self.body.take() else {
            return self.into_bare_error(upstream);
        };
        if is_html && contract == Contract::OpenAi {
            return self.into_bare_error(upstream);
        }
        if is_html {
            let plain = HeaderValue::from_static("text/plain; charset=utf-8");
            self.headers.insert(header::CONTENT_TYPE, plain);
        }
        let passed = PassedAnswer {
            headers: self.headers,
            body,
        };
        Error::upstream_refused(self.status, passed)
    }

    /// The error that keeps nothing but the status.
    fn into_bare_error(self, upstream: &Upstream) -> Error {
        let message = format!(
            "upstream `{}` answered {}",
            upstream.name,
            self.status.as_u16()
        );
        self.into_error_saying(message)
    }

    /// The error with this status and a message of its own.
    pub(super) fn into_error_saying(self, message: String) -> Error {
        let error = Error::new(Kind::UpstreamRefused, message).with_status(self.status);
        match retry_after(&self.headers) {
            Some(after) => error.with_retry_after(after),
            None => error,
        }
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    seconds.parse().ok().map(Duration::from_secs)
}
