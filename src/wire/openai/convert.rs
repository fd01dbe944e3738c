//! Whole answers into streams and streams into whole answers, where one was asked for and the other
//! came.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::answer::{AnswerText, Choice};
use crate::wire::json::Document;
use crate::wire::sse;

/// Members that every chunk of a stream repeats.
const REPEATED: [&str; 4] = ["id", "created", "model", "system_fingerprint"];

/// The events of the stream that a whole answer stands for. An answer without choices, an error
/// perhaps, becomes one event, and no end marker claims that it is complete.
#[must_use]
pub fn answer_to_events(answer: &Document) -> Vec<Bytes> {
    let whole = vec![sse::encode_data(answer.bytes())];
    let Ok(Value::Object(mut head)) = serde_json::from_slice(answer.bytes()) else {
        return whole;
    };
    let Some(Value::Array(choices)) = head.shift_remove("choices") else {
        return whole;
    };
    let usage = head.shift_remove("usage").filter(|usage| !usage.is_null());
    head.insert("object".to_owned(), "chat.completion.chunk".into());
    let mut events = choice_events(head.clone(), choices);
    if let Some(usage) = usage {
        let mut chunk = chunk(&repeated(&head), Vec::new());
        chunk.insert("usage".to_owned(), usage);
        events.push(event(chunk));
    }
    events.push(sse::DONE);
    events
}

/// The whole answer that the events of a stream add up to.
#[must_use]
pub fn events_to_answer(answer: &AnswerText) -> Bytes {
    let mut whole = answer.head.clone();
    whole.insert("object".to_owned(), "chat.completion".into());
    let choices = answer.choices.iter();
    let choices = choices.map(|(index, choice)| whole_choice(*index, choice));
    whole.insert("choices".to_owned(), choices.collect());
    if let Some(usage) = &answer.usage {
        whole.insert("usage".to_owned(), usage.clone());
    }
    Bytes::from(Value::Object(whole).to_string())
}

fn whole_choice(index: u64, choice: &Choice) -> Value {
    json!({
        "index": index,
        "message": choice.whole_message(),
        "logprobs": choice.logprobs,
        "finish_reason": choice.finish_reason,
    })
}

/// For each choice what it says and then why it ends. Only the first chunk holds all of `head`.
fn choice_events(mut head: Map<String, Value>, choices: Vec<Value>) -> Vec<Bytes> {
    let mut events = Vec::with_capacity(choices.len() * 2 + 2);
    for choice in choices {
        let (says, ends) = halves(&choice);
        events.push(event(chunk(&head, vec![says])));
        head = repeated(&head);
        events.push(event(chunk(&head, vec![ends])));
    }
    events
}

fn halves(choice: &Value) -> (Value, Value) {
    let index = choice.get("index").cloned().unwrap_or(0.into());
    let reason = choice.get("finish_reason").cloned();
    let logprobs = choice.get("logprobs").cloned();
    let message = choice.get("message").cloned().unwrap_or(json!({}));
    let says = json!({
        "index": index,
        "delta": delta(message),
        "logprobs": logprobs,
        "finish_reason": null,
    });
    let ends = json!({
        "index": index,
        "delta": {},
        "logprobs": null,
        "finish_reason": reason,
    });
    (says, ends)
}

/// A message as a delta: the same, but that tool calls say which one they belong to.
fn delta(mut message: Value) -> Value {
    let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
    for (index, call) in calls.into_iter().flatten().enumerate() {
        if let Some(call) = call.as_object_mut() {
            call.shift_insert(0, "index".to_owned(), index.into());
        }
    }
    message
}

fn repeated(head: &Map<String, Value>) -> Map<String, Value> {
    let keeps = |key: &str| key == "object" || REPEATED.contains(&key);
    let kept = head.iter().filter(|(key, _)| keeps(key));
    kept.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn chunk(head: &Map<String, Value>, choices: Vec<Value>) -> Map<String, Value> {
    let mut chunk = head.clone();
    chunk.insert("choices".to_owned(), Value::Array(choices));
    chunk
}

fn event(chunk: Map<String, Value>) -> Bytes {
    sse::encode_data(Value::Object(chunk).to_string().as_bytes())
}
