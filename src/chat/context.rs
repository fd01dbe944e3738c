//! What functions are told of a request besides its body.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Value, json};

use super::callbacks::{Asking, Reach};
use super::events::Events;
use super::request::Incoming;
use crate::auth::Caller;
use crate::host::Context;
use crate::models::Model;
use crate::registry::Snapshot;

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
    let http = Bytes::from(http.to_string());
    let entry = model.entry();
    let asking = Asking {
        caller: caller.clone(),
        peer: incoming.peer,
        request_id: Arc::clone(incoming.log.id()),
        within: incoming.within.clone(),
        events,
        snapshot: Arc::downgrade(snapshot),
        model: entry.clone(),
        http: http.clone(),
    };
    Context {
        callbacks: reach.callbacks.open(asking),
        user_id: caller.user.id.clone(),
        user: user.to_string().into(),
        model: entry,
        http,
        now: incoming.now,
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
