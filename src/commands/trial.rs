//! `sluicegate functions test`: one function file in a worker, without a server or a store, stage by stage.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::time::Instant;

pub use super::report::Report;
use super::report::{Outcome, Stage};
use super::{CommandError, read_json, read_text};
use crate::cli::Trial;
use crate::config::Config;
use crate::gateway::python_settings;
use crate::host::{
    Alone, Callbacks, Context, Failure, FilterSession, Hook, Host, Metadata, PipeAnswer, PipeItem,
    Question, Refusal,
};
use crate::registry::{
    Candidate, Function, FunctionId, FunctionSettings, FunctionVersion, Loader, Origin, Record,
    Valves, settings_from,
};
use crate::store::ids;

/// Who asks in a trial.
const USER_ID: &str = "00000000-0000-4000-8000-000000000000";

/// What a function is run on.
struct Inputs {
    body: Value,
    valves: Value,
    user_valves: Option<Value>,
    /// Events of an answer, `None` for a sample.
    events: Option<Vec<Value>>,
}

/// Runs a function file and reports each stage. A stage that fails ends the run.
///
/// # Errors
///
/// If a file cannot be read, or is not what it should be.
pub async fn run(trial: &Trial, config: &Config) -> Result<Report, CommandError> {
    let inputs = read(trial)?;
    let source = read_text(&trial.file)?;
    let id = id_of(&trial.file)?;
    let host = Host::new(python_settings(config), vec![Handle::current()]);
    let entries = &config.functions.entries;
    let entry = entries
        .get(id.as_str())
        .unwrap_or(&config.functions.defaults);
    let settings = settings_from(entry, config.functions.load);
    let mut report = Report {
        id: id.as_str().to_owned(),
        kind: String::new(),
        warnings: Vec::new(),
        stages: Vec::new(),
    };
    let Some(function) = load(&host, id, &source, settings, &inputs, &mut report).await else {
        return Ok(report);
    };
    report.kind = function.kind().as_str().to_owned();
    report.warnings = function.version.learnt.warnings.clone();
    let wants = |name: &str| {
        let is_named = trial.handlers.is_empty() || trial.handlers.iter().any(|it| it == name);
        is_named && function.handles(name)
    };
    let asked = trial.handlers.iter().find(|name| !function.handles(name));
    if let Some(name) = asked {
        return Err(CommandError::new(format!("the function has no `{name}`")));
    }
    if inputs.events.is_none() && (wants("stream") || wants("outlet")) {
        let hint = "hint: --stream-events FILE has them see yours";
        let warning = format!("`stream` and `outlet` see a sample answer; {hint}");
        report.warnings.push(warning);
    }
    let run = Run::open(&host, &function, &inputs.body).await?;
    report.stages.extend(run.stages(inputs, wants).await);
    Ok(report)
}

fn read(trial: &Trial) -> Result<Inputs, CommandError> {
    let body = read_json(&trial.body)?;
    if !body.is_object() {
        let message = format!("`{}` is no JSON object", trial.body.display());
        return Err(CommandError::new(message));
    }
    let optional = |path: &Option<std::path::PathBuf>| path.as_deref().map(read_json).transpose();
    let events = trial.stream_events.as_deref().map(read_events);
    Ok(Inputs {
        body,
        valves: optional(&trial.valves)?.unwrap_or_else(|| json!({})),
        user_valves: optional(&trial.user_valves)?,
        events: events.transpose()?,
    })
}

/// The events in a file: a stream as it is sent, or one JSON object a line.
fn read_events(path: &Path) -> Result<Vec<Value>, CommandError> {
    let text = read_text(path)?;
    let lines = text.lines().map(|line| {
        let line = line.trim();
        line.strip_prefix("data:").unwrap_or(line).trim()
    });
    let is_event = |line: &&str| line.starts_with('{');
    let events = lines.filter(is_event).map(|line| {
        serde_json::from_str(line)
            .map_err(|error| CommandError::new(format!("`{}`: `{line}`: {error}", path.display())))
    });
    events.collect()
}

fn id_of(file: &Path) -> Result<FunctionId, CommandError> {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    stem.and_then(FunctionId::parse).ok_or_else(|| {
        let message = "is no function id ([a-z_][a-z0-9_]*.py): name the file so";
        CommandError::new(format!("`{}` {message}", file.display()))
    })
}

