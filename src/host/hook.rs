//! The hooks of filters, and what they make of what they are given.

use bytes::Bytes;
use frames::Handler;

use super::failure::Failure;
use crate::wire::json::elements_around;

/// A hook that takes a body and gives one back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// On the request, first.
    Inlet,
    /// On the request, last.
    Request,
    /// On the answer.
    Outlet,
}

impl Hook {
    /// The handler's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inlet => "inlet",
            Self::Request => "request",
            Self::Outlet => "outlet",
        }
    }

    pub(super) fn handler(self) -> Handler {
        match self {
            Self::Inlet => Handler::Inlet,
            Self::Request => Handler::Request,
            Self::Outlet => Handler::Outlet,
        }
    }
}

/// What a `stream` hook made of a batch of events.
#[derive(Debug)]
pub struct StreamResult {
    /// The events, in order; `None` where the hook dropped one. Shorter than the batch if it failed midway.
    pub events: Vec<Option<Bytes>>,
    /// Why it stopped.
    pub failure: Option<Failure>,
}

impl StreamResult {
    /// Reads what a worker sent of a batch of so many events, before `failure` if there is one.
    pub(super) fn read(events: Option<Bytes>, expected: usize, failure: Option<Failure>) -> Self {
        let done = events.and_then(|events| elements_around(&events, 1).ok());
        let done = done.unwrap_or_default();
        let is_short = failure.is_none() && done.len() != expected;
        let kept = |event: Bytes| (event.as_ref() != b"null").then_some(event);
        Self {
            events: done.into_iter().map(kept).collect(),
            failure: failure.or(is_short.then_some(Failure::Garbled)),
        }
    }

    /// No events, because none could be passed on.
    #[must_use]
    pub fn failed(failure: Failure) -> Self {
        Self {
            events: Vec::new(),
            failure: Some(failure),
        }
    }

    /// All events as they were.
    pub(super) fn unchanged(events: &[Bytes]) -> Self {
        Self {
            events: events.iter().cloned().map(Some).collect(),
            failure: None,
        }
    }
}

/// The word for a handler.
pub(super) fn name_of(handler: Handler) -> &'static str {
    match handler {
        Handler::Inlet => "inlet",
        Handler::Request => "request",
        Handler::Stream => "stream",
        Handler::Outlet => "outlet",
        Handler::Pipe => "pipe",
        Handler::Action => "action",
        Handler::Tool => "tool",
        Handler::Pipes | Handler::CheckValves | Handler::ValvesSpec => "about",
    }
}
