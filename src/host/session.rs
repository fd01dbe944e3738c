//! One function's part in one request: opened before its first call, closed after its last.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frames::{Batch, Handler, Kind, Opening, Told};
use tokio::time::Instant;

use super::abandoned::Watched;
use super::call::Question;
use super::callbacks::{Callbacks, Desk};
use super::failure::Failure;
use super::hook::{Hook, StreamResult, name_of};
use super::pipe::PipeStream;
use super::runner::{Runner, Seat};
use crate::registry::Function;
use crate::telemetry::metrics;
use crate::wire::json::{Alike, Document, ObjectWriter};

/// How long a worker may take to say what it has still to say.
const SETTLE_LIMIT: Duration = Duration::from_secs(1);

/// Room for a call beside what it is about, in bytes.
pub(super) const CALL_ROOM: usize = 64;

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

/// One function's part in one request, pinned to the process in which it began.
#[derive(Debug)]
pub struct Session {
    function: Arc<Function>,
    runner: Arc<Runner>,
    seat: Arc<Seat>,
    request: u32,
    seen_metadata: u64,
    /// What the events that it makes are alike in.
    alike: Alike,
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
        let user_valves = function.user_valves.get(&context.user_id);
        let opening = Opening::new(seat.slot, function.valves.version)
            .with(Told::User, &context.user)
            .with(Told::UserValves, user_valves.map_or(b"", |json| json))
            .with(Told::Metadata, &metadata.json)
            .with(Told::Model, &context.model)
            .with(Told::Request, &context.http)
            .with(Told::Siblings, siblings.map_or(b"", |json| json));
        let desk = Desk {
            function: function.id.clone(),
            callbacks: Arc::clone(&context.callbacks),
        };
        seat.worker.open_desk(request, desk);
        // One write carries it and the first call.
        seat.worker
            .tell_with_next(Kind::Open, request, opening.encode());
        Self {
            function,
            runner,
            seat,
            request,
            seen_metadata: metadata.version,
            alike: Alike::default(),
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
        let limit = self.limit(hook);
        let mut payload = self.payload(metadata);
        payload.raw("body", body);
        let reply = self.call(hook.handler(), payload.finish(), limit).await?;
        let reply = Document::parse_around(reply, 1).map_err(|_| Failure::Garbled)?;
        let body = reply.raw("body").ok_or(Failure::Garbled)?;
        // Only news is told.
        let changed = reply.raw("metadata");
        Ok((body, changed.unwrap_or_else(|| metadata.json.clone())))
    }

    /// Passes a batch of events, each a JSON object, through the `stream` hook.
    pub async fn call_stream(&mut self, events: &[Bytes], metadata: &Metadata) -> StreamResult {
        let limit = self.stream_limit(events.len());
        let payload = Batch::encode(self.request, self.news(metadata), events);
        match self.call_raw(Handler::Stream, payload, limit).await {
            Ok(reply) => StreamResult::of_reply(&reply, events, &mut self.alike),
            Err((failure, described)) => {
                let done =
                    described.and_then(|it| Document::parse_around(it, 2).ok()?.raw("events"));
                StreamResult::of_list(done, events, Some(failure))
            }
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
        let mut payload = ObjectWriter::with_room(CALL_ROOM);
        payload.number("request", u64::from(self.request));
        payload.raw("body", body);
        if let Some(entry) = entry {
            payload.text("id", entry);
        }
        let reply = self.call(Handler::Action, payload.finish(), limit).await?;
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
        let mut payload = ObjectWriter::with_room(CALL_ROOM);
        payload.number("request", u64::from(self.request));
        payload.text("name", name).raw("parameters", parameters);
        if let Some(messages) = messages {
            payload.raw("messages", messages);
        }
        let reply = self.call(Handler::Tool, payload.finish(), limit).await?;
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
        self.check_queue()?;
        let mut payload = self.payload(metadata);
        payload
            .raw("body", body)
            .raw("stream", if is_streamed { b"true" } else { b"false" });
        if let Some(tools) = tools {
            payload.raw("tools", tools);
        }
        metrics::process_called();
        let answers = self.seat.worker.ask_many(Handler::Pipe, payload.finish());
        Ok(PipeStream::new(answers, self))
    }

    /// Waits until everything that the function has printed and told so far is here.
    pub async fn settle(&self) {
        let mut ping = self.seat.worker.ask(Kind::Ping, None, Bytes::new());
        // A process that does not answer has nothing more to say.
        let _ = tokio::time::timeout(SETTLE_LIMIT, ping.answer()).await;
    }

    /// Whether both live in one process.
    #[must_use]
    pub fn shares_process(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.seat.worker, &other.seat.worker)
    }

