//! The messages of a chat in Ollama's words.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::TranslateError;

/// Which tool a call was for, by the call's id.
type ToolNames = HashMap<String, Value>;

/// All messages. Members that Ollama does not know go along unchanged.
pub(super) fn translate(messages: Vec<Value>) -> Result<Vec<Value>, TranslateError> {
    let mut names = ToolNames::new();
    let indexed = messages.into_iter().enumerate();
    indexed
        .map(|(index, message)| translate_one(index, message, &mut names))
        .collect()
}

fn translate_one(
    index: usize,
    message: Value,
    names: &mut ToolNames,
) -> Result<Value, TranslateError> {
    let Value::Object(mut message) = message else {
        return Err(TranslateError::InvalidMessage { index });
    };
    let Some(role) = message.get("role").and_then(Value::as_str) else {
        return Err(TranslateError::InvalidMessage { index });
    };
    match role {
        "developer" => drop(message.insert("role".to_owned(), "system".into())),
        "tool" => name_tool(&mut message, names),
        _ => {}
    }
    translate_content(index, &mut message)?;
    translate_calls(index, &mut message, names)?;
    if let Some(reasoning) = message.shift_remove("reasoning_content") {
        message.entry("thinking").or_insert(reasoning);
    }
    Ok(Value::Object(message))
}

/// Text is a string and images stand apart.
fn translate_content(index: usize, message: &mut Map<String, Value>) -> Result<(), TranslateError> {
    let mut images = Vec::new();
    let text = match message.get_mut("content").map(Value::take) {
        Some(Value::String(text)) => text,
        Some(Value::Array(parts)) => text_of(index, &parts, &mut images)?,
        Some(Value::Null) | None => String::new(),
        Some(_) => return Err(TranslateError::UnsupportedPart { index }),
    };
    message.insert("content".to_owned(), text.into());
    if images.is_empty() {
        return Ok(());
    }
    match message.get_mut("images").and_then(Value::as_array_mut) {
        Some(given) => given.append(&mut images),
        None => drop(message.insert("images".to_owned(), Value::Array(images))),
    }
    Ok(())
}

/// The text of all parts; their images go to `images`.
fn text_of(
    index: usize,
    parts: &[Value],
    images: &mut Vec<Value>,
) -> Result<String, TranslateError> {
    let mut text = String::new();
    for part in parts {
        let piece = part.get("text").or_else(|| part.get("refusal"));
        if let Some(piece) = piece.and_then(Value::as_str) {
            text.push_str(piece);
        } else if let Some(url) = part.get("image_url").and_then(url_of) {
            images.push(base64_of(index, url)?.into());
        } else {
            return Err(TranslateError::UnsupportedPart { index });
        }
    }
    Ok(text.trim().to_owned())
}

/// The URL of an image part, which some clients send bare.
fn url_of(image: &Value) -> Option<&str> {
    image.get("url").unwrap_or(image).as_str()
}

/// The base64 of a data URL; what is no URL is taken for base64 itself.
fn base64_of(index: usize, url: &str) -> Result<&str, TranslateError> {
    if let Some(rest) = url.strip_prefix("data:") {
        let (_, data) = rest
            .split_once(',')
            .ok_or(TranslateError::RemoteImage { index })?;
        return Ok(data);
    }
    if url.contains("://") {
        return Err(TranslateError::RemoteImage { index });
    }
    Ok(url)
}

/// Tool calls carry their arguments as an object.
fn translate_calls(
    index: usize,
    message: &mut Map<String, Value>,
    names: &mut ToolNames,
) -> Result<(), TranslateError> {
    let Some(Value::Array(calls)) = message.get_mut("tool_calls") else {
        return Ok(());
    };
    for call in calls {
        let function = call.get_mut("function").and_then(Value::as_object_mut);
        let function = function.ok_or(TranslateError::InvalidArguments { index })?;
        let arguments = function.get("arguments").unwrap_or(&Value::Null);
        let arguments =
            arguments_of(arguments).ok_or(TranslateError::InvalidArguments { index })?;
        function.insert("arguments".to_owned(), arguments);
        let name = function.get("name").cloned();
        if let (Some(id), Some(name)) = (call.get("id").and_then(Value::as_str), name) {
            names.insert(id.to_owned(), name);
        }
    }
    Ok(())
}

fn arguments_of(arguments: &Value) -> Option<Value> {
    let parsed = match arguments {
        Value::Null => json!({}),
        Value::String(text) if text.trim().is_empty() => json!({}),
        Value::String(text) => serde_json::from_str(text).ok()?,
        other => other.clone(),
    };
    parsed.is_object().then_some(parsed)
}

/// Says which tool answers: OpenAI names the call, Ollama's templates want the tool.
fn name_tool(message: &mut Map<String, Value>, names: &ToolNames) {
    let id = message.get("tool_call_id").and_then(Value::as_str);
    let name = message.get("name").or_else(|| names.get(id?));
    if let Some(name) = name.cloned() {
        message.entry("tool_name").or_insert(name);
    }
}
