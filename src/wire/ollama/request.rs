//! A chat request in Ollama's words.
//!
//! Nothing is dropped: what Ollama has another place for is moved there, and what it does not know
//! goes along unchanged and is ignored there.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{TranslateError, message, options};
use crate::wire::json::Document;

/// Members of `options` that Ollama expects beside it.
const ROOT_MEMBERS: [&str; 4] = ["format", "keep_alive", "think", "system"];

/// The body for `/api/chat` that asks `model` what the chat request in `document` asks.
///
/// # Errors
///
/// A [`TranslateError`] where the request says something that Ollama has no words for.
pub fn request(document: &Document, model: &str) -> Result<Bytes, TranslateError> {
    let mut body = Map::new();
    let mut options = given_options(document)?;
    body.insert("model".to_owned(), with_tag(model).into());
    for (key, raw) in document.iter() {
        let value = parse(&raw);
        if !value.is_null() {
            translate(&key, value, &mut body, &mut options)?;
        }
    }
    body.entry("stream").or_insert(Value::Bool(false));
    move_to_root(&mut options, &mut body);
    if !options.is_empty() {
        body.insert("options".to_owned(), Value::Object(options));
    }
    Ok(Bytes::from(Value::Object(body).to_string()))
}

/// A model without a tag is the one tagged `latest`.
fn with_tag(model: &str) -> Cow<'_, str> {
    if model.contains(':') {
        return Cow::Borrowed(model);
    }
    Cow::Owned(format!("{model}:latest"))
}

/// Ollama's own `options`, which an OpenAI request may carry, in Ollama's names.
fn given_options(document: &Document) -> Result<Map<String, Value>, TranslateError> {
    let given = match document.raw("options").map(|raw| parse(&raw)) {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(given)) => given,
        Some(_) => return Err(wrong_kind("options", "an object")),
    };
    let mut options = Map::new();
    for (key, value) in given.into_iter().filter(|(_, value)| !value.is_null()) {
        let name = options::name_of(&key).unwrap_or(&key).to_owned();
        let value = options::value_of(&name, value);
        options.entry(name).or_insert(value);
    }
    Ok(options)
}

fn translate(
    key: &str,
    value: Value,
    body: &mut Map<String, Value>,
    options: &mut Map<String, Value>,
) -> Result<(), TranslateError> {
    match key {
        "model" | "options" => {}
        "messages" => drop(body.insert(key.to_owned(), messages(value)?)),
        "response_format" => insert_some(body, "format", format(&value)?),
        "reasoning_effort" => insert_some(body, "think", think(&value)),
        "reasoning" => insert_some(body, "think", value.get("effort").and_then(think)),
        "format" | "think" => drop(body.insert(key.to_owned(), value)),
        _ => match options::name_of(key) {
            // What stands in `options` was meant for Ollama and wins.
            Some(name) => {
                let entry = options.entry(name);
                entry.or_insert_with(|| options::value_of(name, value));
            }
            None => drop(body.insert(key.to_owned(), value)),
        },
    }
    Ok(())
}

/// Adds what was translated, unless Ollama's own word for it was given.
fn insert_some(body: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        body.entry(key).or_insert(value);
    }
}

fn messages(value: Value) -> Result<Value, TranslateError> {
    let Value::Array(messages) = value else {
        return Err(wrong_kind("messages", "a list"));
    };
    message::translate(messages).map(Value::Array)
}

/// `json` or a schema; plain text needs no format.
fn format(value: &Value) -> Result<Option<Value>, TranslateError> {
    let expected = "an object with a known `type`";
    match value.get("type").and_then(Value::as_str) {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some("json".into())),
        Some("json_schema") => match value.pointer("/json_schema/schema") {
            Some(schema) => Ok(Some(schema.clone())),
            None => Err(wrong_kind(
                "response_format",
                "a `json_schema` with a `schema`",
            )),
        },
        _ => Err(wrong_kind("response_format", expected)),
    }
}

/// Ollama knows three levels, and off.
fn think(effort: &Value) -> Option<Value> {
    Some(match effort.as_str()? {
        "none" => false.into(),
        "minimal" => "low".into(),
        "xhigh" => "high".into(),
        level => level.into(),
    })
}

fn move_to_root(options: &mut Map<String, Value>, body: &mut Map<String, Value>) {
    for key in ROOT_MEMBERS {
        if let Some(value) = options.shift_remove(key) {
            body.insert(key.to_owned(), value);
        }
    }
}

fn wrong_kind(param: &'static str, expected: &'static str) -> TranslateError {
    TranslateError::WrongKind { param, expected }
}

/// A value of the document.
fn parse(raw: &[u8]) -> Value {
    serde_json::from_slice(raw).expect("the gate has checked every value and how deep it is nested")
}
