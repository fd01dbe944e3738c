//! Tools chosen by a prompt, for models that cannot call any: one more question to the model, asked before the real
//! one, whose answer says what to run.

use std::fmt::Write as _;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value, json};
use tracing::debug;

use super::pipe::Part;
use super::request::{ChatRequest, Incoming};
use super::{Chat, Contract};
use crate::body::Body;
use crate::error::{Error, Kind, Result};
use crate::models::Model;
use crate::tools::{Told, Tool, Toolset};
use crate::upstream::{Reply, StreamAnswer};
use crate::wire::sse;

/// Messages of the conversation that the model sees when it chooses.
const HISTORY: usize = 4;

/// Longest answer that a choice is looked for in, in bytes.
const MAX_CHOICE_BYTES: usize = 1024 * 1024;

const CHOOSE: &str = "Choose tools that help to answer the query. These tools are available, as JSON:\n{{TOOLS}}\n\n\
    Answer with JSON alone, of this form, where `parameters` fit the tool's own:\n\
    {\"tool_calls\": [{\"name\": \"tool\", \"parameters\": {\"key\": \"value\"}}]}\n\
    List the tools in the order in which they are to run. If none helps, answer {\"tool_calls\": []}.";

const USE: &str = "Answer the query below with the help of these sources. Where an answer rests on one, name it by \
    its number in brackets, as in [1].\n\n<context>\n{{CONTEXT}}</context>\n\n";

/// Has the model choose tools, runs them and extends the request's last user message by what they said, if the client
/// asked for that. Gives the sources for the client: one entry for each tool that ran, as Open WebUI shows them.
///
/// # Errors
///
/// If the result is no JSON object, which would be a fault of ours. A choice that makes no sense is none.
pub(super) async fn run(
    chat: &Chat,
    model: &Model,
    part: Part<'_>,
    request: &mut ChatRequest,
    incoming: &Incoming<'_>,
) -> Result<Vec<Value>> {
    if part.tools.is_empty() || !request.chooses_tools_by_prompt() {
        return Ok(Vec::new());
    }
    // Boxed, because it is rare and as large as all the rest of a request's future.
    Box::pin(choose_and_run(chat, model, part, request, incoming)).await
}

async fn choose_and_run(
    chat: &Chat,
    model: &Model,
    part: Part<'_>,
    request: &mut ChatRequest,
    incoming: &Incoming<'_>,
) -> Result<Vec<Value>> {
    let (Some(context), Some(metadata)) = (part.context, request.metadata.clone()) else {
        return Ok(Vec::new());
    };
    let raw_messages = request.document.raw("messages").unwrap_or_default();
    let messages: Vec<Value> = serde_json::from_slice(&raw_messages).unwrap_or_default();
    let chosen = choose(chat, model, part, request, &messages, incoming).await;
    let told = Told {
        context: context.clone(),
        metadata,
        messages: Some(raw_messages),
    };
    let mut sources = Vec::new();
    for (tool, parameters) in calls_in(&chosen.unwrap_or_default(), part.tools) {
        let json = Value::Object(parameters.clone()).to_string().into();
        let text = tool.answer(&chat.host, &told, &json, incoming.log).await;
        if !text.is_empty() {
            sources.push(source(tool, &text, &parameters));
        }
    }
    if !sources.is_empty() {
        let messages = Value::Array(with_sources(messages, &sources));
        request.set("messages", messages.to_string().into())?;
    }
    Ok(sources)
}

/// Asks the model which tools to run; its words.
async fn choose(
    chat: &Chat,
    model: &Model,
    part: Part<'_>,
    request: &ChatRequest,
    messages: &[Value],
    incoming: &Incoming<'_>,
) -> Option<String> {
    let body = json!({
        "model": request.model(),
        "messages": [
            {"role": "system", "content": CHOOSE.replace("{{TOOLS}}", &part.tools.specs().to_string())},
            {"role": "user", "content": query(messages)},
        ],
        "stream": false,
    });
    let question = request
        .for_task("function_calling", body.to_string().into())
        .ok()?;
    let without_tools = Part {
        tools: &Toolset::default(),
        ..part
    };
    match chat.ask(model, without_tools, &question, incoming).await {
        Ok(Reply::Whole(answer)) => content_of(&answer.body),
        Ok(Reply::Stream(answer)) => {
            let too_long = || Error::new(Kind::UpstreamInvalid, "the choice of tools is too long");
            let body = answer.body.collect(MAX_CHOICE_BYTES, too_long).await.ok()?;
            content_of(&body)
        }
        Err(error) => {
            debug!(request.id = %incoming.log.id(), %error, "no tools were chosen");
            None
        }
    }
}

fn content_of(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let content = answer.pointer("/choices/0/message/content")?;
    content.as_str().map(str::to_owned)
}

/// The end of the conversation, and the last thing that the user said.
fn query(messages: &[Value]) -> String {
    let mut text = "Query: History:\n".to_owned();
    for message in &messages[messages.len().saturating_sub(HISTORY)..] {
        let role = message["role"].as_str().unwrap_or_default().to_uppercase();
        writeln!(text, "{role}: \"\"\"{}\"\"\"", text_in(message))
            .expect("a String takes any text");
    }
    let last = messages
        .iter()
        .rev()
        .find(|message| message["role"] == "user");
    text + "Query: " + &last.map(text_in).unwrap_or_default()
}

