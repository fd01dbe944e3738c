//! The way back up: functions of a request ask the gateway for more, other completions among it.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::events::{EventLogs, Events};
use super::request::Incoming;
use crate::auth::Caller;
use crate::error::{Error, Kind, Result};
use crate::host::{Alone, Callbacks};
use crate::registry::{FunctionId, Snapshot};

/// How deep completions may lie within each other.
const MAX_DEPTH: usize = 8;

/// What the functions of every request can reach.
#[derive(Clone, Debug)]
pub struct Reach {
    /// How they reach the gateway.
    pub callbacks: Arc<dyn OpenCallbacks>,
    /// Where what they tell is kept.
    pub event_logs: EventLogs,
}

impl Reach {
    /// Nothing: every question is refused.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            callbacks: Arc::new(Nowhere),
            event_logs: EventLogs::default(),
        }
    }
}

#[derive(Debug)]
struct Nowhere;

impl OpenCallbacks for Nowhere {
    fn open(&self, _: Asking) -> Arc<dyn Callbacks> {
        Arc::new(Alone)
    }
}

/// Opens the way by which the functions of one request reach the gateway. Implemented where the gateway is put together.
pub trait OpenCallbacks: fmt::Debug + Send + Sync {
    /// The way for the functions of one request.
    fn open(&self, request: Asking) -> Arc<dyn Callbacks>;
}

/// The functions within whose calls a request is made, outermost first; none for a client's own request.
#[derive(Clone, Debug, Default)]
pub struct Within(Option<Arc<[FunctionId]>>);

impl Within {
    /// One deeper: within a call of `function`.
    #[must_use]
    pub fn call_of(&self, function: &FunctionId) -> Self {
        let outer = self.0.iter().flat_map(|functions| functions.iter());
        Self(Some(outer.chain([function]).cloned().collect()))
    }

    /// Whether a call of this function is among them: a filter does not see the completions that it asks for itself.
    #[must_use]
    pub fn contains(&self, function: &FunctionId) -> bool {
        self.0
            .as_ref()
            .is_some_and(|functions| functions.contains(function))
    }

    /// Whether calls lie too deep within each other to be meant.
    #[must_use]
    pub fn is_too_deep(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|functions| functions.len() > MAX_DEPTH)
    }
}

/// The request whose functions ask: what they ask for is done in its name.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Who called; the rights are the same.
    pub caller: Caller,
    /// Where the call came from.
    pub peer: IpAddr,
    /// The request's id.
    pub request_id: Arc<str>,
    /// The functions within whose calls the request is made.
    pub within: Within,
    /// Where events go.
    pub events: Arc<Events>,
    /// The generation in which it lives. Not held: functions may ask when the request is long over.
    pub snapshot: Weak<Snapshot>,
    /// `__model__`, which the tools that its functions call are told of too.
    pub model: Bytes,
    /// The HTTP request, likewise.
    pub http: Bytes,
}

/// Refuses a request that lies too deep within others: functions that ask for each other would never end.
pub(super) fn check_depth(incoming: &Incoming<'_>) -> Result<()> {
    if !incoming.within.is_too_deep() {
        return Ok(());
    }
    let message = format!(
        "completions that functions ask for lie more than {MAX_DEPTH} deep within each other"
    );
    Err(Error::new(Kind::FunctionFailed, message))
}
