//! What functions are told of a request besides its body.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};
use serde::{Serialize, Serializer};

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

/// `__user__`. Written at once, without a tree, as is [`Http`]: every request that meets a function has them.
#[derive(Serialize)]
struct Person<'a> {
    id: &'a str,
    email: &'a str,
    name: &'a str,
    role: &'a str,
}

/// What `__request__` is made of.
#[derive(Serialize)]
struct Http<'a> {
    method: &'a str,
    url: &'a str,
    headers: VisibleHeaders<'a>,
    client: IpAddr,
}

/// The headers that functions may see: no credentials, and no word on who calls but ours (ruling R35).
struct VisibleHeaders<'a>(&'a HeaderMap);

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
    let http = written(&Http {
        method: incoming.method.as_str(),
        url: &address(incoming),
        headers: VisibleHeaders(incoming.headers),
        client: incoming.peer,
    });
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
        user: user(caller),
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

/// What functions are told of the caller, a JSON object.
pub(super) fn user(caller: &Caller) -> Bytes {
    let user = &caller.user;
    written(&Person {
        id: &user.id,
        email: &user.email,
        name: &user.name,
        role: user.role.as_str(),
    })
}

fn written(told: &impl Serialize) -> Bytes {
    let json = serde_json::to_vec(told).expect("texts can be written as JSON");
    json.into()
}

impl Serialize for VisibleHeaders<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = self.0.keys().filter(|name| is_visible(name.as_str()));
        // Of several with one name the last counts, as in a dictionary.
        let text = names.filter_map(|name| {
            let values = self.0.get_all(name).iter().rev();
            Some((
                name.as_str(),
                values.filter_map(|value| value.to_str().ok()).next()?,
            ))
        });
        serializer.collect_map(text)
    }
}

fn is_visible(name: &str) -> bool {
    !SECRET_HEADERS.contains(&name) && !name.starts_with("x-openwebui-user-")
}
