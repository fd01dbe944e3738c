//! Tools: callables that a model, a pipe or the gateway itself may use within a request.

mod result;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::auth::Caller;
use crate::config::Role;
use crate::host::{Context, Failure, Host, Metadata};
use crate::registry::{Function, Permission, Snapshot};
use crate::telemetry::{Outcome, RequestLog};

use self::result::text_of;

/// The tools of one request, in the order in which they were named. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Toolset(Arc<[Tool]>);

/// One callable of the tools that a caller may use.
#[derive(Clone, Debug)]
pub struct Tool {
    /// What models call it: its own name, unless another tool has that.
    pub name: String,
    /// Its own name.
    pub method: String,
    /// The tools that it belongs to.
    pub function: Arc<Function>,
    /// `{"name", "description", "parameters"}` for models.
    pub spec: Value,
}

/// What a tool is told of the request in which it is called.
#[derive(Clone, Debug)]
pub struct Told {
    /// User, model and HTTP request.
    pub context: Context,
    /// `__metadata__`.
    pub metadata: Metadata,
    /// The conversation, a JSON array.
    pub messages: Option<Bytes>,
}

impl Toolset {
    /// The tools that `ids` name and the caller may use; others are passed over, as in Open WebUI.
    #[must_use]
    pub fn resolve(snapshot: &Snapshot, caller: &Caller, ids: &[String]) -> Self {
        let mut seen = HashSet::new();
        let mut names = HashSet::new();
        let mut tools = Vec::new();
        for function in ids.iter().filter_map(|id| snapshot.tool(id)) {
            if may_use(caller, function) && seen.insert(function.id.clone()) {
                let specs = function.version.learnt.specs.iter();
                tools.extend(specs.filter_map(|spec| Tool::new(function, spec, &mut names)));
            }
        }
        Self(tools.into())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tool that models call by this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Tool> {
        self.0.iter().find(|tool| tool.name == name)
    }

    /// The specs, as a JSON array.
    #[must_use]
    pub fn specs(&self) -> Value {
        self.0.iter().map(|tool| tool.spec.clone()).collect()
    }

    /// The member `tools` of a request to a model server.
    #[must_use]
    pub fn for_model(&self) -> Bytes {
        let tools = self.0.iter();
        let tools = tools.map(|tool| json!({"type": "function", "function": tool.spec}));
        Value::from_iter(tools).to_string().into()
    }

    /// What becomes `__tools__` of a pipe: a list of `{"name", "method", "tool_id", "spec", "metadata"}`.
    #[must_use]
    pub fn for_pipe(&self) -> Bytes {
        let tools = self.0.iter().map(|tool| {
            let mut entry = tool.described();
            entry["name"] = json!(tool.name);
            entry["method"] = json!(tool.method);
            entry
        });
        Value::from_iter(tools).to_string().into()
    }

    /// The member `tools` of `__metadata__`: by name `{"tool_id", "spec", "metadata"}`.
    #[must_use]
    pub fn for_metadata(&self) -> Value {
        let tools = self.0.iter();
        let by_name: Map<String, Value> = tools
            .map(|tool| (tool.name.clone(), tool.described()))
            .collect();
        Value::Object(by_name)
    }
}

impl Tool {
    /// The tool of one spec; its name is put among `names`.
    fn new(function: &Arc<Function>, spec: &Value, names: &mut HashSet<String>) -> Option<Self> {
        let method = spec.get("name")?.as_str()?.to_owned();
        let mut name = method.clone();
        while !names.insert(name.clone()) {
            name = format!("{}_{name}", function.id.shown());
        }
        // Models read the docstring as its author laid it out.
        let description = spec.get("raw_description").or(spec.get("description"));
        let spec =
            json!({"name": name, "description": description, "parameters": spec.get("parameters")});
        Some(Self {
            name,
            method,
            function: Arc::clone(function),
            spec,
        })
    }

    /// The id of the tools that it belongs to, as people know it.
    #[must_use]
    pub fn tool_id(&self) -> &str {
        self.function.id.shown()
    }

    /// Runs it; the result is JSON.
    ///
    /// # Errors
    ///
    /// If it raises, crashes or takes too long.
    pub async fn call(
        &self,
        host: &Host,
        told: &Told,
        parameters: &Bytes,
    ) -> Result<Bytes, Failure> {
        let mut session = host
            .open(&self.function, &told.context, &told.metadata)
            .await?;
        session
            .call_tool(&self.method, parameters, told.messages.as_ref())
            .await
    }

    /// Runs it for a model: the text of the result, or why there is none.
    pub async fn answer(
        &self,
        host: &Host,
        told: &Told,
        parameters: &Bytes,
        log: &RequestLog,
    ) -> String {
        let result = self.call(host, told, parameters).await;
        let outcome = match &result {
            Ok(_) => Outcome::Passed,
            Err(_) => Outcome::Failed,
        };
        log.function_ran(self.function.id.as_str(), "tool", outcome);
        match result {
            Ok(result) => text_of(&result),
            Err(failure) => failure_text(&failure),
        }
    }

    fn described(&self) -> Value {
        let learnt = &self.function.version.learnt;
        json!({
            "tool_id": self.tool_id(),
            "spec": self.spec,
            "metadata": {"file_handler": learnt.file_handler, "citation": learnt.citation},
        })
    }
}

/// Why a tool that a function asked for gave no result.
#[derive(Debug)]
pub enum CallError {
    /// There is no such tool for this caller.
    Unknown(String),
    /// It failed.
    Failed(Failure),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "there is no tool `{name}` here"),
            Self::Failed(failure) => f.write_str(&failure_text(failure)),
        }
    }
}

impl std::error::Error for CallError {}

/// Runs the callable `method` of the tools `tool_id` for a function that asks for it in the name of its caller; the
/// result is JSON.
///
/// # Errors
///
/// If there is no such tool for this caller, or it fails.
pub async fn call(
    host: &Host,
    snapshot: &Snapshot,
    caller: &Caller,
    told: &Told,
    (tool_id, method): (&str, &str),
    parameters: &Bytes,
) -> Result<Bytes, CallError> {
    let tools = Toolset::resolve(snapshot, caller, &[tool_id.to_owned()]);
    let tool = tools
        .find(method)
        .ok_or_else(|| CallError::Unknown(format!("{tool_id}/{method}")))?;
    tool.call(host, told, parameters)
        .await
        .map_err(CallError::Failed)
}

/// What a failed tool tells the model, in the place of a result: an exception's own text.
fn failure_text(failure: &Failure) -> String {
    match failure {
        Failure::Raised(exception) => exception.text(),
        Failure::TimedOut(limit) => format!("the tool took longer than {} s", limit.as_secs_f64()),
        Failure::Crashed => "the tool crashed".to_owned(),
        Failure::Unavailable(why) | Failure::NotInstalled(why) => {
            format!("the tool is unavailable: {why}")
        }
        Failure::Garbled => "the tool gave no result that makes sense".to_owned(),
    }
}

fn may_use(caller: &Caller, tools: &Function) -> bool {
    let is_admin = caller.rights == Role::Admin;
    tools.is_active && (is_admin || tools.grants(&caller.owner.id, Permission::Read))
}