    pub(super) fn function(&self) -> &Function {
        &self.function
    }

    /// Its id in the worker.
    pub(super) fn request(&self) -> u32 {
        self.request
    }

    /// How long a hook may take.
    pub(super) fn limit(&self, hook: Hook) -> Duration {
        let limits = &self.function.settings.limits;
        match hook {
            Hook::Outlet => limits.outlet,
            Hook::Inlet | Hook::Request => limits.inlet,
        }
    }

    /// How long `stream` may take for so many events.
    pub(super) fn stream_limit(&self, events: usize) -> Duration {
        let each = self.function.settings.limits.stream;
        each.saturating_mul(u32::try_from(events.max(1)).unwrap_or(u32::MAX))
    }

    /// Whether the function has not been told of this metadata.
    pub(super) fn has_news(&self, metadata: &Metadata) -> bool {
        metadata.version > self.seen_metadata
    }

    /// Notes that the function is told of this metadata.
    pub(super) fn see(&mut self, metadata: &Metadata) {
        self.seen_metadata = self.seen_metadata.max(metadata.version);
    }

    /// Checks that no more calls wait than the function allows.
    pub(super) fn check_queue(&self) -> Result<(), Failure> {
        self.seat.check_queue(self.function.settings.queue)
    }

    /// Sends a call, unless too many wait already.
    pub(super) fn question(&self, handler: Handler, payload: Bytes) -> Result<Question, Failure> {
        self.ask_as(Kind::Call, handler, payload)
    }

    fn ask_as(&self, kind: Kind, handler: Handler, payload: Bytes) -> Result<Question, Failure> {
        let queue = self.function.settings.queue;
        let question = self.seat.ask(kind, handler, payload, queue)?;
        metrics::process_called();
        Ok(question)
    }

    /// Deals with a call that has overrun its limit.
    pub(super) fn overrun(&self, call: Question) {
        self.runner.overrun(&self.seat, call);
    }

    /// Deals with a hook that nobody waits for any more, and that may take so long.
    pub(super) fn abandon_hook(&self, call: Question, limit: Duration) {
        self.runner.abandon(&self.seat, call, limit, false);
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
    fn payload(&mut self, metadata: &Metadata) -> ObjectWriter {
        let mut payload = ObjectWriter::with_room(CALL_ROOM);
        payload.number("request", u64::from(self.request));
        let news = self.news(metadata);
        if !news.is_empty() {
            payload.raw("metadata", news);
        }
        payload
    }

    /// The metadata if this function has not seen it, else nothing. It has now.
    fn news<'a>(&mut self, metadata: &'a Metadata) -> &'a [u8] {
        if !self.has_news(metadata) {
            return b"";
        }
        self.see(metadata);
        &metadata.json
    }

    async fn call(
        &self,
        handler: Handler,
        payload: Bytes,
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
        payload: Bytes,
        limit: Duration,
    ) -> Result<Bytes, (Failure, Option<Bytes>)> {
        let began = Instant::now();
        let answer = self.ask(handler, payload, limit).await;
        let hook = name_of(handler);
        metrics::function_took(self.function.id.as_str(), hook, began.elapsed());
        answer
    }

    async fn ask(
        &self,
        handler: Handler,
        payload: Bytes,
        limit: Duration,
    ) -> Result<Bytes, (Failure, Option<Bytes>)> {
        let kind = match handler {
            Handler::Stream => Kind::Events,
            _ => Kind::Call,
        };
        let question = self
            .ask_as(kind, handler, payload)
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

impl Drop for Session {
    fn drop(&mut self) {
        self.seat.worker.tell_soon(Kind::Close, self.request);
        self.seat.worker.close_desk(self.request);
    }
}
