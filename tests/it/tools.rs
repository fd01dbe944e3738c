//! Tools: who may use them, what models and pipes get of them, and the tool loop.

mod calling;
mod managing;

use serde_json::{Value, json};

use crate::support::{FakeUpstream, Script, TestGateway, chat, source, streamed, whole};

/// A gateway with the toolbox in its folder, and functions beside it.
async fn gateway_with(upstream: &FakeUpstream, functions: &[&str], tables: &str) -> TestGateway {
    let setup = TestGateway::setup().python().tables(tables);
    let setup = setup.function("toolbox", &source("toolbox"));
    let setup = functions
        .iter()
        .fold(setup, |setup, id| setup.function(id, &source(id)));
    setup.upstream("fake", &upstream.base_url()).start().await
}

/// A chat that names tools.
fn chat_with_tools(text: &str) -> Value {
    let mut body = chat("echo", text);
    body["tool_ids"] = json!(["toolbox", "unknown"]);
    body
}

/// A whole answer that calls a tool.
fn calling(name: &str, arguments: &str) -> Script {
    let call =
        json!({"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}});
    let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    let choice = json!({"index": 0, "message": message, "finish_reason": "tool_calls"});
    let body = json!({"id": "a1", "object": "chat.completion", "created": 1, "model": "echo", "choices": [choice]});
    whole(
        200,
        &[("content-type", "application/json")],
        body.to_string(),
    )
}

/// A streamed answer of these deltas.
fn streaming(id: &str, deltas: &[Value], finish: &str) -> Script {
    let chunk = |delta: &Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        let chunk = json!({"id": id, "object": "chat.completion.chunk", "created": 1, "model": "echo", "choices": [choice]});
        format!("data: {chunk}\n\n").into_bytes()
    };
    let pieces = deltas.iter().map(|delta| chunk(delta, Value::Null));
    let end = [
        chunk(&json!({}), json!(finish)),
        b"data: [DONE]\n\n".to_vec(),
    ];
    streamed(pieces.chain(end).collect::<Vec<_>>())
}