/// Loads the code and checks its valves; `None` if that failed.
async fn load(
    host: &Host,
    id: FunctionId,
    source: &str,
    settings: FunctionSettings,
    inputs: &Inputs,
    report: &mut Report,
) -> Option<Arc<Function>> {
    let candidate = Candidate {
        number: 1,
        id: id.clone(),
        source: source.into(),
        valves: inputs.valves.to_string().into(),
        pocket: Default::default(),
    };
    let began = Instant::now();
    let loaded = host.load(&candidate, &settings).await;
    let mut stage = Stage {
        name: "load",
        input: Value::Null,
        outcome: Outcome::Output(Value::Null),
        events: Vec::new(),
        prints: host.output().take(id.as_str()),
        time: began.elapsed(),
    };
    let version = match loaded {
        Ok(learnt) => {
            let handlers: Vec<&String> = learnt.handlers.keys().collect();
            stage.outcome = Outcome::Output(json!({"handlers": handlers}));
            candidate.into_version(learnt)
        }
        Err(error) => {
            stage.outcome = Outcome::Failed(error.located());
            report.stages.push(stage);
            return None;
        }
    };
    report.stages.push(stage);
    let valves = checked_valves(host, &version, &settings, &inputs.valves, report).await?;
    let user_valves = inputs.user_valves.as_ref();
    let user_valves = user_valves.map(|values| (USER_ID.to_owned(), values.to_string().into()));
    Some(Arc::new(Function {
        id,
        origin: Origin::Folder,
        version: Arc::new(version),
        valves: Arc::new(valves),
        user_valves: Arc::new(user_valves.into_iter().collect::<HashMap<_, _>>()),
        settings: Arc::new(settings),
        is_active: true,
        is_global: true,
        record: Arc::new(record()),
    }))
}

/// The valves, checked by the function's class; `None` if they do not fit.
async fn checked_valves(
    host: &Host,
    version: &FunctionVersion,
    settings: &FunctionSettings,
    values: &Value,
    report: &mut Report,
) -> Option<Valves> {
    let mut valves = Valves {
        version: 1,
        stored: Bytes::from_static(b"{}"),
        priority: version.learnt.priority,
        targets: None,
        pocket: Default::default(),
    };
    if values.as_object().is_some_and(serde_json::Map::is_empty) {
        return Some(valves);
    }
    let began = Instant::now();
    match host.check_valves(version, settings, values, false).await {
        Ok(checked) => {
            valves.stored = checked.stored.to_string().into();
            Some(valves)
        }
        Err(error) => {
            report.stages.push(Stage {
                name: "valves",
                input: Value::Null,
                outcome: Outcome::Failed(error.to_string()),
                events: Vec::new(),
                prints: Vec::new(),
                time: began.elapsed(),
            });
            None
        }
    }
}

fn record() -> Record {
    Record {
        user_id: USER_ID.to_owned(),
        name: String::new(),
        meta: Value::Null,
        version_id: String::new(),
        created_at: 0,
        updated_at: 0,
    }
}

/// Hears what the function tells; questions are refused, for there is no gateway.
#[derive(Debug, Default)]
struct Listener(Mutex<Vec<Value>>);

impl Listener {
    fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *self.0.lock().expect("no code that holds this lock panics"))
    }
}

impl Callbacks for Listener {
    fn answer(
        &self,
        asker: &FunctionId,
        question: Question,
    ) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        Alone.answer(asker, question)
    }

    fn take_event(&self, _: &FunctionId, event: Bytes) {
        let event = serde_json::from_slice(&event).unwrap_or_default();
        let mut events = self.0.lock().expect("no code that holds this lock panics");
        events.push(event);
    }
}

/// A request under way.
struct Run<'a> {
    host: &'a Host,
    id: FunctionId,
    session: Option<FilterSession>,
    metadata: Metadata,
    listener: Arc<Listener>,
    stages: Vec<Stage>,
}

