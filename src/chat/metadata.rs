//! `__metadata__`: what functions are told of a request's circumstances, in Open WebUI's words.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::request::{ChatRequest, Incoming};
use crate::auth::Via;
use crate::host::Metadata;
use crate::wire::json::Document;

/// The header in which Open WebUI names the chat that a request belongs to.
const CHAT_ID_HEADER: &str = "x-openwebui-chat-id";

/// The metadata of a caller without a browser session. Written at once, without a tree: every filtered request has it.
#[derive(Serialize)]
struct Told<'a> {
    user_id: &'a str,
    chat_id: Cow<'a, str>,
    message_id: &'a RawValue,
    session_id: &'a RawValue,
    filter_ids: &'a [String],
    tool_ids: &'a RawValue,
    tool_servers: &'a RawValue,
    files: &'a RawValue,
    features: &'a RawValue,
    variables: &'a RawValue,
    model: &'a RawValue,
    direct: bool,
    params: Params<'a>,
    user_agent: (),
    internal: bool,
    user_message: (),
    user_message_id: (),
    assistant_message_id: (),
    regeneration_message_id: (),
    automation_id: (),
    folder_id: (),
    chat_variables: Empty,
    chat_context: (),
    include_file_context: bool,
    tool_approval_resume: (),
}

#[derive(Serialize)]
struct Params<'a> {
    function_calling: Cow<'a, str>,
}

/// `{}`.
#[derive(Default, Serialize)]
struct Empty {}

/// The metadata of a request, as JSON; `model` is the entry of the model that was asked for.
pub(super) fn of_request(
    original: &Document,
    filter_ids: &[String],
    incoming: &Incoming<'_>,
    model: &Bytes,
) -> Bytes {
    let keys = [
        "id",
        "session_id",
        "tool_ids",
        "tool_servers",
        "files",
        "features",
        "variables",
    ];
    let members = keys.map(|key| original.raw(key));
    let [
        id,
        session,
        tool_ids,
        tool_servers,
        files,
        features,
        variables,
    ] = &members;
    let params = original
        .raw("params")
        .and_then(|params| Document::parse(params).ok());
    let told = Told {
        user_id: &incoming.caller.user.id,
        chat_id: original
            .string("chat_id")
            .unwrap_or_else(|| chat_of(incoming)),
        message_id: raw(id.as_ref(), "null"),
        session_id: raw(session.as_ref(), "null"),
        filter_ids,
        tool_ids: raw(tool_ids.as_ref(), "null"),
        tool_servers: raw(tool_servers.as_ref(), "null"),
        files: raw(files.as_ref(), "null"),
        features: raw(features.as_ref(), "{}"),
        variables: raw(variables.as_ref(), "{}"),
        model: raw(Some(model), "null"),
        direct: false,
        params: Params {
            function_calling: params
                .as_ref()
                .and_then(|params| params.string("function_calling"))
                .unwrap_or(Cow::Borrowed("native")),
        },
        user_agent: (),
        internal: false,
        user_message: (),
        user_message_id: (),
        assistant_message_id: (),
        regeneration_message_id: (),
        automation_id: (),
        folder_id: (),
        chat_variables: Empty {},
        chat_context: (),
        include_file_context: true,
        tool_approval_resume: (),
    };
    serde_json::to_vec(&told)
        .expect("texts and JSON can be written as JSON")
        .into()
}

/// JSON as it stands, or what stands for a member that is not there.
fn raw<'a>(json: Option<&'a Bytes>, absent: &'static str) -> &'a RawValue {
    json.and_then(|json| serde_json::from_slice(json).ok())
        .unwrap_or_else(|| serde_json::from_str(absent).expect("it is JSON"))
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
