//! The answer that the chunks of a stream add up to.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::wire::json::{self, Kind, Node};

/// Members that name something and are sent whole: a repetition replaces, where text is appended.
const NAMES: [&str; 5] = ["role", "id", "type", "name", "index"];

/// What the events of a stream have said so far, choice by choice.
#[derive(Clone, Default)]
pub struct AnswerText {
    /// `id`, `created`, `model` and whatever else stands beside the choices, as it was first sent.
    pub(super) head: Map<String, Value>,
    /// Boxed, because a map has room for eleven from the first on, and there is nearly always one.
    pub(super) choices: BTreeMap<u64, Box<Choice>>,
    pub(super) usage: Option<Value>,
    length_bytes: usize,
}

/// One of the answers, where several were asked for.
#[derive(Clone, Default)]
pub(super) struct Choice {
    pub(super) message: Map<String, Value>,
    pub(super) finish_reason: Option<Value>,
    pub(super) logprobs: Value,
}

impl AnswerText {
    /// An answer of which nothing has come yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the data of one event. The end marker and events that are no chunks add nothing.
    ///
    /// Read leniently, unlike a request: an answer that can be understood is not refused because of a repeated key.
    pub fn push(&mut self, data: &[u8]) {
        if serde_json::from_slice::<&RawValue>(data).is_ok() {
            self.push_chunk(json::root(data));
        }
    }

    /// As [`AnswerText::push`], of data that is known to be JSON.
    pub fn push_chunk(&mut self, chunk: Node<'_>) {
        if chunk.kind() != Kind::Object {
            return;
        }
        self.length_bytes += chunk.raw().len();
        let mut known = self.head.keys();
        let (mut choices, mut usage, mut has_new) = (None, None, false);
        for (key, value) in chunk.members() {
            match &*key {
                "choices" => choices = Some(value),
                "usage" => usage = Some(value),
                // Nearly every chunk has the members of the first one, in their order.
                _ => has_new |= is_of_head(&key, value) && known.next().is_none_or(|it| *it != key),
            }
        }
        if has_new {
            self.push_head(chunk);
        }
        self.usage = usage.and_then(parse).or_else(|| self.usage.take());
        choices
            .iter()
            .flat_map(Node::elements)
            .for_each(|choice| self.push_choice(choice));
    }

    /// How many bytes of data were added, for whoever sets a limit.
    #[must_use]
    pub fn length_bytes(&self) -> usize {
        self.length_bytes
    }

    /// The text of the first choice.
    #[must_use]
    pub fn content(&self) -> &str {
        let content = self
            .first_choice()
            .and_then(|choice| choice.message.get("content"));
        content.and_then(Value::as_str).unwrap_or_default()
    }

    /// Why the first choice ended, if it has.
    #[must_use]
    pub fn finish_reason(&self) -> Option<&str> {
        self.first_choice()?.finish_reason.as_ref()?.as_str()
    }

    /// Whether the first choice calls tools.
    #[must_use]
    pub fn calls_tools(&self) -> bool {
        let calls = self
            .first_choice()
            .and_then(|choice| choice.message.get("tool_calls"));
        calls
            .and_then(Value::as_array)
            .is_some_and(|calls| !calls.is_empty())
    }

    /// The usage that was reported last, as it was sent.
    #[must_use]
    pub fn usage(&self) -> Option<&Value> {
        self.usage.as_ref()
    }

    /// The assistant's message of the first choice, as a whole answer would hold it.
    #[must_use]
    pub fn assistant_message(&self) -> Value {
        match self.first_choice() {
            Some(choice) => choice.whole_message(),
            None => Choice::default().whole_message(),
        }
    }

    fn first_choice(&self) -> Option<&Choice> {
        self.choices.values().next().map(Box::as_ref)
    }

    fn push_head(&mut self, chunk: Node<'_>) {
        for (key, value) in chunk
            .members()
            .filter(|(key, value)| is_of_head(key, *value))
        {
            if !self.head.contains_key(&*key)
                && let Some(value) = parse(value)
            {
                self.head.insert(key.into_owned(), value);
            }
        }
    }

