//! A trial under way: one request through the handlers of a function, stage by stage.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::CommandError;
use super::super::report::{Outcome, Stage};
use super::USER_ID;
use super::inputs::Inputs;
use super::samples::{finished, metadata, sample};
use crate::host::{
    Alone, Callbacks, Context, Failure, FilterSession, Hook, Host, Metadata, PipeAnswer, PipeItem,
    PipeStream, Question, Refusal,
};
use crate::registry::{Function, FunctionId};
use crate::store::ids;

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
pub(super) struct Run<'a> {
    host: &'a Host,
    id: FunctionId,
    session: Option<FilterSession>,
    metadata: Metadata,
    listener: Arc<Listener>,
    stages: Vec<Stage>,
}

impl<'a> Run<'a> {
    pub(super) async fn open(
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
    pub(super) async fn stages(
        mut self,
        inputs: Inputs,
        wants: impl Fn(&str) -> bool,
    ) -> Vec<Stage> {
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
            let made = result.events.iter().zip(&sent);
            let events = made.filter_map(|(it, was)| it.text(was)).chain(&rest);
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
async fn collect(items: &mut PipeStream) -> Result<Value, Failure> {
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
