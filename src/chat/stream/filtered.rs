//! A stream that filters see: framed, every ready event passed through `stream` in one batch, and the finished text
//! shown to `outlet` before the end marker leaves.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use tracing::{info, warn};

use super::unfinished;
use crate::body::Body;
use crate::chat::chain::{Chain, Link};
use crate::chat::failure;
use crate::chat::outlet::{Effect, Talk};
use crate::chat::request::ChatRequest;
use crate::config::Closing;
use crate::error::{Error, Kind, Result};
use crate::host::{Context, Host, StreamResult};
use crate::telemetry::{Outcome, RequestLog};
use crate::wire::openai::{self, AnswerText};
use crate::wire::sse::{Decoder, Event};

const STREAM: &str = "stream";

/// A stream with filters on it.
pub(super) struct Filtered {
    pub(super) host: Host,
    pub(super) chain: Chain,
    pub(super) request: ChatRequest,
    /// What the events so far add up to, for outlet filters.
    pub(super) answer: AnswerText,
    body: Body,
    decoder: Decoder,
    ready: VecDeque<Bytes>,
    failed: Option<Error>,
    saw_done: bool,
    observes: bool,
    is_over: bool,
}

/// One event on its way through the filters.
struct Passing {
    event: Event,
    /// What filters see of it, `None` where they do not: comments and the end marker.
    data: Option<Bytes>,
    is_changed: bool,
    is_dropped: bool,
}

impl Filtered {
    /// A stream through the filters of `chain`; `observes` says whether outlet filters are asked at its end.
    pub(super) fn new(
        host: Host,
        chain: Chain,
        request: ChatRequest,
        body: Body,
        observes: bool,
    ) -> Self {
        let observes = observes && chain.handles("outlet");
        Self {
            host,
            chain,
            request,
            answer: AnswerText::new(),
            body,
            decoder: Decoder::per_line(),
            ready: VecDeque::new(),
            failed: None,
            saw_done: false,
            observes,
            is_over: false,
        }
    }

    /// The next bytes for the client.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(Ok(bytes));
            }
            if let Some(error) = self.failed.take() {
                self.is_over = true;
                return Some(Err(error));
            }
            if self.is_over {
                return None;
            }
            if let Err(error) = self.advance().await {
                self.failed = Some(error);
            }
        }
    }

    /// Takes the next piece from the upstream and passes on what it completes.
    async fn advance(&mut self) -> Result<()> {
        match self.body.next().await.transpose()? {
            Some(piece) => {
                let pushed = self.decoder.push(piece);
                pushed.map_err(|error| Error::new(Kind::UpstreamInvalid, error.to_string()))?;
                let mut batch = Vec::new();
                while let Some(event) = self.decoder.next_event() {
                    batch.push(Passing::new(event));
                }
                self.pass(batch).await
            }
            None => self.end().await,
        }
    }

    /// The clean end of the upstream's stream.
    async fn end(&mut self) -> Result<()> {
        self.is_over = true;
        if let Some(rest) = self.decoder.finish() {
            self.pass(vec![Passing::new(rest)]).await?;
        }
        let is_finished = self.saw_done || self.answer.finish_reason().is_some();
        if let Some(error) = unfinished(self.request.contract, is_finished) {
            return Err(error);
        }
        self.observe().await
    }

    /// Passes events through every `stream` filter and queues what is left of them.
    async fn pass(&mut self, mut batch: Vec<Passing>) -> Result<()> {
        let context = self
            .chain
            .context
            .as_ref()
            .expect("a chain with filters has a context");
        let mut failed = None;
        for link in self
            .chain
            .links
            .iter_mut()
            .filter(|link| link.function.handles(STREAM))
        {
            let result = call(
                &self.host,
                context,
                &self.request,
                link,
                &mut batch,
                &self.chain.log,
            )
            .await;
            failed = result.err().or(failed);
        }
        self.queue(batch).await?;
        failed.map_or(Ok(()), Err)
    }

    async fn queue(&mut self, batch: Vec<Passing>) -> Result<()> {
        let mut out = BytesMut::new();
        for passing in batch.into_iter().filter(|passing| !passing.is_dropped) {
            if passing.event.is_done() {
                self.saw_done = true;
                self.send(&mut out);
                // The end marker waits for the outlet filters: they may still refuse.
                self.observe().await?;
            }
            if let Some(data) = &passing.data {
                self.answer.push(data);
            }
            out.extend_from_slice(&passing.into_bytes());
        }
        self.send(&mut out);
        Ok(())
    }

    fn send(&mut self, out: &mut BytesMut) {
        if !out.is_empty() {
            self.ready.push_back(out.split().freeze());
        }
    }

    /// Shows the finished answer to the outlet filters, once. What they change came too late and is not sent.
    async fn observe(&mut self) -> Result<()> {
        let usage = self
            .answer
            .usage()
            .and_then(|usage| openai::usage_of(usage_json(usage).as_bytes()));
        if let Some(usage) = usage {
            self.chain.log.set_tokens(usage.prompt, usage.completion);
        }
        if !std::mem::take(&mut self.observes) {
            return Ok(());
        }
        let talk = Talk::new(
            &self.request,
            &self.chain.log,
            self.answer.assistant_message(),
        );
        talk.decide(&self.host, &mut self.chain, &self.request, Effect::IfHeld)
            .await?;
        Ok(())
    }
}

