//! A local Python pipe in the place of a model server.

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::chain::Chain;
use super::events::Events;
use super::failure;
use super::metadata;
use super::request::{ChatRequest, Incoming};
use super::{Contract, respond};
use crate::body::Body;
use crate::error::{Error, Kind, Result};
use crate::host::{Context, Failure, Host, PipeAnswer, PipeItem, PipeStream};
use crate::registry::{Function, FunctionId};
use crate::telemetry::Outcome;
use crate::tools::Toolset;
use crate::upstream::{Answer, Reply, StreamAnswer};
use crate::wire::openai::{self, ChunkMaker};
use crate::wire::sse;

use std::sync::Arc;

/// What a pipe is told of besides the request.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    /// User, model and HTTP request.
    pub(super) context: Option<&'a Context>,
    /// What functions tell of their work.
    pub(super) events: Option<&'a Arc<Events>>,
    /// Its `__tools__`.
    pub(super) tools: &'a Toolset,
}

impl<'a> Part<'a> {
    /// What the target of a chain's request is told of.
    pub(super) fn of(chain: &'a Chain, tools: &'a Toolset) -> Self {
        Self {
            context: chain.context.as_ref(),
            events: chain.events.as_ref(),
            tools,
        }
    }
}

/// Calls a pipe with the request as its inlet filters left it.
///
/// # Errors
///
/// If the pipe fails before its first item, which on `/api` is an answer instead (ruling R19).
pub(super) async fn call(
    host: &Host,
    function: &Arc<Function>,
    part: Part<'_>,
    request: &ChatRequest,
    incoming: &Incoming<'_>,
) -> Result<Reply> {
    let reply = try_call(host, function, part, request, incoming).await;
    let outcome = if reply.is_ok() {
        Outcome::Passed
    } else {
        Outcome::Failed
    };
    incoming
        .log
        .function_ran(function.id.as_str(), "pipe", outcome);
    match reply {
        Ok(reply) => Ok(reply),
        Err(failure) => failed(request, &function.id, &failure),
    }
}

async fn try_call(
    host: &Host,
    function: &Arc<Function>,
    part: Part<'_>,
    request: &ChatRequest,
    incoming: &Incoming<'_>,
) -> std::result::Result<Reply, Failure> {
    let context = part.context.expect("a request to a pipe has a context");
    let metadata = request
        .metadata
        .as_ref()
        .expect("a request to a pipe has metadata");
    let metadata = &metadata::for_pipe(request, metadata);
    let session = host.open(function, context, metadata).await?;
    let model = request.model().into_owned();
    let made = Made {
        id: format!("{model}-{}", incoming.log.id()),
        created: incoming.now,
        model,
    };
    let tools = (!part.tools.is_empty()).then(|| part.tools.for_pipe());
    let mut items = session.call_pipe(
        request.document.bytes(),
        metadata,
        request.is_streamed(),
        tools.as_ref(),
    )?;
    let told = part.events.filter(|_| request.is_streamed());
    let first = match told {
        // The client hears what a pipe tells before its first item, at the price of a status for what fails later.
        Some(told) => tokio::select! {
            biased;
            first = items.next() => first,
            () = told.arrival() => Some(Ok(PipeItem::Text(Bytes::new()))),
        },
        None => items.next().await,
    };
    match first.unwrap_or(Ok(PipeItem::End))? {
        PipeItem::Answer(answer) => Ok(Reply::Whole(made.whole(answer))),
        PipeItem::Head(head) => own_response(&head, items).await,
        first => Ok(Reply::Stream(made.stream(
            function.id.clone(),
            first,
            items,
        ))),
    }
}

/// A pipe that failed before its first item.
fn failed(request: &ChatRequest, id: &FunctionId, failure: &Failure) -> Result<Reply> {
    let error = failure::of_answer_hook(request.contract, id.as_str(), "pipe", failure);
    let Some(exception) = failure
        .exception()
        .filter(|_| request.contract == Contract::OpenWebUi)
    else {
        return Err(error);
    };
    if exception.is_late && !request.is_streamed() {
        let error = Error::new(Kind::FunctionFailed, exception.text()).with_function(id.as_str());
        return Err(error.with_status(StatusCode::BAD_REQUEST));
    }
    let body = json!({"error": {"detail": exception.message}}).to_string();
    if request.is_streamed() {
        let event = sse::encode_data(body.as_bytes());
        let answer = StreamAnswer {
            headers: respond::sse_headers(),
            body: Body::whole(event),
        };
        return Ok(Reply::Stream(answer));
    }
    Ok(Reply::Whole(json_answer(body.into())))
}

/// What an answer that is made here is called.
struct Made {
    id: String,
    created: u64,
    model: String,
}

impl Made {
    fn whole(&self, answer: PipeAnswer) -> Answer {
        let text = match answer {
            PipeAnswer::Data(data) => return json_answer(data),
            PipeAnswer::Text(text) => text,
            PipeAnswer::None => String::new(),
        };
        json_answer(openai::completion(
            &self.id,
            self.created,
            &self.model,
            &text,
        ))
    }

