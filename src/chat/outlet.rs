//! The filters on the answer: on whole ones what they change reaches the caller.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tracing::{info, warn};

use super::chain::{Chain, outlets};
use super::failure;
use super::link::{Asked, Failed, Link, together};
use super::request::ChatRequest;
use crate::config::Closing;
use crate::error::{Error, Kind, Result};
use crate::host::{Context, Hook, Host, Metadata, Step};
use crate::telemetry::{Outcome, RequestLog};
use crate::upstream::Answer;
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
    answer: Answer,
) -> Result<Answer> {
    if chain.log.is_wanted()
        && let Some(usage) = openai::usage_of(&answer.body)
    {
        chain.log.set_tokens(usage.prompt, usage.completion);
    }
    if !chain.handles(OUTLET) {
        return Ok(answer);
    }
    // Boxed: a request's future has room for the largest of its ways, and most pass no filter.
    Box::pin(run_all(host, chain, request, answer)).await
}

async fn run_all(
    host: &Host,
    chain: &mut Chain,
    request: &ChatRequest,
    mut answer: Answer,
) -> Result<Answer> {
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
        if let Some(changed) = talk.decide(host, chain, Effect::Always).await? {
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

impl Effect {
    fn is_for(self, link: &Link) -> bool {
        self == Self::Always || link.holds_streams()
    }
}

/// An answer before the outlet filters.
pub(super) struct Talk<'a> {
    request: &'a ChatRequest,
    log: Arc<RequestLog>,
    /// The answer's message as it is now.
    message: Value,
    /// The conversation with the answer as its last message, made for the first filter that is shown it.
    body: Option<Map<String, Value>>,
    metadata: Option<Metadata>,
    /// Whether the answer is another one than it was.
    is_changed: bool,
}

/// What a filter wants.
#[derive(Default)]
struct Wanted {
    /// Another message in the answer.
    message: Option<Value>,
    /// The conversation as it gave that back.
    body: Option<Map<String, Value>>,
}

impl<'a> Talk<'a> {
    /// The conversation of `request` with `message` as the answer.
    pub(super) fn new(request: &'a ChatRequest, log: &Arc<RequestLog>, message: Value) -> Self {
        Self {
            request,
            log: Arc::clone(log),
            message,
            body: None,
            metadata: request.metadata.clone(),
            is_changed: false,
        }
    }

    /// Asks every outlet filter; the answer's message as they want it, `None` if they want nothing else.
    pub(super) async fn decide(
        mut self,
        host: &Host,
        chain: &mut Chain,
        effect: Effect,
    ) -> Result<Option<Value>> {
        let context = chain.context.as_ref();
        let mut links = outlets(&mut chain.links);
        let mut left = links.as_mut_slice();
        while !left.is_empty() {
            let done = match left[0].is_outside() {
                true => self.ask(host, context, left, effect).await?,
                false => self.ask_native(left[0], effect)?,
            };
            left = &mut left[done..];
        }
        Ok(self.is_changed.then_some(self.message))
    }

    /// Shows a filter in Rust the message, which is all that it looks at. Gives how many were asked.
    fn ask_native(&mut self, link: &mut Link, effect: Effect) -> Result<usize> {
        let message = self.message.to_string().into();
        match link.answer(self.request.contract, &message) {
            Ok(answered) => {
                let message = answered.and_then(|message| serde_json::from_slice(&message).ok());
                let wanted = Wanted {
                    message,
                    body: None,
                };
                self.take(link, wanted, effect);
            }
            Err(failed) => forgive(link, failed, &self.log)?,
        }
        Ok(1)
    }

    /// Shows the conversation to the first of `links` and those that can be asked together with it. Gives how many were
    /// asked.
    async fn ask(
        &mut self,
        host: &Host,
        context: Option<&Context>,
        links: &mut [&mut Link],
        effect: Effect,
    ) -> Result<usize> {
        // One whose changes take effect is followed by others who see them, one who observes is not.
        let observes = !effect.is_for(links[0]);
        let is_alike = |link: &&&mut Link| effect.is_for(link) != observes;
        let alike = links.iter().take_while(is_alike).count();
        let shown = serde_json::to_vec(self.conversation()).map_err(Error::internal)?;
        let shown = Bytes::from(shown);
        let asked = Asked {
            host,
            context,
            metadata: self.metadata.as_ref(),
            contract: self.request.contract,
            observes,
        };
        let steps = together::call(&mut links[..alike], asked, Hook::Outlet, &shown).await;
        let mut done = 0;
        for Step { place, result } in steps {
            done = place + 1;
            match result {
                Ok((body, metadata)) => {
                    self.take_metadata(metadata);
                    let wanted = self.wanted(&body);
                    self.take(links[place], wanted, effect);
                }
                Err(failed) => forgive(links[place], failed, &self.log)?,
            }
        }
        Ok(done)
    }

    fn take_metadata(&mut self, json: Bytes) {
        if let Some(known) = self.metadata.as_mut().filter(|known| known.json != json) {
            *known = Metadata {
                json,
                version: known.version + 1,
            };
        }
    }

    /// Takes over what a filter wants.
    fn take(&mut self, link: &Link, wanted: Wanted, effect: Effect) {
        let is_other = wanted.message.is_some();
        self.log
            .function_ran(link.id(), OUTLET, Outcome::of(is_other));
        if !effect.is_for(link) {
            if is_other {
                info!(function.id = %link.id(), "outlet changed an answer that was streamed already");
            }
            return;
        }
        match (wanted.body, &wanted.message) {
            (Some(body), _) => self.body = Some(body),
            // Whoever is shown the conversation next is shown the other answer in it.
            (None, Some(message)) => self.replace_shown(message),
            (None, None) => {}
        }
        if let Some(message) = wanted.message {
            self.message = message;
        }
        self.is_changed |= is_other;
    }

    /// Puts another answer into the conversation, if that was made.
    fn replace_shown(&mut self, message: &Value) {
        let members = |message: &Value| message.as_object().cloned().unwrap_or_default();
        let (before, after) = (members(&self.message), members(message));
        let messages = self.body.as_mut().and_then(|body| body.get_mut("messages"));
        let messages = messages.and_then(Value::as_array_mut);
        let shown = messages.and_then(|it| it.iter_mut().rfind(|it| it["role"] == "assistant"));
        if let Some(shown) = shown {
            *shown = merged(shown, &before, &after);
        }
    }

    /// What a filter wants that was shown the conversation and gave `body` back.
    fn wanted(&self, body: &Bytes) -> Wanted {
        let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
            return Wanted::default();
        };
        let before = self.body.as_ref().and_then(last_answer);
        let changes = before.zip(last_answer(&body));
        let changes = changes.filter(|(before, after)| before != after);
        Wanted {
            message: changes.map(|(before, after)| merged(&self.message, before, after)),
            body: Some(body),
        }
    }

    /// What filters see that look at more than the answer.
    fn conversation(&mut self) -> &Map<String, Value> {
        if self.body.is_none() {
            self.body = Some(conversation(
                self.request,
                seen(&self.message, self.log.id()),
            ));
        }
        self.body.as_ref().expect("it was made above")
    }
}

