//! What functions are told of a request besides its body.

use http::HeaderMap;
use serde_json::{Value, json};

use super::request::Incoming;
use crate::auth::Caller;
use crate::host::Context;
use crate::models::Model;
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
pub(crate) fn context(incoming: &Incoming<'_>, model: &Model) -> Context {
    let caller = incoming.caller;
    let user = json!({
        "id": caller.user.id,
        "email": caller.user.email,
        "name": caller.user.name,
        "role": caller.user.role.as_str(),
    });
    let http = json!({
        "method": incoming.method.as_str(),
        "url": incoming.uri.to_string(),
        "headers": visible_headers(incoming.headers),
        "client": incoming.peer.to_string(),
    });
    Context {
        user_id: caller.user.id.clone(),
        user: user.to_string().into(),
        model: model.entry(),
        http: http.to_string().into(),
    }
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
