//! What the registry needs of whoever runs code: to try it out before it serves.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
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
    /// The stored valves that it will see, a JSON object; empty if there are none. They may not fit.
    pub valves: Bytes,
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
            ..
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

    /// The JSON schema of a version's `Valves`, or its `UserValves` if `user`, with the options that the class lists
    /// for the user `asker`, a JSON object.
    fn valves_spec<'a>(
        &'a self,
        version: &'a FunctionVersion,
        settings: &'a FunctionSettings,
        asker: &'a Value,
        user: bool,
    ) -> BoxFuture<'a, Result<Value, LoadError>>;

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
    /// What was at fault.
    pub fault: LoadFault,
    /// The line of the code that raised, where the message does not say it.
    pub line: Option<u32>,
}

/// What was at fault when code or values were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadFault {
    /// The code or the values.
    Refused,
    /// What the code requires is not installed: nobody approved it, or it cannot be had.
    NotInstalled,
    /// Nothing of theirs: they could not be tried.
    Unavailable,
}

impl LoadError {
    /// The code or the values are at fault.
    #[must_use]
    pub fn refused(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            fault: LoadFault::Refused,
            line: None,
        }
    }

    /// They could not be tried.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            fault: LoadFault::Unavailable,
            line: None,
        }
    }

    /// What the code requires is not there.
    #[must_use]
    pub fn not_installed(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            fault: LoadFault::NotInstalled,
            line: None,
        }
    }
}

impl LoadError {
    /// The text for the author, with the line that raised.
    #[must_use]
    pub fn located(&self) -> String {
        match self.line {
            Some(line) => format!("{} (line {line})", self.message),
            None => self.message.clone(),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LoadError {}
