//! The filters on the answer: on whole ones what they change reaches the caller.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tracing::{info, warn};

use super::chain::{Chain, Link};
use super::failure;
use super::request::ChatRequest;
use crate::config::{Closing, StreamOutlet};
use crate::error::{Error, Kind, Result};
use crate::host::{Failure, Hook, Host, Metadata};
use crate::telemetry::{Outcome, RequestLog};
use crate::upstream::Answer;
use crate::wire::json::Document;

const OUTLET: &str = "outlet";

/// Passes a whole answer through `outlet` of every filter that has it.
///
/// # Errors
///
/// If a filter refuses, or fails and does so closed.
pub(super) async fn run(
    host: &Host,
    chain: &mut Chain,
    request: &ChatRequest,
    mut answer: Answer,
) -> Result<Answer> {
    if !chain.handles(OUTLET) {
        return Ok(answer);
    }
    let Ok(mut whole) = serde_json::from_slice::<Value>(&answer.body) else {
        return Ok(answer);
    };
    let Some(message) = whole
        .pointer("/choices/0/message")
        .filter(|message| message.is_object())
    else {
        return Ok(answer);
    };
    let talk = Talk::new(request, &chain.log, message.clone());
    if let Some(changed) = talk.decide(host, chain, request, Effect::Always).await? {
        whole["choices"][0]["message"] = changed;
        answer.body = whole.to_string().into();
    }
    Ok(answer)
}

/// Which filters' changes take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Everybody's: the answer has not left.
    Always,
    /// Those of filters that hold streams back.
    IfHeld,
}

/// What outlet filters see: the conversation with the answer as its last message.
pub(super) struct Talk {
    message: Value,
    body: Map<String, Value>,
}

impl Talk {
    /// The conversation of `request` with `message` as the answer.
    pub(super) fn new(request: &ChatRequest, log: &RequestLog, message: Value) -> Self {
        let messages = request
            .document
            .raw("messages")
            .and_then(|raw| serde_json::from_slice(&raw).ok());
        let mut messages: Vec<Value> = messages.unwrap_or_default();
        for message in messages.iter_mut().filter_map(Value::as_object_mut) {
            message.entry("id").or_insert(Value::Null);
        }
        messages.push(seen(&message, log.id()));
        let known = |key: &str| -> Value {
            let metadata = request
                .metadata
                .as_ref()
                .and_then(|known| Document::parse(known.json.clone()).ok());
            let raw = metadata.and_then(|metadata| metadata.raw(key));
            raw.and_then(|raw| serde_json::from_slice(&raw).ok())
                .unwrap_or_default()
        };
        let body = json!({
            "model": request.model(),
            "messages": messages,
            "filter_ids": request.filter_ids,
            "chat_id": known("chat_id"),
            "session_id": known("session_id"),
            "id": messages.last().map(|answer| answer["id"].clone()),
        });
        let Value::Object(body) = body else {
            unreachable!("an object was written above")
        };
        Self { message, body }
    }

    /// Asks every outlet filter; the answer's message as they want it, `None` if they want nothing else.
    pub(super) async fn decide(
        mut self,
        host: &Host,
        chain: &mut Chain,
        request: &ChatRequest,
        effect: Effect,
    ) -> Result<Option<Value>> {
        let context = chain
            .context
            .as_ref()
            .expect("a chain with filters has a context");
        let mut metadata = request
            .metadata
            .clone()
            .expect("a chain with filters has metadata");
        let mut result = None;
        for link in chain
            .links
            .iter_mut()
            .filter(|link| link.function.handles(OUTLET))
        {
            let id = link.function.id.clone();
            let body: Bytes = Value::Object(self.body.clone()).to_string().into();
            let reply = match link.session(host, context, &metadata).await {
                Ok(session) => session.call_hook(Hook::Outlet, &body, &metadata).await,
                Err(failure) => Err(failure),
            };
            match reply {
                Ok((body, known)) => {
                    if known != metadata.json {
                        metadata = Metadata {
                            json: known,
                            version: metadata.version + 1,
                        };
                    }
                    let changed = self.take(link, &body, effect);
                    let outcome = if changed {
                        Outcome::Changed
                    } else {
                        Outcome::Passed
                    };
                    chain.log.function_ran(id.as_str(), OUTLET, outcome);
                    match (changed, takes_effect(link, effect)) {
                        (true, true) => result = Some(self.message.clone()),
                        (true, false) => {
                            info!(function.id = %id, "outlet changed an answer that was streamed already")
                        }
                        (false, _) => {}
                    }
                }
                Err(failure) => {
                    let error = failure::of_answer_hook(request.contract, &id, OUTLET, &failure);
                    chain
                        .log
                        .function_ran(id.as_str(), OUTLET, failure::outcome(&error));
                    if !is_forgiven(link, &failure, &error) {
                        return Err(error);
                    }
                    warn!(function.id = %id, %error, "outlet failed, the answer goes out as it was");
                    chain.log.function_error(id.as_str());
                }
            }
        }
        Ok(result)
    }

    /// Takes over what a filter made of the conversation; whether it changed the answer.
    fn take(&mut self, link: &Link, body: &[u8], effect: Effect) -> bool {
        let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
            return false;
        };
        let messages = body.get("messages").and_then(Value::as_array);
        let last = messages.and_then(|messages| {
            messages
                .iter()
                .rfind(|message| message["role"] == "assistant")
        });
        let before = self.body["messages"]
            .as_array()
            .and_then(|messages| messages.last());
        let (Some(Value::Object(after)), Some(Value::Object(before))) = (last, before) else {
            return false;
        };
        let is_changed = after != before;
        if takes_effect(link, effect) {
            self.message = merged(&self.message, before, after);
            self.body = body;
        }
        is_changed
    }
}

/// The answer's message as functions see it: with an id, a time, and text in any case.
fn seen(message: &Value, request_id: &str) -> Value {
    let mut seen = message.clone();
    let id: String = request_id
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(24)
        .collect();
    seen["id"] = json!(format!("msg_{id}"));
    if seen["content"].is_null() {
        seen["content"] = json!("");
    }
    seen
}

/// The message with everything that is different in `after` from what it was in `before`.
fn merged(message: &Value, before: &Map<String, Value>, after: &Map<String, Value>) -> Value {
    let mut merged = message.clone();
    let Some(members) = merged.as_object_mut() else {
        return merged;
    };
    for (key, value) in after {
        if before.get(key) != Some(value) {
            members.insert(key.clone(), value.clone());
        }
    }
    members.retain(|key, _| after.contains_key(key) || !before.contains_key(key));
    merged
}

fn takes_effect(link: &Link, effect: Effect) -> bool {
    effect == Effect::Always || link.function.settings.stream_outlet == StreamOutlet::Hold
}

/// Whether the answer goes out in spite of a failure (ruling R6): only after an accident of a filter that allows it.
fn is_forgiven(link: &Link, failure: &Failure, error: &Error) -> bool {
    let settings = &link.function.settings;
    match (error.kind(), failure) {
        (Kind::FunctionRefused, _) => false,
        (_, Failure::Raised(_)) => settings.outlet_error == Closing::Open,
        _ => settings.on_error == Closing::Open,
    }
}
