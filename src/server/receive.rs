//! The body of a request, taken in within its limit.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming};
use tokio::time::timeout;

use super::budget::Budget;
use super::pressure::Pressure;
use crate::error::{Error, Kind, Result};

/// What a body may take.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    /// Its own length.
    pub bytes: usize,
    /// How long it may stall.
    pub stall: Duration,
    /// What it shares with all others.
    pub budget: Budget,
    /// How short memory is.
    pub pressure: Pressure,
}

impl BodyLimits {
    /// The same for another length, and with room of its own: management must be reached in any case.
    pub(super) fn apart(&self, bytes: usize) -> Self {
        Self {
            bytes,
            stall: self.stall,
            budget: Budget::new(bytes),
            pressure: Pressure::default(),
        }
    }
}

/// The body of a request that has not been taken in.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) body: Incoming,
    /// Whether its connection has read all of it.
    pub(super) is_whole: bool,
}

/// All of a body.
///
/// # Errors
///
/// If it is longer than its limit, or all bodies together are, or memory is short before it is there, or it does not
/// come whole.
pub(super) async fn body(unread: Unread, limits: &BodyLimits) -> Result<Bytes> {
    if limits.pressure.is_short() {
        return Err(Pressure::refusal());
    }
    // Most bodies are there with their head: then nothing else is waited for, and no timer is set.
    if unread.is_whole {
        return whole(unread.body, limits, None).await;
    }
    // Apart, or what is there at once would have the size of what is waited for.
    Box::pin(arriving(unread.body, limits)).await
}

/// The guard sees stalls of a connection; this sees those of one stream among others.
async fn arriving(body: Incoming, limits: &BodyLimits) -> Result<Bytes> {
    tokio::select! {
        biased;
        body = whole(body, limits, Some(limits.stall)) => body,
        () = limits.pressure.shortage() => Err(Pressure::refusal()),
    }
}

async fn whole(mut body: Incoming, limits: &BodyLimits, stall: Option<Duration>) -> Result<Bytes> {
    // A length that is announced is refused before it is sent.
    if body.size_hint().lower() > limits.bytes as u64 {
        return Err(too_large(limits.bytes));
    }
    let mut share = limits.budget.open();
    let (mut first, mut others) = (Bytes::new(), Vec::new());
    let mut length = 0;
    while let Some(frame) = next_frame(&mut body, stall).await? {
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len();
        if length > limits.bytes {
            return Err(too_large(limits.bytes));
        }
        share.grow(data.len())?;
        match first.is_empty() {
            true => first = data,
            false => others.push(data),
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(share.into_body(joined(first, others)))
}

/// The next piece, which may take as long as `stall`.
async fn next_frame(body: &mut Incoming, stall: Option<Duration>) -> Result<Option<Frame<Bytes>>> {
    let frame = match stall {
        Some(stall) => timeout(stall, body.frame()).await.map_err(stalled)?,
        None => body.frame().await,
    };
    frame.transpose().map_err(broken)
}

fn joined(first: Bytes, others: Vec<Bytes>) -> Bytes {
    if others.is_empty() {
        return first;
    }
    let pieces: Vec<Bytes> = [first].into_iter().chain(others).collect();
    pieces.concat().into()
}

/// Refuses bodies that are not plain JSON.
///
/// # Errors
///
/// If the type is missing or another one, or the body is compressed.
pub(super) fn expect_json(headers: &HeaderMap) -> Result<()> {
    expect_identity(headers)?;
    let kind = headers.get(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind == "application/json") {
        return Ok(());
    }
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
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

fn stalled(late: impl StdError + Send + Sync + 'static) -> Error {
    Error::new(Kind::RequestTimeout, "the body of the request stalled").with_source(late)
}

/// Whose fault it is that a body broke off: the guard's time limit, framing that is none, or the client has gone.
fn broken(error: hyper::Error) -> Error {
    match cause_of(&error) {
        Some(io::ErrorKind::TimedOut) => stalled(error),
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
            let message = "the framing of the body is not valid";
            Error::new(Kind::InvalidRequest, message).with_source(error)
        }
        _ => Error::new(Kind::ClientGone, "the body did not come whole").with_source(error),
    }
}

fn cause_of(error: &hyper::Error) -> Option<io::ErrorKind> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        next = error.source();
    }
    None
}
