//! Streamed answers: event by event to the client, through `stream` and `outlet` filters where there are any.

mod batch;
mod filtered;
mod interleaved;
mod plain;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Response;
use serde_json::json;
use tokio::sync::watch;

use self::filtered::Filtered;
use self::interleaved::Interleaved;
use self::plain::Plain;
use super::chain::Chain;
use super::ending::{self, Ending};
use super::outlet::{Effect, Talk};
use super::request::{ChatRequest, Incoming};
use super::{Chat, Contract, respond};
use crate::body::{Body, Pieces};
use crate::error::{Error, Kind, Result};
use crate::telemetry::RequestLog;
use crate::telemetry::metrics::ActiveStream;
use crate::upstream::StreamAnswer;
use crate::wire::json::Document;
use crate::wire::openai;

/// Longest stream that is held back for an `outlet`, in bytes of its data.
const MAX_HELD_BYTES: usize = 64 * 1024 * 1024;

/// A stream of which no more is held goes on when memory is critical.
const SPARED_BYTES: usize = 64 * 1024;

/// When a client whose stream there is no memory for may come back.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A streamed answer as a response. Waits for the first bytes to have passed the filters, so that a refusal there is
/// still a status (ruling R1).
///
/// # Errors
///
/// Whatever ends the stream before its first byte.
pub(super) async fn run(
    chat: &Chat,
    chain: Chain,
    request: ChatRequest,
    answer: StreamAnswer,
    incoming: &Incoming<'_>,
) -> Result<Response<Body>> {
    let contract = incoming.contract;
    let log = Arc::clone(incoming.log);
    let is_held = chain.holds_streams();
    let told = chain.events.clone().filter(|told| told.are_inline());
    let mut events = if !chain.handles("stream") && !chain.handles("outlet") {
        Events::Plain(Box::new(Plain::new(chain, answer.body, contract)))
    } else {
        let host = chat.host.clone();
        let filtered = Filtered::new(host, chain, request, answer.body, !is_held);
        let mut filtered = Box::new(filtered);
        match is_held {
            true => Events::Held(hold(&mut filtered, &chat.crisis).await?.into_iter()),
            false => Events::Filtered(filtered.pieces()),
        }
    };
    if let Some(told) = told {
        events = Events::Interleaved(Box::new(Interleaved::new(events, told)));
    }
    let first = events.next().await.transpose()?;
    let relay = Relay {
        events,
        first,
        ending: ending::ending(&chat.ending),
        log,
        _counted: ActiveStream::begin(),
        failed: None,
        is_over: false,
    };
    let pieces = stream::unfold(relay, |mut relay| async move {
        let piece = relay.next().await?;
        Some((piece, relay))
    });
    Ok(respond::stream(answer.headers, Body::stream(pieces)))
}

/// Takes a whole stream in, lets the outlet filters decide, and gives back its events, or those of what they made
/// of it.
async fn hold(filtered: &mut Filtered, crisis: &watch::Receiver<bool>) -> Result<Vec<Bytes>> {
    let mut events = Vec::new();
    loop {
        let held_bytes = filtered.answer.length_bytes();
        let next = while_there_is_room(crisis, held_bytes, filtered.next()).await?;
        let Some(event) = next.transpose()? else {
            break;
        };
        events.push(event);
        if filtered.answer.length_bytes() > MAX_HELD_BYTES {
            return Err(Error::new(
                Kind::UpstreamInvalid,
                "the stream is too long to be held back",
            ));
        }
    }
    let Filtered {
        host,
        chain,
        request,
        answer,
        ..
    } = filtered;
    let talk = Talk::new(request, &chain.log, answer.assistant_message());
    let decided = talk.decide(host, chain, Effect::IfHeld);
    let decided = while_there_is_room(crisis, answer.length_bytes(), decided).await?;
    let Some(message) = decided? else {
        return Ok(events);
    };
    let mut whole: serde_json::Value =
        serde_json::from_slice(&openai::events_to_answer(answer)).map_err(Error::internal)?;
    match whole.pointer_mut("/choices/0") {
        Some(choice) => choice["message"] = message,
        // The model said nothing, and its filters do.
        None => {
            let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
            whole["choices"] = json!([choice]);
        }
    }
    let whole = Document::parse(whole.to_string().into()).map_err(Error::internal)?;
    Ok(openai::answer_to_events(&whole))
}

/// What comes of `work` on a stream of which so much is held, unless memory is critical before: the client can still be
/// told, and come back.
async fn while_there_is_room<T>(
    crisis: &watch::Receiver<bool>,
    held_bytes: usize,
    work: impl Future<Output = T>,
) -> Result<T> {
    tokio::select! {
        biased;
        () = ending::until(crisis.clone()), if held_bytes > SPARED_BYTES => {
            let message = "the gateway is short of memory for a stream that is held back; try again";
            Err(Error::new(Kind::Overloaded, message).with_retry_after(RETRY_AFTER))
        }
        done = work => Ok(done),
    }
}

/// Where the bytes of a stream come from.
enum Events {
    /// From the upstream as they are.
    Plain(Box<Plain>),
    /// Through filters. Apart, or plain streams would have the size of filtered ones.
    Filtered(Pieces),
    /// From memory, after they were held back.
    Held(std::vec::IntoIter<Bytes>),
    /// Any of these, with what functions tell in between.
    Interleaved(Box<Interleaved>),
}

impl Events {
    async fn next(&mut self) -> Option<Result<Bytes>> {
        match self {
            Self::Plain(plain) => plain.next().await,
            Self::Filtered(pieces) => pieces.next().await,
            Self::Held(events) => events.next().map(Ok),
            Self::Interleaved(events) => events.next().await,
        }
    }
}

/// A stream on its way to the client. A failure becomes one error event; then, once that is flushed, the framing is
/// aborted.
struct Relay {
    events: Events,
    first: Option<Bytes>,
    ending: Ending,
    log: Arc<RequestLog>,
    _counted: ActiveStream,
    failed: Option<Error>,
    is_over: bool,
}

impl Relay {
    async fn next(&mut self) -> Option<Result<Bytes>> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        if self.is_over {
            return None;
        }
        if let Some(error) = self.failed.take() {
            self.is_over = true;
            // The connection holds it back until the event before it is flushed.
            return Some(Err(error));
        }
        let next = tokio::select! {
            biased;
            next = self.events.next() => next,
            () = &mut self.ending => Some(Err(Error::shutting_down())),
        };
        match next {
            Some(Err(error)) => {
                self.log.set_late_error(error.kind().code());
                self.log.complete();
                let event = respond::error_event(&error);
                self.failed = Some(error);
                Some(Ok(event))
            }
            Some(piece) => Some(piece),
            None => {
                self.log.complete();
                self.is_over = true;
                None
            }
        }
    }
}

/// The error of a stream that ended cleanly but says nowhere that it is finished; only OpenAI's clients take that for
/// success.
fn unfinished(contract: Contract, is_finished: bool) -> Option<Error> {
    let is_error = contract == Contract::OpenAi && !is_finished;
    is_error.then(|| {
        Error::new(
            Kind::UpstreamCut,
            "the upstream's stream ended before it was finished",
        )
    })
}
