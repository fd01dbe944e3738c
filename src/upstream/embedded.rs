//! The demo model: needs no server, answers about what it was sent, the same words to the same
//! question.

mod ask;
mod tool;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use serde_json::{Value, json};

use crate::body::Body;
use crate::error::{Error, Result};
use crate::wire::sse;

use super::{Answer, Outgoing, Reply, StreamAnswer};
use ask::Ask;

/// The pause between two words, so that a stream looks like one.
const PACE: Duration = Duration::from_millis(15);
const DEMO: &str = "demo";
const DEMO_TOOLS: &str = "demo-tools";

/// What the demo model says of itself.
pub(super) fn models() -> Vec<Value> {
    let named = [(DEMO, "Demo"), (DEMO_TOOLS, "Demo with tools")];
    let model =
        |(id, name)| json!({"id": id, "object": "model", "owned_by": "sluicegate", "name": name});
    named.into_iter().map(model).collect()
}

/// Answers a chat request.
pub(super) fn send(model: &str, request: &Outgoing<'_>) -> Result<Reply> {
    if model != DEMO && model != DEMO_TOOLS {
        return Err(Error::unknown_model(model));
    }
    let ask = Ask::read(request.document.bytes())
        .map_err(|_| Error::invalid_request("messages", "`messages` is not a list of messages"))?;
    let speech = Speech::new(&ask, model);
    let id = request.answer_id();
    let paper = Paper {
        id: &id,
        created: request.created,
        model,
    };
    Ok(if request.stream {
        let frames = speech.frames(&paper, ask.include_usage());
        Reply::Stream(StreamAnswer {
            headers: headers("text/event-stream"),
            body: Body::stream(paced(frames)),
        })
    } else {
        Reply::Whole(Answer {
            status: StatusCode::OK,
            headers: headers("application/json"),
            body: encode(&speech.completion(&paper)),
        })
    })
}

fn headers(content_type: &'static str) -> HeaderMap {
    let content_type = HeaderValue::from_static(content_type);
    HeaderMap::from_iter([(header::CONTENT_TYPE, content_type)])
}

fn encode(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

/// The frames one after the other, with a pause before each but the first.
fn paced(frames: VecDeque<Bytes>) -> impl futures_util::Stream<Item = Result<Bytes>> + Send {
    stream::unfold((frames, false), |(mut frames, is_under_way)| async move {
        let frame = frames.pop_front()?;
        if is_under_way {
            tokio::time::sleep(PACE).await;
        }
        Some((Ok(frame), (frames, true)))
    })
}

/// What stands on top of every answer and chunk.
struct Paper<'a> {
    id: &'a str,
    created: u64,
    model: &'a str,
}

impl Paper<'_> {
    fn chunk(&self, choices: &Value) -> Value {
        json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }

    fn delta(&self, delta: &Value, finish_reason: Option<&str>) -> Bytes {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish_reason});
        sse::encode_data(&encode(&self.chunk(&json!([choice]))))
    }
}

/// What the model says, before it is cut into chunks or not.
struct Speech {
    /// With the space before it.
    words: Vec<String>,
    tool_call: Option<Value>,
    finish_reason: &'static str,
    usage: Value,
}

impl Speech {
    fn new(ask: &Ask, model: &str) -> Self {
        let insists = model == DEMO_TOOLS;
        let tool_call = ask.tool(insists).map(tool::call);
        let mut words = match &tool_call {
            Some(_) => Vec::new(),
            None => split_words(&ask.reply()),
        };
        let said = words.len();
        words.truncate(ask.max_tokens().unwrap_or(usize::MAX));
        let finish_reason = match &tool_call {
            Some(_) => "tool_calls",
            None if words.len() < said => "length",
            None => "stop",
        };
        let usage = usage(ask.prompt_words(), words.len().max(1));
        Self {
            words,
            tool_call,
            finish_reason,
            usage,
        }
    }

    fn completion(&self, paper: &Paper<'_>) -> Value {
        let message = match &self.tool_call {
            Some(call) => json!({"role": "assistant", "content": null, "tool_calls": [call]}),
            None => json!({"role": "assistant", "content": self.words.concat()}),
        };
        json!({
            "id": paper.id,
            "object": "chat.completion",
            "created": paper.created,
            "model": paper.model,
            "choices": [{"index": 0, "message": message, "finish_reason": self.finish_reason}],
            "usage": self.usage,
        })
    }

    fn frames(&self, paper: &Paper<'_>, include_usage: bool) -> VecDeque<Bytes> {
        let mut frames = VecDeque::with_capacity(self.words.len() + 5);
        frames.push_back(paper.delta(&json!({"role": "assistant", "content": ""}), None));
        if let Some(call) = &self.tool_call {
            let delta = json!({"tool_calls": [tool::with_index(call)]});
            frames.push_back(paper.delta(&delta, None));
        }
        for word in &self.words {
            frames.push_back(paper.delta(&json!({"content": word}), None));
        }
        frames.push_back(paper.delta(&json!({}), Some(self.finish_reason)));
        if include_usage {
            let mut chunk = paper.chunk(&json!([]));
            chunk["usage"] = self.usage.clone();
            frames.push_back(sse::encode_data(&encode(&chunk)));
        }
        frames.push_back(sse::DONE);
        frames
    }
}

/// One token per word, which is near enough for a demo.
fn usage(prompt_tokens: usize, completion_tokens: usize) -> Value {
    json!({
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    })
}

/// The text cut before every space, so that the pieces joined are the text.
fn split_words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let space = if words.is_empty() { "" } else { " " };
        words.push([space, word].concat());
    }
    words
}

#[cfg(test)]
mod tests;
