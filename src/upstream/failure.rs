//! What went wrong with a model server, in our words: its configured name, never its address or
//! key.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use crate::error::{Error, Kind};

use super::connect::ConnectFailure;

/// Why a request got no answer's head.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// No connection came about.
    Unconnected(ConnectFailure),
    /// Something else than an answer came, or nothing.
    Broken(hyper::Error),
    /// It was never sent: its address is none.
    Unsendable(http::Error),
    /// Nothing came in time.
    Late,
}

impl From<ConnectFailure> for Unanswered {
    fn from(failure: ConnectFailure) -> Self {
        Self::Unconnected(failure)
    }
}

impl From<http::Error> for Unanswered {
    fn from(error: http::Error) -> Self {
        Self::Unsendable(error)
    }
}

impl From<hyper::Error> for Unanswered {
    fn from(error: hyper::Error) -> Self {
        Self::Broken(error)
    }
}

/// A request that got no answer's head, which may take as long as `limit`.
pub(super) fn of_request(upstream: &str, why: Unanswered, limit: Duration) -> Error {
    match why {
        Unanswered::Unconnected(failure @ ConnectFailure::Unreachable(_)) => {
            unreachable(upstream).with_source(failure)
        }
        Unanswered::Unconnected(failure @ ConnectFailure::Tls(_)) => {
            tls(upstream).with_source(failure)
        }
        Unanswered::Broken(error) if error.is_parse() => {
            invalid(upstream, "its answer is not HTTP").with_source(error)
        }
        Unanswered::Broken(error) => cut(upstream, "before it answered").with_source(error),
        Unanswered::Unsendable(error) => Error::internal(error),
        Unanswered::Late => late_head(upstream, limit),
    }
}

/// A body that broke.
pub(super) fn of_body(upstream: &str, error: hyper::Error) -> Error {
    cut(upstream, "in the middle of its answer").with_source(error)
}

/// No connection. Nothing was sent, so another member may be tried.
fn unreachable(upstream: &str) -> Error {
    let message = format!("upstream `{upstream}` cannot be reached");
    Error::new(Kind::UpstreamUnreachable, message).retryable()
}

/// No trust. Nothing was sent, so another member may be tried.
fn tls(upstream: &str) -> Error {
    let message = format!("upstream `{upstream}` failed the TLS handshake");
    Error::new(Kind::UpstreamTls, message).retryable()
}

/// The connection ended too early; `when` completes the sentence.
pub(super) fn cut(upstream: &str, when: &str) -> Error {
    let message = format!("upstream `{upstream}` closed the connection {when}");
    Error::new(Kind::UpstreamCut, message)
}

/// An answer that is none; `why` is a clause of its own.
pub(super) fn invalid(upstream: &str, why: &str) -> Error {
    let message = format!("upstream `{upstream}` sent no usable answer: {why}");
    Error::new(Kind::UpstreamInvalid, message)
}

/// No head of an answer within `limit`.
pub(super) fn late_head(upstream: &str, limit: Duration) -> Error {
    let seconds = limit.as_secs_f64();
    let message = format!("upstream `{upstream}` did not answer within {seconds} s");
    Error::new(Kind::UpstreamTimeout, message)
}

/// Nothing new in a body for `limit`.
pub(super) fn late_body(upstream: &str, limit: Duration) -> Error {
    let seconds = limit.as_secs_f64();
    let message = format!("upstream `{upstream}` sent nothing for {seconds} s");
    Error::new(Kind::UpstreamTimeout, message)
}

/// All members are full.
pub(super) fn busy(upstream: &str) -> Error {
    let message = format!("upstream `{upstream}` has too many requests in flight");
    Error::new(Kind::UpstreamBusy, message).with_retry_after(Duration::from_secs(1))
}

/// Whether a connection was closed under a request, before a byte came back.
pub(super) fn is_broken_off(error: &hyper::Error) -> bool {
    let by_system = error.source().and_then(|source| source.downcast_ref());
    error.is_incomplete_message() || error.is_canceled() || by_system.is_some_and(is_closed)
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
    )
}
