//! A stream that filters see: framed, every ready event passed through `stream` in one batch, and the finished text
//! shown to `outlet` before the end marker leaves.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use futures_util::stream;

use super::batch::Batch;
use super::unfinished;
use crate::body::{Body, Pieces};
use crate::chat::chain::Chain;
use crate::chat::link::{Asked, Link};
use crate::chat::outlet::{Effect, Talk};
use crate::chat::request::ChatRequest;
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::wire::json::Alike;
use crate::wire::openai::{self, AnswerText};
use crate::wire::sse::Decoder;

pub(super) const STREAM: &str = "stream";

/// A stream with filters on it.
pub(super) struct Filtered {
    pub(super) host: Host,
    pub(super) chain: Chain,
    pub(super) request: ChatRequest,
    /// What the events so far add up to, for outlet filters.
    pub(super) answer: AnswerText,
    body: Body,
    decoder: Decoder,
    /// What the events of the model server are alike in.
    alike: Alike,
    ready: VecDeque<Bytes>,
    failed: Option<Error>,
    saw_done: bool,
    observes: bool,
    is_over: bool,
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
            alike: Alike::default(),
            ready: VecDeque::new(),
            failed: None,
            saw_done: false,
            observes,
            is_over: false,
        }
    }

    /// The bytes for the client.
    pub(super) fn pieces(self: Box<Self>) -> Pieces {
        Box::pin(stream::unfold(self, |mut filtered| async move {
            let piece = filtered.next().await?;
            Some((piece, filtered))
        }))
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
                let events = std::iter::from_fn(|| self.decoder.next_event());
                let batch = Batch::new(events, &mut self.alike);
                self.pass(batch).await
            }
            None => self.end().await,
        }
    }

    /// The clean end of the upstream's stream.
    async fn end(&mut self) -> Result<()> {
        self.is_over = true;
        // Lines of one unfinished event may be several.
        let first = self.decoder.finish();
        let rest: Vec<_> = first
            .into_iter()
            .chain(std::iter::from_fn(|| self.decoder.next_event()))
            .collect();
        let batch = Batch::last(rest, &mut self.alike);
        self.pass(batch).await?;
        let is_finished = self.saw_done || self.answer.finish_reason().is_some();
        if let Some(error) = unfinished(self.request.contract, is_finished) {
            // Half an event, which would swallow the error that comes after it.
            self.ready.clear();
            return Err(error);
        }
        self.observe().await
    }

    /// Passes events through every `stream` filter and queues what is left of them. After a failure the events before
    /// it still pass the filters behind the one that failed.
    async fn pass(&mut self, mut batch: Batch) -> Result<()> {
        let Chain {
            links,
            context,
            log,
            ..
        } = &mut self.chain;
        let asked = Asked {
            host: &self.host,
            context: context.as_ref(),
            metadata: self.request.metadata.as_ref(),
            contract: self.request.contract,
            observes: false,
        };
        let links = links.iter_mut().filter(|link| link.handles(STREAM));
        let mut links: Vec<&mut Link> = links.collect();
        let mut left = links.as_mut_slice();
        let mut failed = None;
        while !left.is_empty() {
            let (done, passed) = batch.pass(asked, left, log).await;
            failed = passed.err().or(failed);
            left = &mut left[done..];
        }
        self.queue(batch).await?;
        failed.map_or(Ok(()), Err)
    }

    async fn queue(&mut self, batch: Batch) -> Result<()> {
        let is_single = batch.is_single();
        let mut out = BytesMut::new();
        for passing in batch.into_rest() {
            if passing.is_done() {
                self.saw_done = true;
                self.send(&mut out);
                // The end marker waits for the outlet filters: they may still refuse.
                self.observe().await?;
            }
            if let Some(data) = passing.data() {
                self.answer.push_chunk(data.root());
            }
            let bytes = passing.into_bytes();
            match is_single {
                true => self.ready.push_back(bytes),
                false => out.extend_from_slice(&bytes),
            }
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
        talk.decide(&self.host, &mut self.chain, Effect::IfHeld)
            .await?;
        Ok(())
    }
}

fn usage_json(usage: &serde_json::Value) -> String {
    serde_json::json!({ "usage": usage }).to_string()
}
