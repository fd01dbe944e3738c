//! The tool loop: tools that the gateway added are run where a model calls them, and the model is asked again.

mod streamed;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use serde_json::{Value, json};

use self::streamed::Streamed;
use super::callbacks::Within;
use super::events::Events;
use super::pipe::Part;
use super::request::{ChatRequest, Incoming};
use super::{Chat, Contract};
use crate::auth::Caller;
use crate::body::Body;
use crate::error::Result;
use crate::host::{Context, Metadata};
use crate::models::Model;
use crate::telemetry::RequestLog;
use crate::tools::{Told, Toolset};
use crate::upstream::{Answer, Reply, StreamAnswer};
use crate::wire::json::elements;

/// What it takes to run tools and to ask the model again, also after the response has begun.
pub(super) struct Rounds {
    chat: Chat,
    model: Model,
    context: Context,
    events: Option<Arc<Events>>,
    metadata: Metadata,
    tools: Toolset,
    request: ChatRequest,
    origin: Origin,
    /// How often the model may still be asked again.
    left: u32,
}

/// The request as it came in, kept while its answer streams.
struct Origin {
    contract: Contract,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    peer: std::net::IpAddr,
    is_encrypted: bool,
    log: Arc<RequestLog>,
    within: Within,
    bypasses_filters: bool,
    now: u64,
}

impl Origin {
    fn of(incoming: &Incoming<'_>) -> Self {
        Self {
            contract: incoming.contract,
            caller: incoming.caller.clone(),
            method: incoming.method.clone(),
            uri: incoming.uri.clone(),
            headers: incoming.headers.clone(),
            peer: incoming.peer,
            is_encrypted: incoming.is_encrypted,
            log: Arc::clone(incoming.log),
            within: incoming.within.clone(),
            bypasses_filters: incoming.bypasses_filters,
            now: incoming.now,
        }
    }

    fn incoming(&self) -> Incoming<'_> {
        Incoming {
            contract: self.contract,
            caller: &self.caller,
            method: &self.method,
            uri: &self.uri,
            headers: &self.headers,
            peer: self.peer,
            is_encrypted: self.is_encrypted,
            log: &self.log,
            within: self.within.clone(),
            bypasses_filters: self.bypasses_filters,
            now: self.now,
        }
    }
}

/// Asks a model, and answers the calls of tools in its reply where that is the gateway's to do.
///
/// # Errors
///
/// If the model cannot be asked.
pub(super) async fn run(
    chat: &Chat,
    model: &Model,
    part: Part<'_>,
    request: &ChatRequest,
    incoming: &Incoming<'_>,
) -> Result<Reply> {
    let reply = chat.ask(model, part, request, incoming).await?;
    match Rounds::begin(chat, model, part, request, incoming) {
        // Boxed, because it is rare and as large as all the rest of a request's future.
        Some(rounds) => Box::pin(rounds.run(reply)).await,
        None => Ok(reply),
    }
}

impl Rounds {
    /// The rounds of a request; `None` where the client runs the tools that its model calls, or there are none.
    fn begin(
        chat: &Chat,
        model: &Model,
        part: Part<'_>,
        request: &ChatRequest,
        incoming: &Incoming<'_>,
    ) -> Option<Self> {
        let is_wanted = chat.tool_rounds > 0 && !part.tools.is_empty();
        if !is_wanted || request.chooses_tools_by_prompt() {
            return None;
        }
        Some(Self {
            chat: chat.clone(),
            model: model.clone(),
            context: part.context?.clone(),
            events: part.events.cloned(),
            metadata: request.metadata.clone()?,
            tools: part.tools.clone(),
            request: request.clone(),
            origin: Origin::of(incoming),
            left: chat.tool_rounds,
        })
    }

