//! A reply of Ollama's, whole or one line of a stream, in OpenAI's words.

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::usage::Counters;
use crate::wire::openai::{Answer, Part, write_answer};

/// Why a reply cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// Ollama says that it failed, in its own words.
    Refused(String),
    /// It is no reply of Ollama's.
    Invalid,
    /// A line is longer than any reply.
    TooLong,
    /// The stream ended before the answer did.
    Cut,
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(text) => f.write_str(text),
            Self::Invalid => f.write_str("upstream sent no valid reply"),
            Self::TooLong => f.write_str("upstream sent a line that is too long"),
            Self::Cut => f.write_str("upstream ended the stream too early"),
        }
    }
}

impl Error for ReplyError {}

/// One object that Ollama sends: the whole reply, or a piece of it.
#[derive(Deserialize)]
pub(super) struct Reply {
    pub(super) message: Option<Message>,
    done: Option<bool>,
    done_reason: Option<String>,
    logprobs: Option<Value>,
    error: Option<Value>,
    /// Read on its own, because flattening does not work with numbers of arbitrary precision.
    #[serde(skip)]
    counters: Counters,
}

/// What the assistant says in it.
#[derive(Default, Deserialize)]
pub(super) struct Message {
    content: Option<String>,
    thinking: Option<String>,
    tool_calls: Option<Vec<ToolCall>>,
}

#[derive(Deserialize)]
struct ToolCall {
    id: Option<String>,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: Value,
}

impl Reply {
    /// Reads one object.
    pub(super) fn parse(json: &[u8]) -> Result<Self, ReplyError> {
        let mut reply: Self = serde_json::from_slice(json).map_err(|_| ReplyError::Invalid)?;
        if let Some(error) = reply.error {
            return Err(ReplyError::Refused(text_of(&error)));
        }
        if reply.is_done() {
            reply.counters = serde_json::from_slice(json).unwrap_or_default();
        }
        Ok(reply)
    }

    /// Whether this is the end of the answer.
    pub(super) fn is_done(&self) -> bool {
        self.done.unwrap_or(false)
    }

    /// The usage that the end of an answer reports.
    pub(super) fn usage_json(&self) -> Vec<u8> {
        self.counters.to_json()
    }

    /// Why the answer ends: a model that calls tools stops for them, whatever Ollama says.
    pub(super) fn finish_reason(&self, calls_tools: bool) -> &str {
        if calls_tools {
            return "tool_calls";
        }
        self.done_reason.as_deref().unwrap_or("stop")
    }

    /// OpenAI's `logprobs` object. Ollama's list has the same items.
    pub(super) fn logprobs_json(&self) -> Option<Vec<u8>> {
        let content = self.logprobs.as_ref()?.as_array()?;
        Some(json!({ "content": content }).to_string().into_bytes())
    }
}

impl Message {
    /// The text, unless there is none.
    pub(super) fn content(&self) -> Option<&str> {
        self.content.as_deref().filter(|text| !text.is_empty())
    }

    /// The members that only some messages have: reasoning, tool calls.
    pub(super) fn write_extras(&self, members: &mut Map<String, Value>, calls: &mut CallIds) {
        let thinking = self.thinking.as_deref().filter(|text| !text.is_empty());
        if let Some(thinking) = thinking {
            members.insert("reasoning_content".to_owned(), thinking.into());
        }
        let tool_calls = self.tool_calls.as_deref().unwrap_or_default();
        if !tool_calls.is_empty() {
            let tool_calls = tool_calls.iter().map(|call| call.to_json(calls)).collect();
            members.insert("tool_calls".to_owned(), Value::Array(tool_calls));
        }
    }
}

impl ToolCall {
    fn to_json(&self, calls: &mut CallIds) -> Value {
        let (index, id) = calls.next();
        let arguments = match &self.function.arguments {
            Value::Null => "{}".to_owned(),
            arguments => arguments.to_string(),
        };
        json!({
            "index": index,
            "id": self.id.clone().filter(|id| !id.is_empty()).unwrap_or(id),
            "type": "function",
            "function": { "name": self.function.name, "arguments": arguments },
        })
    }
}

/// Numbers the tool calls of an answer and names them after it, since Ollama may not.
#[derive(Debug)]
pub(super) struct CallIds {
    answer_id: String,
    count: u64,
}

impl CallIds {
    pub(super) fn new(answer_id: &str) -> Self {
        Self {
            answer_id: answer_id.to_owned(),
            count: 0,
        }
    }

    /// Whether there was any call.
    pub(super) fn any(&self) -> bool {
        self.count > 0
    }

    fn next(&mut self) -> (u64, String) {
        let index = self.count;
        self.count += 1;
        (index, call_id(&self.answer_id, index))
    }
}

/// `call_` and the UUID that the answer's id ends with, counted up from call to call.
fn call_id(answer_id: &str, index: u64) -> String {
    const UUID_LENGTH: usize = 36;
    const NODE_LENGTH: usize = 12;
    let start = answer_id.len().saturating_sub(UUID_LENGTH);
    let uuid = answer_id.get(start..).unwrap_or_default();
    let node_start = uuid.len().saturating_sub(NODE_LENGTH);
    let parts = uuid.split_at_checked(node_start);
    let node = parts.and_then(|(_, node)| u64::from_str_radix(node, 16).ok());
    match (parts, node) {
        (Some((head, _)), Some(node)) => {
            let node = node.wrapping_add(index) & 0xFFFF_FFFF_FFFF;
            format!("call_{head}{node:012x}")
        }
        _ => format!("call_{answer_id}_{index}"),
    }
}

/// The whole answer that a reply without streaming stands for.
///
/// # Errors
///
/// A [`ReplyError`] where Ollama reports an error or the reply is none.
pub fn completion(reply: &[u8], id: &str, created: u64, model: &str) -> Result<Bytes, ReplyError> {
    let reply = Reply::parse(reply)?;
    let message = reply.message.as_ref().ok_or(ReplyError::Invalid)?;
    let mut calls = CallIds::new(id);
    let mut members = Map::new();
    members.insert("role".to_owned(), "assistant".into());
    let content = message.content().unwrap_or_default();
    members.insert("content".to_owned(), content.into());
    message.write_extras(&mut members, &mut calls);
    let logprobs = reply.logprobs_json();
    let part = Part {
        delta: &Value::Object(members).to_string().into_bytes(),
        finish_reason: Some(reply.finish_reason(calls.any())),
        logprobs: logprobs.as_deref(),
        usage: Some(&reply.usage_json()),
    };
    Ok(write_answer(&Answer { id, created, model }, &part))
}

/// The text of an error body `{"error": …}`, `None` where it is none.
#[must_use]
pub fn error_text(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body.get("error")
        .filter(|error| !error.is_null())
        .map(text_of)
}

fn text_of(error: &Value) -> String {
    let message = error.get("message").unwrap_or(error);
    match message.as_str() {
        Some(text) => text.to_owned(),
        None => message.to_string(),
    }
}
