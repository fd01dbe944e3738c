//! `__metadata__`: what functions are told of a request's circumstances, in Open WebUI's words.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Value, json};

use super::request::{ChatRequest, Incoming};
use crate::auth::Via;
use crate::host::Metadata;
use crate::wire::json::{Document, ObjectWriter};

/// The header in which Open WebUI names the chat that a request belongs to.
const CHAT_ID_HEADER: &str = "x-openwebui-chat-id";

/// Room for the metadata beside the model's entry and what the client said, in bytes.
const ROOM: usize = 768;

/// What a caller without a browser session has none of.
const NEVER_THERE: &str = concat!(
    r#""user_agent":null,"internal":false,"user_message":null,"user_message_id":null,"assistant_message_id":null,"#,
    r#""regeneration_message_id":null,"automation_id":null,"folder_id":null,"chat_variables":{},"chat_context":null,"#,
    r#""include_file_context":true,"tool_approval_resume":null"#
);

/// The metadata of a request, as JSON; `model` is the entry of the model that was asked for. Written at once, without a
/// tree: every filtered request has it.
pub(super) fn of_request(
    original: &Document,
    filter_ids: &[String],
    incoming: &Incoming<'_>,
    model: &Bytes,
) -> Bytes {
    let chat = original
        .string("chat_id")
        .unwrap_or_else(|| chat_of(incoming));
    let mut told = ObjectWriter::with_room(ROOM + model.len());
    told.text("user_id", &incoming.caller.user.id)
        .text("chat_id", &chat);
    said(&mut told, original, "message_id", "id", "null");
    said(&mut told, original, "session_id", "session_id", "null");
    told.texts("filter_ids", filter_ids);
    for (key, absent) in [
        ("tool_ids", "null"),
        ("tool_servers", "null"),
        ("files", "null"),
        ("features", "{}"),
        ("variables", "{}"),
    ] {
        said(&mut told, original, key, key, absent);
    }
    told.raw("model", model).raw("direct", b"false");
    told.raw("params", &params_of(original));
    told.members(NEVER_THERE);
    told.finish()
}

/// Tells under `name` what the client said under `key`, or what stands for nothing.
fn said(told: &mut ObjectWriter, original: &Document, name: &str, key: &str, absent: &str) {
    match original.raw(key) {
        Some(json) => told.raw(name, &json),
        None => told.raw(name, absent.as_bytes()),
    };
}

/// How functions are called, which is all that functions are told of the client's `params`.
fn params_of(original: &Document) -> Bytes {
    let params = original
        .raw("params")
        .and_then(|params| Document::parse(params).ok());
    let chosen = params
        .as_ref()
        .and_then(|params| params.string("function_calling"));
    let mut told = ObjectWriter::with_room(64);
    told.text("function_calling", chosen.as_deref().unwrap_or("native"));
    told.finish()
}

/// The chat that a trusted chat UI names in a header, as Open WebUI does in front of the gateway; empty for none.
fn chat_of<'a>(incoming: &Incoming<'a>) -> Cow<'a, str> {
    let named = incoming.headers.get(CHAT_ID_HEADER);
    let named = named.filter(|_| incoming.caller.via == Via::UiKey);
    named
        .and_then(|id| id.to_str().ok())
        .unwrap_or_default()
        .into()
}

/// `__metadata__` for a pipe: with what the real product has added by the time it calls one.
pub(super) fn for_pipe(request: &ChatRequest, known: &Metadata) -> Metadata {
    let Ok(document) = Document::parse(known.json.clone()) else {
        return known.clone();
    };
    let messages = request.document.raw("messages");
    let messages: Vec<Value> = messages
        .and_then(|raw| serde_json::from_slice(&raw).ok())
        .unwrap_or_default();
    let last_text = |role: &str| {
        let message = messages.iter().rfind(|message| message["role"] == role);
        message.map_or(Value::Null, |message| message["content"].clone())
    };
    let mut edit = document.edit();
    for (key, value) in [
        ("base_system_prompt", last_text("system")),
        ("base_user_prompt", last_text("user")),
        ("model_id", json!(request.model())),
        ("skill_ids", json!([])),
        ("sources", json!([])),
        ("terminal_id", Value::Null),
    ] {
        if document.kind(key).is_none() {
            edit.set(key, value.to_string().into());
        }
    }
    Metadata {
        json: edit.finish(),
        version: known.version + 1,
    }
}
