//! A function: what it is called, which version of its code serves, and how it is set up.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{Closing, NetworkAccess, StreamOutlet};

/// A function's id: `[a-z_][a-z0-9_]*`, at most 64 bytes. Joined to a path for its data folder only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId(Arc<str>);

impl FunctionId {
    /// Longest id, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// The id written as `text`, lower-cased, if it is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let mut bytes = text.bytes();
        let begins = bytes
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let goes_on =
            bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        (begins && goes_on && text.len() <= Self::MAX_BYTES).then(|| Self(text.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for FunctionId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What kind of plugin a function's class is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FunctionKind {
    /// Changes or refuses requests and answers.
    Filter,
    /// Answers requests itself.
    Pipe,
    /// A button below an answer.
    Action,
    /// Callables for a model.
    Tools,
    /// Told of what happens in the gateway.
    Event,
}

impl FunctionKind {
    /// The word for it in Open WebUI's JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Pipe => "pipe",
            Self::Action => "action",
            Self::Tools => "tools",
            Self::Event => "event",
        }
    }
}

/// How a pipe lists its models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pipes {
    /// It is one model itself.
    #[default]
    None,
    /// By an attribute that is a list.
    List,
    /// By a function.
    Callable,
}

/// What the loader learnt of a version: kept with it, so that a stored function costs nothing until it is used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Learnt {
    /// What its class is.
    pub kind: FunctionKind,
    /// Its handlers by name (`inlet`, `stream`, `pipe` …), with what the loader says of each.
    #[serde(default)]
    pub handlers: BTreeMap<String, Value>,
    /// Runs only for requests that name it.
    #[serde(default)]
    pub toggle: bool,
    /// Takes uploaded files over: they leave the request after all inlets.
    #[serde(default)]
    pub file_handler: bool,
    /// Its picture for menus.
    #[serde(default)]
    pub icon: Option<String>,
    /// JSON schema of `Valves`, or null.
    #[serde(default)]
    pub valves_spec: Value,
    /// JSON schema of `UserValves`, or null.
    #[serde(default)]
    pub user_valves_spec: Value,
    /// Whether it has a class `UserValves`.
    #[serde(default)]
    pub has_user_valves: bool,
    /// `priority` of its valves where nothing is stored.
    #[serde(default)]
    pub priority: f64,
    /// How it lists its models.
    #[serde(default)]
    pub pipes: Pipes,
    /// What its author should know.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl Learnt {
    /// Whether it has a handler of this name.
    #[must_use]
    pub fn handles(&self, name: &str) -> bool {
        self.handlers.contains_key(name)
    }
}

/// A place in which the host keeps the process of a version; emptied when the version is dropped.
#[derive(Default)]
pub struct Pocket(OnceLock<Arc<dyn Any + Send + Sync>>);

impl Pocket {
    /// What is in it, after putting the result of `make` in if it was empty.
    ///
    /// # Panics
    ///
    /// If something of another type is in it: only one part of the program uses pockets.
    pub fn get_or_make<T: Any + Send + Sync>(&self, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        let content = self.0.get_or_init(|| make());
        Arc::clone(content)
            .downcast()
            .expect("one type is kept in pockets")
    }
}

impl fmt::Debug for Pocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pocket")
    }
}

/// One upload of a function's code.
#[derive(Debug)]
pub struct FunctionVersion {
    /// Unique in this process; equal text uploaded again gets a new one.
    pub number: u64,
    /// The function that it is a version of.
    pub id: FunctionId,
    /// The code.
    pub source: Arc<str>,
    /// What the loader learnt of it.
    pub learnt: Learnt,
    /// The process in which it runs.
    pub pocket: Pocket,
}

/// The stored valves of a function, as of one change.
#[derive(Debug)]
pub struct Valves {
    /// Unique in this process and rising.
    pub version: u64,
    /// The explicitly set values, a JSON object.
    pub stored: Bytes,
    /// The order of the function under these values; lower runs first.
    pub priority: f64,
}