    fn stream(self, function: FunctionId, first: PipeItem, items: PipeStream) -> StreamAnswer {
        let chunks = ChunkMaker::new(&self.id, self.created, &self.model);
        let state = Chunks {
            function,
            chunks,
            first: Some(first),
            items,
            is_over: false,
        };
        let pieces = stream::unfold(state, |mut state| async move {
            let piece = state.next().await?;
            Some((piece, state))
        });
        StreamAnswer {
            headers: respond::sse_headers(),
            body: Body::stream(pieces),
        }
    }
}

/// Whether no reader of the stream would take an item as an event. It is refused before it is written as one, which
/// would keep everybody on this thread waiting.
fn is_too_long(item: &PipeItem) -> bool {
    match item {
        PipeItem::Text(bytes) | PipeItem::Data(bytes) | PipeItem::Raw(bytes) => {
            bytes.len() > sse::MAX_EVENT_BYTES
        }
        _ => false,
    }
}

/// A pipe's items as server-sent events.
struct Chunks {
    function: FunctionId,
    chunks: ChunkMaker,
    first: Option<PipeItem>,
    items: PipeStream,
    is_over: bool,
}

impl Chunks {
    async fn next(&mut self) -> Option<Result<Bytes>> {
        while !self.is_over {
            let item = match self.first.take() {
                Some(first) => Ok(first),
                None => self.items.next().await?,
            };
            match item {
                Ok(item) if is_too_long(&item) => {
                    self.is_over = true;
                    let text = format!("an item of more than {} bytes", sse::MAX_EVENT_BYTES);
                    let error = Error::function_failed(self.function.as_str(), "pipe", &text);
                    return Some(Err(error));
                }
                Ok(PipeItem::Head(head)) if !is_stream(&head) => {
                    self.is_over = true;
                    let text =
                        "it answered with a response of its own after it had told of its work";
                    let error = Error::function_failed(self.function.as_str(), "pipe", text);
                    return Some(Err(error));
                }
                Ok(item) => {
                    if let Some(event) = self.event(item) {
                        return Some(Ok(event));
                    }
                }
                Err(failure) => {
                    self.is_over = true;
                    let error = failure::of_answer_hook(
                        Contract::OpenAi,
                        self.function.as_str(),
                        "pipe",
                        &failure,
                    );
                    return Some(Err(error));
                }
            }
        }
        None
    }

    /// The bytes of one item; an empty text has none, and a `[DONE]` of the pipe's own gives way to ours, which comes
    /// with the finish chunk (ruling R18).
    fn event(&mut self, item: PipeItem) -> Option<Bytes> {
        match item {
            PipeItem::Text(text) if text.is_empty() => None,
            PipeItem::Text(text) => Some(self.chunks.content(&String::from_utf8_lossy(&text))),
            PipeItem::Data(data) => Some(sse::encode_data(&data)),
            PipeItem::Raw(raw) if is_done(&raw) => None,
            PipeItem::Raw(raw) => Some([&raw[..], b"\n\n"].concat().into()),
            // These come first or not at all.
            PipeItem::Head(_) | PipeItem::Answer(_) => None,
            PipeItem::Body(body) => Some(body),
            PipeItem::End => {
                self.is_over = true;
                Some(
                    [self.chunks.finish("stop"), self.chunks.done()]
                        .concat()
                        .into(),
                )
            }
        }
    }
}

/// Whether a response of a pipe's own is a stream that was answered well.
fn is_stream(head: &[u8]) -> bool {
    let head: Value = serde_json::from_slice(head).unwrap_or_default();
    let is_success = head["status"].as_u64().is_none_or(|status| status < 300);
    let kind = head["content_type"].as_str().unwrap_or_default();
    is_success && kind.starts_with("text/event-stream")
}

fn is_done(raw: &[u8]) -> bool {
    raw.strip_prefix(b"data:")
        .is_some_and(|data| data.trim_ascii() == b"[DONE]")
}

/// A response of the pipe's own: its status, its type, its bytes (ruling R20).
async fn own_response(head: &[u8], items: PipeStream) -> std::result::Result<Reply, Failure> {
    let head: Value = serde_json::from_slice(head).map_err(|_| Failure::Garbled)?;
    let status = head["status"]
        .as_u64()
        .and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
    let status = status.unwrap_or(StatusCode::OK);
    let kind = head["content_type"]
        .as_str()
        .unwrap_or("text/plain; charset=utf-8");
    let mut headers = HeaderMap::new();
    if let Ok(kind) = HeaderValue::from_str(kind) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    let body = Body::stream(stream::unfold(items, |mut items| async move {
        match items.next().await? {
            Ok(PipeItem::Body(body)) => Some((Ok(body), items)),
            Ok(_) => None,
            Err(_) => Some((
                Err(Error::new(
                    Kind::FunctionFailed,
                    "the pipe's response broke off",
                )),
                items,
            )),
        }
    }));
    if kind.starts_with("text/event-stream") && status.is_success() {
        return Ok(Reply::Stream(StreamAnswer { headers, body }));
    }
    let too_long = || Error::new(Kind::FunctionFailed, "the pipe's response is too long");
    let body = body
        .collect(MAX_RESPONSE_BYTES, too_long)
        .await
        .map_err(|_| Failure::Garbled)?;
    Ok(Reply::Whole(Answer {
        status,
        headers,
        body,
    }))
}

/// Longest response of a pipe's own that is no stream, in bytes.
const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;

fn json_answer(body: Bytes) -> Answer {
    Answer {
        status: StatusCode::OK,
        headers: respond::json_headers(),
        body,
    }
}
