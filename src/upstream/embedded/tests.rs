use super::*;
use crate::upstream::Contract;
use crate::wire::json::Document;

fn ask(model: &str, body: &Value) -> Reply {
    let document = Document::parse(encode(body)).unwrap();
    let request = Outgoing {
        document: &document,
        stream: body["stream"] == true,
        headers: &HeaderMap::new(),
        contract: Contract::OpenAi,
        conversation: None,
        request_id: "1",
        created: 5,
    };
    send(model, &request).unwrap()
}

fn whole(model: &str, body: &Value) -> Value {
    match ask(model, body) {
        Reply::Whole(answer) => serde_json::from_slice(&answer.body).unwrap(),
        Reply::Stream(_) => panic!("a stream was not asked for"),
    }
}

/// The data of all events, without the end marker.
async fn streamed(body: Value) -> Vec<Value> {
    let Reply::Stream(answer) = ask("demo", &body) else {
        panic!("a stream was asked for");
    };
    let all = answer.body.collect(1 << 20, || unreachable!()).await;
    let all = String::from_utf8(all.unwrap().to_vec()).unwrap();
    let events = all.strip_suffix("data: [DONE]\n\n").unwrap();
    let data = events
        .split_terminator("\n\n")
        .map(|event| event.strip_prefix("data: ").unwrap());
    data.map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn weather_tool() -> Value {
    json!({"type": "function", "function": {"name": "get_weather", "parameters": {
        "properties": {
            "city": {"type": "string", "default": "Oslo"},
            "unit": {"type": "string", "enum": ["C", "F"]},
            "note": {"type": "string"},
        },
        "required": ["unit"],
    }}})
}

#[test]
fn it_speaks_of_what_it_was_sent() {
    let answer = whole(
        "demo",
        &json!({"messages": [
            {"role": "system", "content": "You are a pirate."},
            {"role": "user", "content": [{"type": "text", "text": "hi there"}]},
        ]}),
    );
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    for part in ["hi there", "2 messages", "You are a pirate."] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(answer["usage"]["prompt_tokens"], 6);
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
}

#[tokio::test(start_paused = true)]
async fn a_stream_says_the_same_word_by_word() {
    let messages = json!([{"role": "user", "content": "hi there"}]);
    let answer = whole("demo", &json!({"messages": messages}));
    let events = streamed(json!({
        "messages": messages,
        "stream": true,
        "stream_options": {"include_usage": true},
    }))
    .await;
    let deltas = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
    let text: String = deltas.collect();
    assert_eq!(text, answer["choices"][0]["message"]["content"]);
    assert!(events.len() > 8);
    assert_eq!(events.last().unwrap()["usage"], answer["usage"]);
}

#[test]
fn max_tokens_ends_the_answer() {
    let body = json!({"messages": [{"role": "user", "content": "a b c"}], "max_tokens": 2});
    let answer = whole("demo", &body);
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello! You");
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], 2);
}

#[test]
fn a_tool_that_is_named_is_called_with_defaults() {
    let body = json!({
        "messages": [{"role": "user", "content": "please use get_weather"}],
        "tools": [weather_tool()],
    });
    let answer = whole("demo", &body);
    let call = &answer["choices"][0]["message"]["tool_calls"][0]["function"];
    assert_eq!(call["name"], "get_weather");
    assert_eq!(call["arguments"], r#"{"city":"Oslo","unit":"C"}"#);
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn the_tool_s_answer_ends_the_turn() {
    let body = json!({
        "messages": [
            {"role": "user", "content": "please use get_weather"},
            {"role": "assistant", "content": null, "tool_calls": []},
            {"role": "tool", "content": "sunny"},
        ],
        "tools": [weather_tool()],
    });
    let answer = whole("demo-tools", &body);
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.contains("sunny"), "{text}");
}

#[test]
fn only_demo_tools_calls_a_tool_that_nobody_named() {
    let body = json!({
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [weather_tool()],
    });
    let plain = whole("demo", &body);
    assert_eq!(plain["choices"][0]["finish_reason"], "stop");
    let insisting = whole("demo-tools", &body);
    assert_eq!(insisting["choices"][0]["finish_reason"], "tool_calls");
}
