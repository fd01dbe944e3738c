//! A function: what it is called, which version of its code serves, and how it is set up.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::secrets;
use crate::config::{Closing, Hosts, NetworkAccess, StreamOutlet};

/// A function's id: `[a-z_][a-z0-9_]*`, at most 64 bytes. Joined to a path for its data folder only. Tools have names of
/// their own: their ids begin with `tool:`, which no function's can.
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

    /// The id of the tools written as `text`, lower-cased, if it is one.
    #[must_use]
    pub fn tool(text: &str) -> Option<Self> {
        let plain = Self::parse(text)?;
        Some(Self(format!("{TOOL_PREFIX}{plain}").into()))
    }

    /// The id that [`FunctionId::as_str`] gave, of a function or of tools.
    #[must_use]
    pub fn stored(text: &str) -> Option<Self> {
        match text.strip_prefix(TOOL_PREFIX) {
            Some(plain) => Self::tool(plain),
            None => Self::parse(text),
        }
    }

    /// The name of a stored row whose id is none: it stands for the row, so that it can be seen and removed. Nothing of
    /// this name is ever run.
    pub(super) fn of_unreadable_row(text: &str) -> Self {
        Self(text.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as people know it: of tools without what tells them from functions.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.0.strip_prefix(TOOL_PREFIX).unwrap_or(&self.0)
    }

    /// Whether it is the id of tools.
    #[must_use]
    pub fn is_tool(&self) -> bool {
        self.0.starts_with(TOOL_PREFIX)
    }
}

/// What the ids of tools begin with.
const TOOL_PREFIX: &str = "tool:";

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

/// One entry of an action that has several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionEntry {
    /// Its id, unique within the action.
    pub id: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon_url: Option<String>,
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
    /// Whether what its tools find may be shown as sources.
    #[serde(default = "yes")]
    pub citation: bool,
    /// Its picture for menus.
    #[serde(default)]
    pub icon: Option<String>,
    /// Another name under which functions keep their picture.
    #[serde(default)]
    pub icon_url: Option<String>,
    /// The entries of an action that has several.
    #[serde(default)]
    pub actions: Vec<ActionEntry>,
    /// The callables of a `Tools` class, each `{"name", "description", "parameters", "raw_description"}`.
    #[serde(default)]
    pub specs: Vec<Value>,
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
    /// The models that a filter written for the Pipelines server names in its own valves; `None` for every other.
    #[serde(default)]
    pub targets: Option<Vec<String>>,
    /// How it lists its models.
    #[serde(default)]
    pub pipes: Pipes,
    /// Which of the filters in Rust it is, if it is one and no code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<String>,
    /// What its author should know.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Why the code was never loaded, if it was not: the rest is then a guess by its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_loaded: Option<String>,
    /// Whether it stands for what could not be read, for the reason in `not_loaded`: every call of it fails.
    #[serde(skip)]
    pub is_unreadable: bool,
}

fn yes() -> bool {
    true
}

impl Learnt {
    /// What is known of a function of this kind of which nothing else is.
    #[must_use]
    pub fn of(kind: FunctionKind) -> Self {
        Self {
            kind,
            handlers: BTreeMap::new(),
            toggle: false,
            file_handler: false,
            citation: true,
            icon: None,
            icon_url: None,
            actions: Vec::new(),
            specs: Vec::new(),
            valves_spec: Value::Null,
            user_valves_spec: Value::Null,
            has_user_valves: false,
            priority: 0.0,
            targets: None,
            pipes: Pipes::None,
            native: None,
            warnings: Vec::new(),
            not_loaded: None,
            is_unreadable: false,
        }
    }

    /// Whether it has a handler of this name.
    #[must_use]
    pub fn handles(&self, name: &str) -> bool {
        self.handlers.contains_key(name)
    }
}

/// A place in which the host keeps what it makes of a version of code or valves; emptied when that is dropped.
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

impl FunctionVersion {
    /// The same version, whose process starts when somebody calls it.
    pub(super) fn without_process(&self) -> Self {
        Self {
            number: self.number,
            id: self.id.clone(),
            source: Arc::clone(&self.source),
            learnt: self.learnt.clone(),
            pocket: Pocket::default(),
        }
    }
}

/// User valves of a function by user id.
pub type UserValves = Arc<HashMap<String, Bytes>>;

