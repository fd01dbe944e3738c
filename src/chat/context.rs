//! What functions are told of a request besides its body.

use std::sync::Arc;

use http::{HeaderMap, header};
use serde_json::{Value, json};

use super::callbacks::{Asking, Reach};
use super::events::Events;
use super::request::{ChatRequest, Incoming};
use crate::auth::Caller;
use crate::host::{Context, Metadata};
use crate::models::Model;
use crate::registry::Snapshot;
use crate::wire::json::Document;

/// Headers that carry credentials.
const SECRET_HEADERS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "api-key",
];

/// What functions are told of the request besides body and metadata.
#[must_use]
pub(crate) fn context(
    reach: &Reach,
    snapshot: &Arc<Snapshot>,
    incoming: &Incoming<'_>,
    model: &Model,
    events: Arc<Events>,
) -> Context {
    let caller = incoming.caller;
    let user = user(caller);
    let http = json!({
        "method": incoming.method.as_str(),
        "url": address(incoming),
        "headers": visible_headers(incoming.headers),
        "client": incoming.peer.to_string(),
    });
    let asking = Asking {
        caller: caller.clone(),
        peer: incoming.peer,
        request_id: Arc::clone(incoming.log.id()),
        within: incoming.within.clone(),
        events,
        snapshot: Arc::downgrade(snapshot),
        model: model.entry(),
        http: http.to_string().into(),
    };
    Context {
        callbacks: reach.callbacks.open(asking),
        user_id: caller.user.id.clone(),
        user: user.to_string().into(),
        model: model.entry(),
        http: http.to_string().into(),
    }
}

/// The address that was asked, whole: HTTP/1 has it in two places.
fn address(incoming: &Incoming<'_>) -> String {
    let field = || incoming.headers.get(header::HOST)?.to_str().ok();
    let named = incoming.uri.authority().map(|host| host.as_str());
    let scheme = if incoming.is_encrypted {
        "https"
    } else {
        "http"
    };
    let target = incoming
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    match named.or_else(field) {
        Some(host) => format!("{scheme}://{host}{target}"),
        None => target.to_owned(),
    }
}

/// What functions are told of the caller.
pub(super) fn user(caller: &Caller) -> Value {
    json!({
        "id": caller.user.id,
        "email": caller.user.email,
        "name": caller.user.name,
        "role": caller.user.role.as_str(),
    })
}

/// The headers that functions may see: no credentials, and no word on who calls but ours (ruling R35).
fn visible_headers(headers: &HeaderMap) -> Value {
    let is_visible =
        |name: &str| !SECRET_HEADERS.contains(&name) && !name.starts_with("x-openwebui-user-");
    let visible = headers.iter().filter(|(name, _)| is_visible(name.as_str()));
    let text =
        visible.filter_map(|(name, value)| Some((name.to_string(), json!(value.to_str().ok()?))));
    Value::Object(text.collect())
}

/// `__metadata__` for a pipe: with what the real product has added by the time it calls one.
pub(super) fn metadata_for_pipe(request: &ChatRequest, known: &Metadata) -> Metadata {
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

/// `__metadata__` as Open WebUI builds it for a caller without a browser session.
pub(super) fn metadata(
    original: &Document,
    filter_ids: &[String],
    caller: &Caller,
    model: &Model,
) -> Value {
    let member = |key: &str| -> Value {
        original
            .raw(key)
            .and_then(|raw| serde_json::from_slice(&raw).ok())
            .unwrap_or_default()
    };
    let or_empty = |key: &str| {
        if original.kind(key).is_some() {
            member(key)
        } else {
            json!({})
        }
    };
    let entry: Value = serde_json::from_slice(&model.entry()).unwrap_or_default();
    json!({
        "user_id": caller.user.id,
        "chat_id": original.string("chat_id").unwrap_or_default(),
        "message_id": member("id"),
        "session_id": member("session_id"),
        "filter_ids": filter_ids,
        "tool_ids": member("tool_ids"),
        "tool_servers": member("tool_servers"),
        "files": member("files"),
        "features": or_empty("features"),
        "variables": or_empty("variables"),
        "model": entry,
        "direct": false,
        "params": {"function_calling": "native"},
        "user_agent": null,
        "internal": false,
        "user_message": null,
        "user_message_id": null,
        "assistant_message_id": null,
        "regeneration_message_id": null,
        "automation_id": null,
        "folder_id": null,
        "chat_variables": {},
        "chat_context": null,
        "include_file_context": true,
        "tool_approval_resume": null,
    })
}
