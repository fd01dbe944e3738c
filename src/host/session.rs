//! One function's part in one request: opened before its first call, closed after its last.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frames::{Handler, Kind};
use tokio::time::Instant;

use super::abandoned::Watched;
use super::call::Question;
use super::callbacks::{Callbacks, Desk};
use super::failure::Failure;
use super::payload::Payload;
use super::pipe::PipeStream;
use super::runner::{Runner, Seat};
use crate::registry::Function;
use crate::telemetry::metrics;
use crate::wire::json::{Document, elements_around, quote};

/// How long a worker may take to say what it has still to say.
const SETTLE_LIMIT: Duration = Duration::from_secs(1);

/// What functions are told of a request, the same for all of them. Every member is JSON.
#[derive(Clone, Debug)]
pub struct Context {
    /// The caller's id, to look up user valves.
    pub user_id: String,
    /// `__user__`: `{"id", "email", "name", "role"}`.
    pub user: Bytes,
    /// `__model__`: the model's entry in the list.
    pub model: Bytes,
    /// The HTTP request: `{"method", "url", "headers", "client"}`.
    pub http: Bytes,
    /// Where functions ask for more.
    pub callbacks: Arc<dyn Callbacks>,
    /// The time of the request, in seconds since 1970.
    pub now: u64,
}

/// `__metadata__`, which functions may change and which travels from one to the next.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// A JSON object.
    pub json: Bytes,
    /// Rises with every change, so that a function is told only what it has not seen.
    pub version: u64,
}

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

    fn handler(self) -> Handler {
        match self {
            Self::Inlet => Handler::Inlet,
            Self::Request => Handler::Request,
            Self::Outlet => Handler::Outlet,
        }
    }
}

/// One function's part in one request, pinned to the process in which it began.
#[derive(Debug)]
pub struct Session {
    function: Arc<Function>,
    runner: Arc<Runner>,
    seat: Arc<Seat>,
    request: u32,
    seen_metadata: u64,
}

/// What a `stream` hook made of a batch of events.
#[derive(Debug)]
pub struct StreamResult {
    /// The events, in order; `None` where the hook dropped one. Shorter than the batch if it failed midway.
    pub events: Vec<Option<Bytes>>,
    /// Why it stopped.
    pub failure: Option<Failure>,
}

impl Session {
    pub(super) fn open(
        function: Arc<Function>,
        runner: Arc<Runner>,
        seat: Arc<Seat>,
        siblings: Option<&Bytes>,
        context: &Context,
        metadata: &Metadata,
    ) -> Self {
        seat.send_valves(&function.valves);
        let request = seat.worker.next_id();
        let mut payload = Payload::new();
        payload
            .number("slot", u64::from(seat.slot))
            .number("valves", function.valves.version);
        payload
            .raw("user", &context.user)
            .raw("metadata", &metadata.json)
            .raw("model", &context.model);
        payload
            .raw("request", &context.http)
            .raw("events", b"false");
        if let Some(values) = function.user_valves.get(&context.user_id) {
            payload.raw("user_valves", values);
        }
        if let Some(slots) = siblings {
            payload.raw("siblings", slots);
        }
        let desk = Desk {
            function: function.id.clone(),
            callbacks: Arc::clone(&context.callbacks),
        };
        seat.worker.open_desk(request, desk);
        // One write carries it and the first call.
        seat.worker
            .tell_with_next(Kind::Open, request, payload.finish());
        Self {
            function,
            runner,
            seat,
            request,
            seen_metadata: metadata.version,
        }
    }

    /// Calls a hook with a body; gives back the body and the metadata.
    ///
    /// # Errors
    ///
    /// If the function raises, crashes, takes too long or answers nonsense.
    pub async fn call_hook(
        &mut self,
        hook: Hook,
        body: &Bytes,
        metadata: &Metadata,
    ) -> Result<(Bytes, Bytes), Failure> {
        let limits = &self.function.settings.limits;
        let limit = if hook == Hook::Outlet {
            limits.outlet
        } else {
            limits.inlet
        };
        let mut payload = self.payload(metadata);
        payload.raw("body", body);
        let reply = self.call(hook.handler(), payload, limit).await?;
        let reply = Document::parse_around(reply, 1).map_err(|_| Failure::Garbled)?;
        match (reply.raw("body"), reply.raw("metadata")) {
            (Some(body), Some(metadata)) => Ok((body, metadata)),
            _ => Err(Failure::Garbled),
        }
    }

    /// Passes a batch of events, each a JSON object, through the `stream` hook.
    pub async fn call_stream(&mut self, events: &[Bytes], metadata: &Metadata) -> StreamResult {
        let each = self.function.settings.limits.stream;
        let limit = each.saturating_mul(u32::try_from(events.len().max(1)).unwrap_or(u32::MAX));
        let mut payload = self.payload(metadata);
        payload.array("events", events);
        let reply = self.call_raw(Handler::Stream, payload, limit).await;
        let (reply, failure) = match reply {
            Ok(reply) => (Some(reply), None),
            Err((failure, reply)) => (reply, Some(failure)),
        };
        let done = reply.and_then(|reply| Document::parse_around(reply, 2).ok()?.raw("events"));
        let done = done
            .and_then(|done| elements_around(&done, 1).ok())
            .unwrap_or_default();
        let is_short = failure.is_none() && done.len() != events.len();
        StreamResult {
            events: done
                .into_iter()
                .map(|event| (event.as_ref() != b"null").then_some(event))
                .collect(),
            failure: if is_short {
                Some(Failure::Garbled)
            } else {
                failure
            },
        }
    }

