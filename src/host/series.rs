//! Calls of several functions of one process in one frame, one after the other.
//!
//! Every function keeps its own limit of time: which of them runs, and since when, stands on the worker's board.

mod done;
mod watched;

use std::time::Duration;

use bytes::Bytes;
use frames::Handler;
use tokio::time::Instant;

use self::done::Done;
use self::watched::{Answer, Watched};
use super::call::Question;
use super::failure::Failure;
use super::hook::{Hook, StreamResult, name_of};
use super::session::{CALL_ROOM, Metadata, Session};
use crate::telemetry::metrics;
use crate::wire::json::ObjectWriter;

/// Sessions in one process whose functions are called together: what one gives back is what the next is given.
#[derive(Debug)]
pub struct Series<'a>(Vec<&'a mut Session>);

/// What became of one function of a series.
#[derive(Debug)]
pub struct Step<T> {
    /// Its place. Functions before it that have no step ran too, but what they made was lost with their process.
    pub place: usize,
    /// What it made of what it was given.
    pub result: T,
}

/// What a hook made of body and metadata: the very bytes that it was given where it left them as they were.
pub type Passed = Result<(Bytes, Bytes), Failure>;

impl<'a> Series<'a> {
    /// These sessions, which share a process. There is at least one.
    #[must_use]
    pub fn new(sessions: Vec<&'a mut Session>) -> Self {
        Self(sessions)
    }

    /// Calls a hook of each, with what the one before made of the body or, if it `observes`, each with the body itself.
    /// Gives what they made of it, up to the first that failed; some may be left that were not called.
    pub async fn call_hook(
        mut self,
        hook: Hook,
        observes: bool,
        body: &Bytes,
        metadata: &Metadata,
    ) -> Vec<Step<Passed>> {
        if let [session] = self.0.as_mut_slice() {
            let result = session.call_hook(hook, body, metadata).await;
            return vec![Step { place: 0, result }];
        }
        let mut payload = self.payload(metadata);
        payload.raw("body", body);
        if observes {
            payload.raw("observes", b"true");
        }
        let limits: Vec<_> = self.0.iter().map(|it| it.limit(hook)).collect();
        let (done, failed) = self.ask(hook.handler(), payload, metadata, &limits).await;
        let mut steps = done.bodies(body, &metadata.json, observes);
        steps.extend(failed.map(|failed| Step {
            place: failed.place,
            result: Err(failed.failure),
        }));
        steps
    }

    /// Passes a batch of events through the `stream` hook of each, as [`Series::call_hook`] does with a body.
    pub async fn call_stream(
        mut self,
        events: &[Bytes],
        metadata: &Metadata,
    ) -> Vec<Step<StreamResult>> {
        if let [session] = self.0.as_mut_slice() {
            let result = session.call_stream(events, metadata).await;
            return vec![Step { place: 0, result }];
        }
        let mut payload = self.payload(metadata);
        payload.array("events", events);
        let limits: Vec<_> = self
            .0
            .iter()
            .map(|it| it.stream_limit(events.len()))
            .collect();
        let (done, failed) = self.ask(Handler::Stream, payload, metadata, &limits).await;
        let (mut steps, left) = done.batches(events);
        steps.extend(failed.map(|failed| Step {
            place: failed.place,
            result: StreamResult::of_list(failed.events, &left, Some(failed.failure)),
        }));
        steps
    }

    /// The start of the call's payload: the requests, and the metadata if one of the functions has not seen it.
    fn payload(&self, metadata: &Metadata) -> ObjectWriter {
        let requests = self.0.iter().map(|session| session.request().to_string());
        let requests: Vec<Bytes> = requests.map(Bytes::from).collect();
        let mut payload = ObjectWriter::with_room(CALL_ROOM);
        payload.array("requests", &requests);
        if self.0.iter().any(|session| session.has_news(metadata)) {
            payload.raw("metadata", &metadata.json);
        }
        payload
    }

    async fn ask(
        &mut self,
        handler: Handler,
        payload: ObjectWriter,
        metadata: &Metadata,
        limits: &[Duration],
    ) -> (Done, Option<Failed>) {
        let began = Instant::now();
        let (done, failed) = match self.question(handler, payload) {
            Ok(call) => self.answer(call, limits).await,
            Err(failed) => (Done::default(), Some(failed)),
        };
        self.note(handler, &done, failed.as_ref(), began.elapsed());
        // Those behind a failure were not called, and told nothing.
        let called = failed
            .as_ref()
            .map_or(done.count(), |failed| failed.place + 1);
        for session in &mut self.0[..called] {
            session.see(metadata);
        }
        (done, failed)
    }

    /// Sends the call, unless one of the functions has too many waiting.
    fn question(&self, handler: Handler, payload: ObjectWriter) -> Result<Question, Failed> {
        for (place, session) in self.0.iter().enumerate() {
            session
                .check_queue()
                .map_err(|failure| Failed::at(place, failure))?;
        }
        let question = self.0[0].question(handler, payload.finish());
        question.map_err(|failure| Failed::at(0, failure))
    }

    async fn answer(&self, call: Question, limits: &[Duration]) -> (Done, Option<Failed>) {
        match Watched::new(&self.0, limits, call).answer().await {
            Answer::Reply(reply) => match Done::read(reply, limits.len()) {
                Some(done) if done.count() > 0 => (done, None),
                _ => (Done::default(), Some(Failed::at(0, Failure::Garbled))),
            },
            Answer::Error(failure, described) => {
                let done = Done::read(described, limits.len() - 1).unwrap_or_default();
                let failed = Failed {
                    place: done.count(),
                    failure,
                    events: done.unfinished(),
                };
                (done, Some(failed))
            }
            Answer::Ended(place, failure) => (Done::default(), Some(Failed::at(place, failure))),
        }
    }

    /// Counts how long each of the functions took, and keeps where an exception was raised.
    fn note(&self, handler: Handler, done: &Done, failed: Option<&Failed>, elapsed: Duration) {
        let took = |session: &Session, time| {
            metrics::function_took(session.function().id.as_str(), name_of(handler), time);
        };
        let mut left = elapsed;
        for (session, seconds) in self.0.iter().zip(done.seconds()) {
            let time = Duration::try_from_secs_f64(*seconds).unwrap_or_default();
            took(session, time);
            left = left.saturating_sub(time);
        }
        if let Some(failed) = failed {
            let session = &self.0[failed.place];
            session.note(&failed.failure);
            took(session, left);
        }
    }
}

/// Which function failed, and how.
struct Failed {
    place: usize,
    failure: Failure,
    /// The events that it had finished.
    events: Option<Bytes>,
}

impl Failed {
    fn at(place: usize, failure: Failure) -> Self {
        Self {
            place,
            failure,
            events: None,
        }
    }
}
