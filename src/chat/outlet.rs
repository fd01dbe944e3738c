//! The filters on the answer: on whole ones what they change reaches the caller.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tracing::{info, warn};

use super::chain::{Chain, Link};
use super::failure;
use super::remote::{self, Remotes};
use super::request::ChatRequest;
use crate::config::{Closing, StreamOutlet};
use crate::error::{Error, Kind, Result};
use crate::host::{Context, Failure, Hook, Host, Metadata};
use crate::registry::FunctionKind;
use crate::telemetry::{Outcome, RequestLog};
use crate::upstream::{Answer, RemoteHook};
use crate::wire::json::Document;
use crate::wire::openai;

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
    if let Some(usage) = openai::usage_of(&answer.body) {
        chain.log.set_tokens(usage.prompt, usage.completion);
    }
    if !chain.handles(OUTLET) {
        return Ok(answer);
    }
    let mut whole: Value = serde_json::from_slice(&answer.body).map_err(unseen)?;
    let choices = whole.get_mut("choices").and_then(Value::as_array_mut);
    let mut is_changed = false;
    // Each of several answers is an answer: one that no filter saw would have got round it.
    for choice in choices.into_iter().flatten() {
        let Some(message) = choice
            .get_mut("message")
            .filter(|message| message.is_object())
        else {
            continue;
        };
        let talk = Talk::new(request, &chain.log, message.clone());
        if let Some(changed) = talk.decide(host, chain, request, Effect::Always).await? {
            *message = changed;
            is_changed = true;
        }
    }
    if is_changed {
        answer.body = whole.to_string().into();
    }
    Ok(answer)
}

/// The error of an answer that outlet filters cannot look at, and that must not get round them.
fn unseen(error: serde_json::Error) -> Error {
    let message = "the answer is no JSON, so that outlet filters cannot see it";
    Error::new(Kind::UpstreamInvalid, message).with_source(error)
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
        let Chain {
            links,
            remotes,
            context,
            log,
            ..
        } = chain;
        let context = context
            .as_ref()
            .expect("a chain with filters has a context");
        let metadata = request.metadata.clone();
        let mut metadata = metadata.expect("a chain with filters has metadata");
        let mut is_changed = false;
        if let Some(remotes) = remotes {
            // Boxed, because it is rare and large.
            is_changed |= Box::pin(self.ask_remotes(remotes, context, effect, log)).await?;
        }
        // The pipe that gave the answer is the first to see it.
        let is_filter = |link: &Link| link.function.kind() == FunctionKind::Filter;
        let filters = links.partition_point(is_filter);
        let (filters, own) = links.split_at_mut(filters);
        for link in own
            .iter_mut()
            .chain(filters)
            .filter(|link| link.function.handles(OUTLET))
        {
            match self.ask(host, context, link, &mut metadata).await {
                Ok(body) => {
                    let id = link.function.id.as_str();
                    is_changed |= self.take(id, &body, takes_effect(link, effect), log);
                }
                Err(failure) => forgive(request, link, &failure, log)?,
            }
        }
        Ok(is_changed.then_some(self.message))
    }

    /// Shows one filter the conversation; the body that it gives back.
    async fn ask(
        &self,
        host: &Host,
        context: &Context,
        link: &mut Link,
        metadata: &mut Metadata,
    ) -> std::result::Result<Bytes, Failure> {
        let body: Bytes = Value::Object(self.body.clone()).to_string().into();
        let session = link.session(host, context, metadata).await?;
        let (body, json) = session.call_hook(Hook::Outlet, &body, metadata).await?;
        if json != metadata.json {
            *metadata = Metadata {
                json,
                version: metadata.version + 1,
            };
        }
        Ok(body)
    }

    /// Shows the filters of Pipelines servers the conversation; whether the answer is another one now.
    async fn ask_remotes(
        &mut self,
        remotes: &Remotes,
        context: &Context,
        effect: Effect,
        log: &RequestLog,
    ) -> Result<bool> {
        let mut is_changed = false;
        for filter in remotes.outlets() {
            let body: Bytes = Value::Object(self.body.clone()).to_string().into();
            let reply = remotes
                .ask(filter, RemoteHook::Outlet, context, body, log)
                .await?;
            if let Some(reply) = reply {
                let takes_effect = effect == Effect::Always || remote::holds_streams(filter);
                is_changed |= self.take(&filter.id, reply.bytes(), takes_effect, log);
            }
        }
        Ok(is_changed)
    }

    /// Takes over what a filter made of the conversation; whether the answer is another one now.
    fn take(&mut self, id: &str, body: &[u8], takes_effect: bool, log: &RequestLog) -> bool {
        let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
            return false;
        };
        let wanted = self.wanted(&body);
        let outcome = if wanted.is_some() {
            Outcome::Changed
        } else {
            Outcome::Passed
        };
        log.function_ran(id, OUTLET, outcome);
        if takes_effect {
            self.body = body;
            if let Some(message) = wanted {
                self.message = message;
                return true;
            }
        } else if wanted.is_some() {
            info!(function.id = %id, "outlet changed an answer that was streamed already");
        }
        false
    }

    /// The answer's message as a filter wants it, if it wants another one.
    fn wanted(&self, body: &Map<String, Value>) -> Option<Value> {
        let (before, after) = (last_answer(&self.body)?, last_answer(body)?);
        (before != after).then(|| merged(&self.message, before, after))
    }
}

/// The last message of the assistant in a conversation.
fn last_answer(body: &Map<String, Value>) -> Option<&Map<String, Value>> {
    let messages = body.get("messages")?.as_array()?;
    messages
        .iter()
        .rfind(|message| message["role"] == "assistant")?
        .as_object()
}

/// Lets the answer out in spite of a failure, or not.
fn forgive(request: &ChatRequest, link: &Link, failure: &Failure, log: &RequestLog) -> Result<()> {
    let id = &link.function.id;
    let error = failure::of_answer_hook(request.contract, id, OUTLET, failure);
    log.function_ran(id.as_str(), OUTLET, failure::outcome(&error));
    if !is_forgiven(link, failure, &error) {
        return Err(error);
    }
    warn!(function.id = %id, %error, "outlet failed, the answer goes out as it was");
    log.function_error(id.as_str());
    Ok(())
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