    /// Answers the calls in a reply, and those in the replies to that, until there are none or the limit is reached:
    /// then the last calls are the client's.
    ///
    /// # Errors
    ///
    /// If the model cannot be asked again.
    async fn run(self, reply: Reply) -> Result<Reply> {
        match reply {
            Reply::Whole(answer) => self.run_whole(answer).await.map(Reply::Whole),
            Reply::Stream(answer) => Ok(Reply::Stream(StreamAnswer {
                headers: answer.headers,
                body: Body::stream(Streamed::new(self, answer.body).pieces()),
            })),
        }
    }

    async fn run_whole(mut self, mut answer: Answer) -> Result<Answer> {
        while let Some(message) = message_with_calls(&answer.body)
            && self.left > 0
        {
            match self.turn(message).await? {
                Reply::Whole(next) => answer = next,
                // It was not asked for a stream.
                Reply::Stream(_) => break,
            }
        }
        Ok(answer)
    }

    /// Runs the calls of an assistant's message, in order, and asks the model what it makes of the results.
    async fn turn(&mut self, message: Value) -> Result<Reply> {
        self.left -= 1;
        let messages = self.request.document.raw("messages").unwrap_or_default();
        let mut next = elements(&messages).unwrap_or_default();
        let calls = message["tool_calls"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        next.push(message.to_string().into());
        let told = Told {
            context: self.context.clone(),
            metadata: self.metadata.clone(),
            messages: Some(messages),
        };
        for call in calls {
            let text = self.result_of(&call, &told).await;
            let result = json!({"role": "tool", "tool_call_id": call["id"], "content": text});
            next.push(result.to_string().into());
        }
        self.request.set("messages", joined(&next))?;
        let part = Part {
            context: Some(&self.context),
            events: self.events.as_ref(),
            tools: &self.tools,
        };
        let incoming = self.origin.incoming();
        self.chat
            .ask(&self.model, part, &self.request, &incoming)
            .await
    }

    /// The text that answers one call. A tool that fails says why in its place.
    async fn result_of(&self, call: &Value, told: &Told) -> String {
        let function = &call["function"];
        let name = function["name"].as_str().unwrap_or_default();
        let Some(tool) = self.tools.find(name) else {
            return format!("there is no tool `{name}`");
        };
        tool.answer(
            &self.chat.host,
            told,
            &arguments_of(function),
            &self.origin.log,
        )
        .await
    }
}

/// The parameters of a call; none where they are no JSON object.
fn arguments_of(function: &Value) -> Bytes {
    let arguments = match &function["arguments"] {
        Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
        other => other.clone(),
    };
    match arguments {
        Value::Object(_) => arguments.to_string().into(),
        _ => Bytes::from_static(b"{}"),
    }
}

/// The first message of a whole answer, if it calls tools.
fn message_with_calls(answer: &[u8]) -> Option<Value> {
    let mut answer: Value = serde_json::from_slice(answer).ok()?;
    let message = answer.pointer_mut("/choices/0/message")?.take();
    has_calls(&message).then_some(message)
}

fn has_calls(message: &Value) -> bool {
    message["tool_calls"]
        .as_array()
        .is_some_and(|calls| !calls.is_empty())
}

fn joined(elements: &[Bytes]) -> Bytes {
    [b"[".as_slice(), &elements.join(&b','), b"]"]
        .concat()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_an_object_or_none() {
        for (arguments, read) in [
            (json!("{\"a\": 1}"), "{\"a\":1}"),
            (json!({"a": 1}), "{\"a\":1}"),
            (json!("not json"), "{}"),
            (json!("[1]"), "{}"),
            (json!(null), "{}"),
        ] {
            assert_eq!(arguments_of(&json!({"arguments": arguments})), read);
        }
    }

    #[test]
    fn a_message_without_calls_ends_the_rounds() {
        let with = br#"{"choices":[{"message":{"role":"assistant","tool_calls":[{"id":"c"}]}}]}"#;
        assert!(message_with_calls(with).is_some());
        for without in [
            r#"{"choices":[{"message":{"content":"x","tool_calls":[]}}]}"#,
            r#"{"choices":[]}"#,
            "no json",
        ] {
            assert!(message_with_calls(without.as_bytes()).is_none());
        }
    }
}