impl<'a> Run<'a> {
    async fn open(
        host: &'a Host,
        function: &Arc<Function>,
        body: &Value,
    ) -> Result<Self, CommandError> {
        let listener = Arc::new(Listener::default());
        let model = json!({"id": body["model"], "name": body["model"], "object": "model"});
        let context = Context {
            user_id: USER_ID.to_owned(),
            user: json!({"id": USER_ID, "email": "user@example.test", "name": "User", "role": "user"})
                .to_string()
                .into(),
            model: model.to_string().into(),
            http: json!({"method": "POST", "url": "/api/chat/completions", "headers": {}, "client": "127.0.0.1"})
                .to_string()
                .into(),
            callbacks: Arc::clone(&listener) as Arc<dyn Callbacks>,
            now: ids::unix_seconds().unsigned_abs(),
        };
        let metadata = Metadata {
            json: metadata(body, &model).to_string().into(),
            version: 0,
        };
        let session = host.open_filter(function, &context, &metadata).await;
        let session = session.map_err(|failure| CommandError::new(describe(&failure)))?;
        Ok(Self {
            host,
            id: function.id.clone(),
            session: Some(session),
            metadata,
            listener,
            stages: Vec::new(),
        })
    }

    /// Runs the stages that are wanted, in the order of a request, up to the first that fails.
    async fn stages(mut self, inputs: Inputs, wants: impl Fn(&str) -> bool) -> Vec<Stage> {
        // Whatever failed is the last of the stages.
        let _ = self.run(inputs, wants).await;
        self.stages
    }

    async fn run(&mut self, inputs: Inputs, wants: impl Fn(&str) -> bool) -> Option<()> {
        let mut body = inputs.body;
        if wants("inlet") {
            body = self.hook(Hook::Inlet, "inlet", body).await?;
        }
        if wants("request") {
            body = self.hook(Hook::Request, "request", body).await?;
        }
        if wants("pipe") {
            return self.pipe(&body).await;
        }
        let mut events = inputs.events.unwrap_or_else(|| sample(&body));
        if wants("stream") {
            events = self.stream(events).await?;
        }
        if wants("outlet") {
            let seen = finished(&body, &events);
            self.hook(Hook::Outlet, "outlet", seen).await?;
        }
        Some(())
    }

    async fn hook(&mut self, hook: Hook, name: &'static str, body: Value) -> Option<Value> {
        let sent = Bytes::from(body.to_string());
        let began = Instant::now();
        let metadata = self.metadata.clone();
        let answer = self
            .session
            .as_mut()?
            .call_hook(hook, &sent, &metadata)
            .await;
        let answer = answer.map(|(body, metadata)| {
            self.metadata.json = metadata;
            self.metadata.version += 1;
            serde_json::from_slice(&body).unwrap_or_default()
        });
        self.note(name, body, answer, began).await
    }

    async fn stream(&mut self, events: Vec<Value>) -> Option<Vec<Value>> {
        let sent: Vec<Bytes> = events
            .iter()
            .map(|event| event.to_string().into())
            .collect();
        let began = Instant::now();
        let metadata = self.metadata.clone();
        let session = self.session.as_mut()?;
        let result = session.call_stream(&sent, &metadata).await;
        let rest = match &result.failure {
            Some(failure) => Err(failure.clone()),
            None => session.rest_of_stream(),
        };
        let answer = rest.map(|rest| {
            let events = result.events.iter().flatten().chain(&rest);
            let events = events.map(|event| serde_json::from_slice(event).unwrap_or_default());
            Value::Array(events.collect())
        });
        match self
            .note("stream", Value::Array(events), answer, began)
            .await?
        {
            Value::Array(events) => Some(events),
            _ => None,
        }
    }

    async fn pipe(&mut self, body: &Value) -> Option<()> {
        let is_streamed = body["stream"] == true;
        let sent = Bytes::from(body.to_string());
        let began = Instant::now();
        let FilterSession::Worker(session) = self.session.take()? else {
            return None;
        };
        let answer = match session.call_pipe(&sent, &self.metadata, is_streamed, None) {
            Ok(mut items) => collect(&mut items).await,
            Err(failure) => Err(failure),
        };
        self.note("pipe", body.clone(), answer, began)
            .await
            .map(drop)
    }