/// The text of a message, of several parts joined.
fn text_in(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts
                .iter()
                .filter_map(|part| part["text"].as_str())
                .collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}

/// The calls in a model's words: JSON from the first brace to the last. Names that are no tool's are passed over.
fn calls_in<'a>(words: &str, tools: &'a Toolset) -> Vec<(&'a Tool, Map<String, Value>)> {
    let json = words
        .find('{')
        .zip(words.rfind('}'))
        .and_then(|(first, last)| words.get(first..=last));
    let chosen: Value = json
        .and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default();
    let calls = match chosen.get("tool_calls") {
        Some(calls) => calls.as_array().cloned().unwrap_or_default(),
        None => vec![chosen],
    };
    let known = |call: Value| {
        let tool = tools.find(call["name"].as_str()?)?;
        let properties = tool.spec["parameters"]["properties"].as_object()?;
        let mut parameters = call["parameters"].as_object().cloned().unwrap_or_default();
        parameters.retain(|name, _| properties.contains_key(name));
        Some((tool, parameters))
    };
    calls.into_iter().filter_map(known).collect()
}

fn source(tool: &Tool, text: &str, parameters: &Map<String, Value>) -> Value {
    let name = format!("{}/{}", tool.tool_id(), tool.name);
    json!({
        "source": {"name": name},
        "document": [text],
        "metadata": [{"source": name, "parameters": parameters}],
        "tool_result": true,
    })
}

/// The conversation with the sources around its last user message.
fn with_sources(mut messages: Vec<Value>, sources: &[Value]) -> Vec<Value> {
    let mut context = String::new();
    let mut outputs = String::new();
    for (number, source) in (1..).zip(sources) {
        let name = source["source"]["name"].as_str().unwrap_or_default();
        let text = source["document"][0].as_str().unwrap_or_default();
        write!(outputs, "\n\nTool `{name}` Output: {text}").expect("a String takes any text");
        writeln!(
            context,
            "<source id=\"{number}\" name=\"{name}\">{text}</source>"
        )
        .expect("a String takes any text");
    }
    let before = USE.replace("{{CONTEXT}}", &context);
    let last = messages
        .iter_mut()
        .rev()
        .find(|message| message["role"] == "user");
    if let Some(message) = last {
        match &mut message["content"] {
            Value::Array(parts) => {
                parts.insert(0, json!({"type": "text", "text": before}));
                parts.push(json!({"type": "text", "text": outputs}));
            }
            content => {
                let text = content.as_str().unwrap_or_default();
                *content = Value::String(format!("{before}{text}{outputs}"));
            }
        }
    }
    messages
}

/// Shows the sources with an answer: a leading member of a whole one, a first event of a stream. On `/v1` streams
/// hold chunks only.
pub(super) fn show(sources: &[Value], reply: Reply, contract: Contract) -> Reply {
    if sources.is_empty() {
        return reply;
    }
    match reply {
        Reply::Whole(mut answer) => {
            if let Ok(Value::Object(members)) = serde_json::from_slice(&answer.body) {
                let mut whole = Map::from_iter([("sources".to_owned(), json!(sources))]);
                whole.extend(members);
                answer.body = Value::Object(whole).to_string().into();
            }
            Reply::Whole(answer)
        }
        Reply::Stream(answer) if contract == Contract::OpenAi => Reply::Stream(answer),
        Reply::Stream(StreamAnswer { headers, body }) => {
            let first: Bytes = sse::encode_data(json!({"sources": sources}).to_string().as_bytes());
            let rest = stream::unfold(body, |mut body| async move {
                let piece = body.next().await?;
                Some((piece, body))
            });
            let body = Body::stream(stream::iter([Ok(first)]).chain(rest));
            Reply::Stream(StreamAnswer { headers, body })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_holds_the_end_of_the_conversation() {
        let said = |role: &str, text: &str| json!({"role": role, "content": text});
        let messages = [
            said("system", "s"),
            said("user", "one"),
            said("assistant", "two"),
            json!({"role": "user", "content": [{"type": "text", "text": "three"}]}),
            said("assistant", "four"),
        ];
        assert_eq!(
            query(&messages),
            "Query: History:\nUSER: \"\"\"one\"\"\"\nASSISTANT: \"\"\"two\"\"\"\nUSER: \"\"\"three\"\"\"\n\
             ASSISTANT: \"\"\"four\"\"\"\nQuery: three"
        );
        assert_eq!(query(&[]), "Query: History:\nQuery: ");
    }

    #[test]
    fn sources_stand_around_the_last_user_message() {
        let sources = [json!({"source": {"name": "tt/add"}, "document": ["sum=6"]})];
        let asked = |content: Value| vec![json!({"role": "user", "content": content})];
        let text = with_sources(asked(json!("add them")), &sources)[0]["content"].clone();
        let text = text.as_str().unwrap();
        assert!(text.contains("<source id=\"1\" name=\"tt/add\">sum=6</source>"));
        assert!(text.ends_with("add them\n\nTool `tt/add` Output: sum=6"));
        let parts = with_sources(asked(json!([{"type": "text", "text": "x"}])), &sources);
        assert_eq!(parts[0]["content"].as_array().unwrap().len(), 3);
    }
}
