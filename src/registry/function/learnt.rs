//! What the loader learns of a function's code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

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
