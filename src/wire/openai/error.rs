//! The bodies of errors, in OpenAI's form and in Open WebUI's.

use bytes::Bytes;
use serde::Serialize;

use crate::wire::sse;

/// An error as OpenAI's API tells it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ErrorBody<'a> {
    /// What happened, for a human.
    pub message: &'a str,
    /// The class of error.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// What happened, for a program.
    pub code: Option<&'a str>,
    /// The member of the request that is at fault.
    pub param: Option<&'a str>,
}

#[derive(Serialize)]
struct Wrapped<'a> {
    error: &'a ErrorBody<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    detail: &'a str,
}

impl ErrorBody<'_> {
    /// The body `{"error":{…}}`.
    #[must_use]
    pub fn to_json(&self) -> Bytes {
        to_bytes(&Wrapped { error: self })
    }
}

/// The error as an event, for a stream that has already begun.
#[must_use]
pub fn error_event(error: &ErrorBody<'_>) -> Bytes {
    sse::encode_data(&error.to_json())
}

/// The body `{"detail": text}` of Open WebUI's own API.
#[must_use]
pub fn detail(text: &str) -> Bytes {
    to_bytes(&Detail { detail: text })
}

fn to_bytes(value: &impl Serialize) -> Bytes {
    let written = serde_json::to_vec(value).expect("texts can always be written as JSON");
    Bytes::from(written)
}
