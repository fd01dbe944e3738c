//! The body of a request, taken in within its limit.

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::error::{Error, Kind, Result};

/// All of a body.
///
/// # Errors
///
/// If it is longer than `limit_bytes`, or does not come whole.
pub(super) async fn body(mut body: Incoming, limit_bytes: usize) -> Result<Bytes> {
    // A length that is announced is refused before it is sent.
    if body.size_hint().lower() > limit_bytes as u64 {
        return Err(too_large(limit_bytes));
    }
    let mut pieces = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        length += data.len();
        if length > limit_bytes {
            return Err(too_large(limit_bytes));
        }
        pieces.push(data);
    }
    Ok(match pieces.len() {
        1 => pieces.swap_remove(0),
        _ => pieces.concat().into(),
    })
}

/// Refuses bodies that are not plain JSON.
///
/// # Errors
///
/// If the type is missing or another one, or the body is compressed.
pub(super) fn expect_json(headers: &HeaderMap) -> Result<()> {
    expect_identity(headers)?;
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = format!("the content type is `{kind}`; send `application/json`");
    Err(Error::new(Kind::UnsupportedMediaType, message))
}

/// Refuses compressed bodies.
///
/// # Errors
///
/// If the body is compressed.
pub(super) fn expect_identity(headers: &HeaderMap) -> Result<()> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(coding) if coding != "identity" => Err(Error::new(
            Kind::UnsupportedMediaType,
            "compressed bodies are not accepted; send it as it is",
        )),
        _ => Ok(()),
    }
}

fn too_large(limit_bytes: usize) -> Error {
    Error::new(
        Kind::BodyTooLarge,
        format!("the body is longer than {limit_bytes} bytes"),
    )
}

fn broken(error: hyper::Error) -> Error {
    let kind = if error.is_timeout() {
        Kind::RequestTimeout
    } else {
        Kind::ClientGone
    };
    Error::new(kind, "the body did not come whole").with_source(error)
}