    /// Puts a stage on the list; what it gave back, if it did.
    async fn note(
        &mut self,
        name: &'static str,
        input: Value,
        answer: Result<Value, Failure>,
        began: Instant,
    ) -> Option<Value> {
        let time = began.elapsed();
        if let Some(session) = &self.session {
            session.settle().await;
        }
        let mut prints = self.host.output().take(self.id.as_str());
        let outcome = match answer {
            Ok(output) => Outcome::Output(output),
            Err(failure) => {
                // Where it was raised is told with the failure.
                let text = describe(&failure);
                prints.retain(|line| !text.lines().any(|told| told == line));
                Outcome::Failed(text)
            }
        };
        let output = match &outcome {
            Outcome::Output(output) => Some(output.clone()),
            Outcome::Failed(_) => None,
        };
        self.stages.push(Stage {
            name,
            input,
            outcome,
            events: self.listener.take(),
            prints,
            time,
        });
        output
    }
}

/// Everything that a pipe answers, in order.
async fn collect(items: &mut crate::host::PipeStream) -> Result<Value, Failure> {
    let text = |bytes: &Bytes| json!(String::from_utf8_lossy(bytes));
    let data = |bytes: &Bytes| serde_json::from_slice(bytes).unwrap_or_else(|_| text(bytes));
    let mut collected = Vec::new();
    while let Some(item) = items.next().await {
        match item? {
            PipeItem::Answer(PipeAnswer::Text(text)) => return Ok(json!(text)),
            PipeItem::Answer(PipeAnswer::Data(answer)) => return Ok(data(&answer)),
            PipeItem::Answer(PipeAnswer::None) => return Ok(Value::Null),
            PipeItem::Text(piece) | PipeItem::Raw(piece) | PipeItem::Body(piece) => {
                collected.push(text(&piece));
            }
            PipeItem::Data(event) | PipeItem::Head(event) => collected.push(data(&event)),
            PipeItem::End => break,
        }
    }
    Ok(Value::Array(collected))
}

/// A failure in words, with where it was raised.
fn describe(failure: &Failure) -> String {
    match failure {
        Failure::Raised(exception) => {
            let traceback = exception.traceback.clone();
            traceback.unwrap_or_else(|| exception.described())
        }
        Failure::Crashed => "its process ended".to_owned(),
        Failure::TimedOut(limit) => format!("it took longer than {} s", limit.as_secs_f64()),
        Failure::Unavailable(why) | Failure::NotInstalled(why) => why.clone(),
        Failure::Garbled => "its process gave no answer that makes sense".to_owned(),
    }
}

/// `__metadata__` of a request without a browser session.
fn metadata(body: &Value, model: &Value) -> Value {
    json!({
        "user_id": USER_ID,
        "chat_id": body.get("chat_id").cloned().unwrap_or_else(|| json!("")),
        "message_id": body["id"],
        "session_id": body["session_id"],
        "filter_ids": body.get("filter_ids").cloned().unwrap_or_else(|| json!([])),
        "tool_ids": body["tool_ids"],
        "files": body["files"],
        "features": body.get("features").cloned().unwrap_or_else(|| json!({})),
        "variables": body.get("variables").cloned().unwrap_or_else(|| json!({})),
        "model": model,
        "direct": false,
        "params": {},
    })
}

/// The events of a sample answer that repeats the question.
fn sample(body: &Value) -> Vec<Value> {
    let messages = body["messages"].as_array();
    let last = messages.and_then(|messages| messages.last());
    let question = last.and_then(|last| last["content"].as_str());
    let chunk = |delta: Value, reason: Value| {
        json!({
            "id": "chatcmpl-sample",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        })
    };
    let content = format!("echo: {}", question.unwrap_or_default());
    vec![
        chunk(
            json!({"role": "assistant", "content": content}),
            Value::Null,
        ),
        chunk(json!({}), json!("stop")),
    ]
}

/// The chat as `outlet` sees it: the request with the answer that the events add up to.
fn finished(body: &Value, events: &[Value]) -> Value {
    let pieces = events.iter().filter_map(|event| {
        let choice = event["choices"].get(0)?;
        choice["delta"]["content"].as_str()
    });
    let content: String = pieces.collect();
    let mut messages = body["messages"].as_array().cloned().unwrap_or_default();
    messages.push(json!({"role": "assistant", "content": content}));
    json!({
        "model": body["model"],
        "messages": messages,
        "chat_id": body.get("chat_id").cloned().unwrap_or_else(|| json!("")),
        "session_id": body["session_id"],
    })
}