    fn push_choice(&mut self, choice: Node<'_>) {
        if choice.kind() != Kind::Object {
            return;
        }
        let index = choice.get("index");
        let index = index.and_then(|index| str::from_utf8(index.raw()).ok()?.parse().ok());
        self.choices
            .entry(index.unwrap_or(0))
            .or_default()
            .push(choice);
    }
}

impl Choice {
    fn push(&mut self, choice: Node<'_>) {
        for (key, value) in choice.members() {
            match &*key {
                "finish_reason" => self.finish_reason = parse(value).or(self.finish_reason.take()),
                "logprobs" => merge(&mut self.logprobs, parse(value).unwrap_or(Value::Null)),
                "delta" => value
                    .members()
                    .for_each(|(key, value)| self.push_member(&key, value)),
                _ => {}
            }
        }
    }

    /// The usual member is a piece of text, which goes to the end of the text that is there
    /// already.
    fn push_member(&mut self, key: &str, value: Node<'_>) {
        match (self.message.get_mut(key), value.string()) {
            (Some(Value::String(before)), Some(text)) if !NAMES.contains(&key) => {
                before.push_str(&text);
            }
            (_, Some(text)) => merge_member(&mut self.message, key, text.into_owned().into()),
            (_, None) => merge_member(&mut self.message, key, parse(value).unwrap_or(Value::Null)),
        }
    }

    /// The message with its role first, its content always there, and its tool calls without the
    /// index that only chunks have.
    pub(super) fn whole_message(&self) -> Value {
        let mut members = self.message.clone();
        let role = members.shift_remove("role").filter(Value::is_string);
        let content = members.shift_remove("content").unwrap_or(Value::Null);
        let calls = members.get_mut("tool_calls").and_then(Value::as_array_mut);
        let has_calls = calls.is_some();
        for call in calls.into_iter().flatten().filter_map(Value::as_object_mut) {
            call.shift_remove("index");
        }
        let mut message = Map::new();
        message.insert("role".to_owned(), role.unwrap_or("assistant".into()));
        let missing = content.is_null() && !has_calls;
        message.insert(
            "content".to_owned(),
            if missing { "".into() } else { content },
        );
        message.append(&mut members);
        Value::Object(message)
    }
}

/// Whether a member of a chunk, which is neither its choices nor its usage, is the same in all chunks of an answer.
fn is_of_head(key: &str, value: Node<'_>) -> bool {
    !matches!(key, "choices" | "usage" | "object") && value.kind() != Kind::Null
}

/// The value, `None` for `null` and for what is no JSON.
fn parse(node: Node<'_>) -> Option<Value> {
    let is_null = node.kind() == Kind::Null;
    (!is_null).then(|| serde_json::from_slice(node.raw()).ok())?
}

/// Adds a later piece of a value to what is there: text and lists grow, objects member by member.
fn merge(before: &mut Value, piece: Value) {
    match (before, piece) {
        (_, Value::Null) => {}
        (Value::String(before), Value::String(text)) => before.push_str(&text),
        (Value::Array(before), Value::Array(items)) => merge_items(before, items),
        (Value::Object(before), Value::Object(members)) => {
            for (key, value) in members {
                merge_member(before, &key, value);
            }
        }
        (before, piece) => *before = piece,
    }
}

fn merge_member(members: &mut Map<String, Value>, key: &str, piece: Value) {
    match members.get_mut(key) {
        Some(_) if NAMES.contains(&key) && is_blank(&piece) => {}
        Some(before) if NAMES.contains(&key) => *before = piece,
        Some(before) => merge(before, piece),
        None => drop(members.insert(key.to_owned(), piece)),
    }
}

fn is_blank(piece: &Value) -> bool {
    piece.is_null() || piece.as_str() == Some("")
}

/// Items with an index are pieces of one item, as those of tool calls; others are new.
fn merge_items(before: &mut Vec<Value>, items: Vec<Value>) {
    for item in items {
        let same = |other: &&mut Value| {
            let index = item.get("index");
            index.is_some() && other.get("index") == index
        };
        match before.iter_mut().find(same) {
            Some(other) => merge(other, item),
            None => before.push(item),
        }
    }
}

/// Without the texts, which are somebody's answer.
impl fmt::Debug for AnswerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnswerText({} bytes)", self.length_bytes)
    }
}