/// What happens when a function fails by accident, and what it may use up.
#[derive(Clone, Debug)]
pub struct FunctionSettings {
    /// What a failure outside `outlet` does to the request.
    pub on_error: Closing,
    /// What an accident in `outlet` does to the answer.
    pub outlet_error: Closing,
    /// Whether a stream waits for `outlet`.
    pub stream_outlet: StreamOutlet,
    /// Time limits of its handlers.
    pub limits: Limits,
    /// Address space of its process in MiB, 0 for no limit.
    pub memory_mib: u64,
    /// Threads for its synchronous handlers.
    pub threads: usize,
    /// Calls that may wait for it.
    pub queue: usize,
    /// Name of the process that it shares with other functions, empty for one of its own.
    pub group: String,
    /// Which connections it may open.
    pub network: NetworkAccess,
    /// Whether it may start programs.
    pub subprocesses: bool,
    /// Whether it may ask for completions that no filter sees.
    pub bypass_filter: bool,
    /// Models that it is attached to besides being global.
    pub models: Vec<String>,
}

/// Time limits of a function's handlers.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For `inlet` and `request`.
    pub inlet: Duration,
    /// For `outlet`.
    pub outlet: Duration,
    /// For `stream`, per event.
    pub stream: Duration,
    /// For a pipe to its first item, or to its whole answer.
    pub pipe_first: Duration,
    /// For a pipe between two items.
    pub pipe_idle: Duration,
    /// For loading.
    pub load: Duration,
}

/// Where a function comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file in the functions folder: its code is read-only over the API.
    Folder,
    /// The store, through the API.
    Store,
}

/// What management shows of a function besides its code and valves.
#[derive(Clone, Debug)]
pub struct Record {
    /// The user who made it.
    pub user_id: String,
    /// Its name for people.
    pub name: String,
    /// `description`, `manifest` and what else its author said.
    pub meta: Value,
    /// The upload that serves, for people.
    pub version_id: String,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// When it was last changed, in Unix seconds.
    pub updated_at: i64,
}

/// A function as one snapshot has it.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its id.
    pub id: FunctionId,
    /// Where it comes from.
    pub origin: Origin,
    /// The code that serves.
    pub version: Arc<FunctionVersion>,
    /// The valves that apply.
    pub valves: Arc<Valves>,
    /// Stored `UserValves` by user id, each a JSON object.
    pub user_valves: Arc<HashMap<String, Bytes>>,
    /// How it is set up.
    pub settings: Arc<FunctionSettings>,
    /// Whether it may run at all.
    pub is_active: bool,
    /// Whether, being a filter, it runs on every model.
    pub is_global: bool,
    /// What management shows of it.
    pub record: Arc<Record>,
}

impl Function {
    /// What its class is.
    #[must_use]
    pub fn kind(&self) -> FunctionKind {
        self.version.learnt.kind
    }

    /// Whether it has a handler of this name.
    #[must_use]
    pub fn handles(&self, name: &str) -> bool {
        self.version.learnt.handles(name)
    }

    /// Whether it is attached to every request of `model`, toggles aside.
    #[must_use]
    pub fn is_attached_to(&self, model: &str) -> bool {
        self.is_global
            || self
                .settings
                .models
                .iter()
                .any(|attached| attached == model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_identifiers_and_lower_case() {
        for (text, id) in [
            ("UpCase", Some("upcase")),
            ("_x1", Some("_x1")),
            ("a-b", None),
            ("1a", None),
            ("", None),
        ] {
            assert_eq!(
                FunctionId::parse(text).as_ref().map(FunctionId::as_str),
                id,
                "{text:?}"
            );
        }
        assert!(FunctionId::parse(&"a".repeat(64)).is_some());
        assert!(FunctionId::parse(&"a".repeat(65)).is_none());
        assert!(FunctionId::parse("../etc").is_none() && FunctionId::parse("a\0").is_none());
    }
}