fn usage_json(usage: &serde_json::Value) -> String {
    serde_json::json!({"usage": usage}).to_string()
}

impl Passing {
    /// An event whose data filters can see, or that passes them by.
    fn new(event: Event) -> Self {
        let data = event
            .data
            .clone()
            .filter(|data| !event.is_done() && !data.is_empty());
        Self {
            event,
            data,
            is_changed: false,
            is_dropped: false,
        }
    }

    fn is_visible(&self) -> bool {
        !self.is_dropped && self.data.is_some()
    }

    fn into_bytes(self) -> Bytes {
        match self.data {
            Some(data) if self.is_changed => self.event.with_data(&data),
            _ => self.event.raw,
        }
    }
}

/// Passes the visible events of a batch through one filter. After a failure that is not forgiven the events behind it
/// are gone.
async fn call(
    host: &Host,
    context: &Context,
    request: &ChatRequest,
    link: &mut Link,
    batch: &mut Vec<Passing>,
    log: &RequestLog,
) -> Result<()> {
    let is_open = link.function.settings.on_error == Closing::Open;
    check_objects(batch, link, is_open)?;
    let visible: Vec<usize> = (0..batch.len())
        .filter(|at| is_object(&batch[*at]))
        .collect();
    if visible.is_empty() {
        return Ok(());
    }
    let events: Vec<Bytes> = visible
        .iter()
        .filter_map(|at| batch[*at].data.clone())
        .collect();
    let metadata = request
        .metadata
        .as_ref()
        .expect("a chain with filters has metadata");
    let result = match link.session(host, context, metadata).await {
        Ok(session) => session.call_stream(&events, metadata).await,
        Err(failure) => StreamResult {
            events: Vec::new(),
            failure: Some(failure),
        },
    };
    let done = result.events.len();
    let outcome = apply(batch, &visible, result.events);
    log.function_ran(link.function.id.as_str(), STREAM, outcome);
    let Some(failure) = result.failure else {
        return Ok(());
    };
    let error = failure::of_answer_hook(request.contract, &link.function.id, STREAM, &failure);
    log.function_ran(link.function.id.as_str(), STREAM, failure::outcome(&error));
    if is_open && error.kind() != Kind::FunctionRefused {
        warn!(function.id = %link.function.id, %error, "stream filter failed, events go on unchanged");
        log.function_error(link.function.id.as_str());
        return Ok(());
    }
    batch.truncate(visible.get(done).copied().unwrap_or(batch.len()));
    Err(error)
}

/// Data that is no JSON object can be seen by no filter: it passes only by one that lets errors pass (ruling R11).
fn check_objects(batch: &mut Vec<Passing>, link: &Link, is_open: bool) -> Result<()> {
    let Some(at) = batch
        .iter()
        .position(|passing| passing.is_visible() && !is_object(passing))
    else {
        return Ok(());
    };
    if is_open {
        info!(function.id = %link.function.id, "an event is no JSON object, the stream filter does not see it");
        return Ok(());
    }
    batch.truncate(at);
    let message = format!(
        "an event of the upstream is no JSON object and function `{}` cannot see it",
        link.function.id
    );
    Err(Error::new(Kind::UpstreamInvalid, message))
}

fn is_object(passing: &Passing) -> bool {
    let data = passing.data.as_ref().filter(|_| !passing.is_dropped);
    data.is_some_and(|data| {
        data.first() == Some(&b'{') && crate::wire::json::validate(data).is_ok()
    })
}

/// Puts what a filter gave back in the place of what it was given.
fn apply(batch: &mut [Passing], visible: &[usize], events: Vec<Option<Bytes>>) -> Outcome {
    let mut outcome = Outcome::Passed;
    for (at, event) in visible.iter().zip(events) {
        let passing = &mut batch[*at];
        match event {
            None => passing.is_dropped = true,
            Some(event) if passing.data.as_ref() == Some(&event) => continue,
            Some(event) => {
                passing.is_changed = true;
                passing.data = Some(event);
            }
        }
        outcome = Outcome::Changed;
    }
    outcome
}
