//! What functions see in a trial where nobody has said otherwise.

use serde_json::{Value, json};

use super::USER_ID;

/// `__metadata__` of a request without a browser session.
pub(super) fn metadata(body: &Value, model: &Value) -> Value {
    json!({
        "user_id": USER_ID,
        "chat_id": body.get("chat_id").cloned().unwrap_or_else(|| json!("")),
        "message_id": body["id"],
        "session_id": body["session_id"],
        "filter_ids": body.get("filter_ids").cloned().unwrap_or_else(|| json!([])),
        "tool_ids": body["tool_ids"],
        "files": body["files"],
        "features": body.get("features").cloned().unwrap_or_else(|| json!({})),
        "variables": body.get("variables").cloned().unwrap_or_else(|| json!({})),
        "model": model,
        "direct": false,
        "params": {},
    })
}

/// The events of a sample answer that repeats the question.
pub(super) fn sample(body: &Value) -> Vec<Value> {
    let messages = body["messages"].as_array();
    let last = messages.and_then(|messages| messages.last());
    let question = last.and_then(|last| last["content"].as_str());
    let chunk = |delta: Value, reason: Value| {
        json!({
            "id": "chatcmpl-sample",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        })
    };
    let content = format!("echo: {}", question.unwrap_or_default());
    vec![
        chunk(
            json!({"role": "assistant", "content": content}),
            Value::Null,
        ),
        chunk(json!({}), json!("stop")),
    ]
}

/// The chat as `outlet` sees it: the request with the answer that the events add up to.
pub(super) fn finished(body: &Value, events: &[Value]) -> Value {
    let pieces = events.iter().filter_map(|event| {
        let choice = event["choices"].get(0)?;
        choice["delta"]["content"].as_str()
    });
    let content: String = pieces.collect();
    let mut messages = body["messages"].as_array().cloned().unwrap_or_default();
    messages.push(json!({"role": "assistant", "content": content}));
    json!({
        "model": body["model"],
        "messages": messages,
        "chat_id": body.get("chat_id").cloned().unwrap_or_else(|| json!("")),
        "session_id": body["session_id"],
    })
}
