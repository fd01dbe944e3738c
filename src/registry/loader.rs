//! What the registry needs of whoever runs code: to try it out before it serves.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::function::{FunctionId, FunctionSettings, FunctionVersion, Learnt, Pocket};
use super::snapshot::Snapshot;

/// Code that nobody has run yet.
#[derive(Debug)]
pub struct Candidate {
    /// The number that its version will have.
    pub number: u64,
    /// The function that it would become a version of.
    pub id: FunctionId,
    /// The code.
    pub source: Arc<str>,
    /// Where the host puts the process in which it tried the code.
    pub pocket: Pocket,
}

impl Candidate {
    /// The version that it becomes once something was learnt of it.
    #[must_use]
    pub fn into_version(self, learnt: Learnt) -> FunctionVersion {
        let Self {
            number,
            id,
            source,
            pocket,
        } = self;
        FunctionVersion {
            number,
            id,
            source,
            learnt,
            pocket,
        }
    }
}

/// Runs code in a process apart. The host implements it.
pub trait Loader: Send + Sync {
    /// Loads a candidate in a process of its own, before it serves, and says what was learnt. The process stays in
    /// the candidate's pocket, ready for the first request.
    fn load<'a>(
        &'a self,
        candidate: &'a Candidate,
        settings: &'a FunctionSettings,
    ) -> BoxFuture<'a, Result<Learnt, LoadError>>;

    /// Checks values against a version's `Valves`, or its `UserValves` if `user`.
    fn check_valves<'a>(
        &'a self,
        version: &'a FunctionVersion,
        settings: &'a FunctionSettings,
        values: &'a Value,
        user: bool,
    ) -> BoxFuture<'a, Result<CheckedValves, LoadError>>;

    /// Is told of every snapshot just before it serves. Must not wait.
    fn settle(&self, _snapshot: &Snapshot) {}
}

/// Values that fit.
#[derive(Clone, Debug)]
pub struct CheckedValves {
    /// What to store: the explicitly given fields.
    pub stored: Value,
    /// The order of the function under these values.
    pub priority: f64,
}

/// Why code or values were refused.
#[derive(Clone, Debug)]
pub struct LoadError {
    /// The text for the author, as Open WebUI words it.
    pub message: String,
    /// Whether the code or values were at fault, rather than the gateway being unable to try them.
    pub is_refusal: bool,
}

impl LoadError {
    /// The code or the values are at fault.
    #[must_use]
    pub fn refused(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            is_refusal: true,
        }
    }

    /// They could not be tried.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            is_refusal: false,
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LoadError {}