/// The conversation of a request with an answer as its last message.
fn conversation(request: &ChatRequest, answer: Value) -> Map<String, Value> {
    let messages = request
        .document
        .raw("messages")
        .and_then(|raw| serde_json::from_slice(&raw).ok());
    let mut messages: Vec<Value> = messages.unwrap_or_default();
    for message in messages.iter_mut().filter_map(Value::as_object_mut) {
        message.entry("id").or_insert(Value::Null);
    }
    let metadata = request.metadata.as_ref();
    let metadata = metadata.and_then(|known| Document::parse(known.json.clone()).ok());
    let known = |key: &str| -> Value {
        let raw = metadata.as_ref().and_then(|metadata| metadata.raw(key));
        raw.and_then(|raw| serde_json::from_slice(&raw).ok())
            .unwrap_or_default()
    };
    let id = answer["id"].clone();
    messages.push(answer);
    let members = [
        ("model", json!(request.model())),
        ("messages", Value::Array(messages)),
        ("filter_ids", json!(request.filter_ids)),
        ("chat_id", known("chat_id")),
        ("session_id", known("session_id")),
        ("id", id),
    ];
    members
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect()
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
fn forgive(link: &Link, failed: Failed, log: &RequestLog) -> Result<()> {
    let id = link.id();
    log.function_ran(id, OUTLET, failure::outcome(&failed.error));
    if !is_forgiven(link, &failed) {
        return Err(failed.error);
    }
    warn!(function.id = %id, error = %failed.error, "outlet failed, the answer goes out as it was");
    log.function_error(id);
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

/// Whether the answer goes out in spite of a failure (ruling R6): only after an accident of a filter that allows it.
fn is_forgiven(link: &Link, failed: &Failed) -> bool {
    match (failed.error.kind(), &failed.raised) {
        (Kind::FunctionRefused, _) => false,
        (_, Some(_)) => link.outlet_error() == Closing::Open,
        _ => link.on_error() == Closing::Open,
    }
}