/// The stored valves of a function, as of one change.
#[derive(Debug)]
pub struct Valves {
    /// Unique in this process and rising.
    pub version: u64,
    /// The explicitly set values, a JSON object.
    pub stored: Bytes,
    /// The order of the function under these values; lower runs first.
    pub priority: f64,
    /// The models that they name in `pipelines`, which is how filters of the Pipelines server choose theirs.
    pub targets: Option<Vec<String>>,
    /// The filter in Rust that they make, if the function is one.
    pub pocket: Pocket,
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
    /// Share of the room for memory and descriptors after which its process is replaced, 0 for never.
    pub recycle_percent: u64,
    /// Requests after which its process is replaced, 0 for never.
    pub recycle_calls: u64,
    /// Calls that may wait for it.
    pub queue: usize,
    /// Name of the process that it shares with other functions, empty for one of its own.
    pub group: String,
    /// Which connections it may open.
    pub network: NetworkAccess,
    /// The only hosts that it may reach; empty for all that the network lets it.
    pub hosts: Hosts,
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
    pub user_valves: UserValves,
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

    /// The models that a filter written for the Pipelines server is for; `None` for every other function.
    #[must_use]
    pub fn targets(&self) -> Option<&[String]> {
        let own = self.version.learnt.targets.as_deref()?;
        Some(self.valves.targets.as_deref().unwrap_or(own))
    }

    /// The stored valves as they are shown: secrets are masked.
    #[must_use]
    pub fn shown_valves(&self) -> Value {
        let stored = serde_json::from_slice(&self.valves.stored).unwrap_or_default();
        secrets::mask(&stored, &self.version.learnt.valves_spec)
    }

    /// A user's stored valves as they are shown: secrets are masked.
    #[must_use]
    pub fn shown_user_valves(&self, user_id: &str) -> Value {
        let stored = Value::Object(self.stored_user_valves(user_id));
        secrets::mask(&stored, &self.version.learnt.user_valves_spec)
    }

    /// A user's stored valves.
    pub(super) fn stored_user_valves(&self, user_id: &str) -> Map<String, Value> {
        let stored = self.user_valves.get(user_id);
        stored
            .and_then(|stored| serde_json::from_slice(stored).ok())
            .unwrap_or_default()
    }

    /// Whether it is attached to every request of `model`, toggles aside.
    #[must_use]
    pub fn is_attached_to(&self, model: &str) -> bool {
        if let Some(targets) = self.targets() {
            return is_target(targets, model);
        }
        self.is_global
            || self
                .settings
                .models
                .iter()
                .any(|attached| attached == model)
    }
}

/// The target that stands for all models.
pub(super) const EVERY_MODEL: &str = "*";

/// Whether a filter of the Pipelines server that names these models is for `model`: a lone `*` means all of them.
#[must_use]
pub fn is_target(targets: &[String], model: &str) -> bool {
    targets == [EVERY_MODEL] || targets.iter().any(|target| target == model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_all_models_or_those_named() {
        let targets = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        assert!(is_target(&targets(&["*"]), "m"));
        assert!(is_target(&targets(&["x", "m"]), "m"));
        assert!(!is_target(&targets(&["*", "x"]), "m"));
        assert!(!is_target(&targets(&[]), "m"));
    }

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
        assert!(FunctionId::parse("tool:a").is_none());
        assert!(FunctionId::parse(&"a".repeat(64)).is_some());
        assert!(FunctionId::parse(&"a".repeat(65)).is_none());
        assert!(FunctionId::parse("../etc").is_none() && FunctionId::parse("a\0").is_none());
    }

    #[test]
    fn tools_have_names_of_their_own() {
        let (tool, function) = (
            FunctionId::tool("Box").unwrap(),
            FunctionId::parse("box").unwrap(),
        );
        assert_ne!(tool, function);
        assert_eq!((tool.shown(), function.shown()), ("box", "box"));
        assert!(tool.is_tool() && !function.is_tool());
        assert_eq!(FunctionId::stored(tool.as_str()), Some(tool));
        assert_eq!(FunctionId::stored(function.as_str()), Some(function));
        assert!(FunctionId::tool("tool:box").is_none() && FunctionId::stored("tool:a-b").is_none());
    }
}