    /// Calls an action, or one `entry` of it, with the chat; gives back its result as JSON.
    ///
    /// # Errors
    ///
    /// If the action raises, crashes, takes too long or answers nonsense.
    pub async fn call_action(
        &mut self,
        entry: Option<&str>,
        body: &Bytes,
    ) -> Result<Bytes, Failure> {
        let limit = self.function.settings.limits.pipe_first;
        let mut payload = Payload::new();
        payload.number("request", u64::from(self.request));
        payload.raw("body", body);
        if let Some(entry) = entry {
            payload.raw("id", &quote(entry));
        }
        let reply = self.call(Handler::Action, payload, limit).await?;
        result_of(reply)
    }

    /// Calls a tool; gives back its result as JSON. `messages` is the conversation, a JSON array.
    ///
    /// # Errors
    ///
    /// If the tool raises, crashes, takes too long or answers nonsense.
    pub async fn call_tool(
        &mut self,
        name: &str,
        parameters: &Bytes,
        messages: Option<&Bytes>,
    ) -> Result<Bytes, Failure> {
        let limit = self.function.settings.limits.pipe_first;
        let mut payload = Payload::new();
        payload.number("request", u64::from(self.request));
        payload
            .raw("name", &quote(name))
            .raw("parameters", parameters);
        if let Some(messages) = messages {
            payload.raw("messages", messages);
        }
        let reply = self.call(Handler::Tool, payload, limit).await?;
        result_of(reply)
    }

    /// Calls a pipe; `tools` is what becomes its `__tools__`, a JSON array. The session lives in what it answers.
    ///
    /// # Errors
    ///
    /// If too many calls wait for it already.
    pub fn call_pipe(
        mut self,
        body: &Bytes,
        metadata: &Metadata,
        is_streamed: bool,
        tools: Option<&Bytes>,
    ) -> Result<PipeStream, Failure> {
        self.seat.check_queue(self.function.settings.queue)?;
        let mut payload = self.payload(metadata);
        payload
            .raw("body", body)
            .raw("stream", if is_streamed { b"true" } else { b"false" });
        if let Some(tools) = tools {
            payload.raw("tools", tools);
        }
        let answers = self.seat.worker.ask_many(Handler::Pipe, payload.finish());
        Ok(PipeStream::new(answers, self))
    }

    /// Waits until everything that the function has printed and told so far is here.
    pub async fn settle(&self) {
        let mut ping = self.seat.worker.ask(Kind::Ping, None, Bytes::new());
        // A process that does not answer has nothing more to say.
        let _ = tokio::time::timeout(SETTLE_LIMIT, ping.answer()).await;
    }

    pub(super) fn function(&self) -> &Function {
        &self.function
    }

    /// Deals with a call that has overrun its limit.
    pub(super) fn overrun(&self, call: Question) {
        self.runner.overrun(&self.seat, call);
    }

    /// Deals with a pipe that nobody listens to any more.
    pub(super) fn abandon(&self, call: Question) {
        let limit = self.function.settings.limits.pipe_idle;
        self.runner.abandon(&self.seat, call, limit, true);
    }

    /// Keeps where an exception was raised, for admins.
    pub(super) fn note(&self, failure: &Failure) {
        self.runner.note(failure);
    }

    /// The start of a call's payload: the request, and the metadata if this function has not seen it.
    fn payload(&mut self, metadata: &Metadata) -> Payload {
        let mut payload = Payload::new();
        payload.number("request", u64::from(self.request));
        if metadata.version > self.seen_metadata {
            payload.raw("metadata", &metadata.json);
            self.seen_metadata = metadata.version;
        }
        payload
    }

    async fn call(
        &self,
        handler: Handler,
        payload: Payload,
        limit: Duration,
    ) -> Result<Bytes, Failure> {
        self.call_raw(handler, payload, limit)
            .await
            .map_err(|(failure, _)| failure)
    }

    /// Calls a handler. A failure comes with the payload that described it, if any.
    async fn call_raw(
        &self,
        handler: Handler,
        payload: Payload,
        limit: Duration,
    ) -> Result<Bytes, (Failure, Option<Bytes>)> {
        let began = Instant::now();
        let answer = self.ask(handler, payload, limit).await;
        let hook = hook_of(handler);
        metrics::function_took(self.function.id.as_str(), hook, began.elapsed());
        answer
    }

    async fn ask(
        &self,
        handler: Handler,
        payload: Payload,
        limit: Duration,
    ) -> Result<Bytes, (Failure, Option<Bytes>)> {
        let queue = self.function.settings.queue;
        let question = self
            .seat
            .ask(handler, payload.finish(), queue)
            .map_err(|failure| (failure, None))?;
        let mut watched = Watched::new(&self.runner, &self.seat, question, limit);
        match tokio::time::timeout(limit, watched.answer()).await {
            Ok(answer) => answer.inspect_err(|(failure, _)| self.runner.note(failure)),
            Err(_) => {
                watched.overrun();
                Err((Failure::TimedOut(limit), None))
            }
        }
    }
}

fn result_of(reply: Bytes) -> Result<Bytes, Failure> {
    let reply = Document::parse_around(reply, 1).map_err(|_| Failure::Garbled)?;
    reply.raw("result").ok_or(Failure::Garbled)
}

/// The word for a handler.
fn hook_of(handler: Handler) -> &'static str {
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

impl Drop for Session {
    fn drop(&mut self) {
        self.seat.worker.tell_soon(Kind::Close, self.request);
        self.seat.worker.close_desk(self.request);
    }
}
