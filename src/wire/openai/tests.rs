//! Shapes against what the real product and OpenAI's API answer.

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::wire::json::Document;
use crate::wire::sse::{self, Decoder};

fn value(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap()
}

fn data_of(events: &[Bytes]) -> Vec<Bytes> {
    let mut decoder = Decoder::new();
    for event in events {
        decoder.push(event.clone()).unwrap();
    }
    std::iter::from_fn(|| decoder.next_event())
        .filter_map(|event| event.data)
        .collect()
}

fn answer_of<'a>(chunks: impl IntoIterator<Item = &'a Value>) -> AnswerText {
    let mut answer = AnswerText::new();
    for chunk in chunks {
        answer.push(chunk.to_string().as_bytes());
    }
    answer
}

fn delta(index: u64, delta: impl Into<Value>) -> Value {
    let delta = delta.into();
    json!({"id": "c1", "created": 7, "model": "m", "object": "chat.completion.chunk",
           "choices": [{"index": index, "delta": delta, "logprobs": null, "finish_reason": null}]})
}

#[test]
fn chunks_have_the_order_of_keys_that_clients_know() {
    let maker = ChunkMaker::new("m-1", 1_700_000_000, "m\"x");
    assert_eq!(
        maker.content("é\n🚀\u{2028}"),
        "data: {\"id\":\"m-1\",\"created\":1700000000,\"model\":\"m\\\"x\",\"choices\":[{\"index\":0,\
         \"logprobs\":null,\"finish_reason\":null,\"delta\":{\"content\":\"é\\n🚀\u{2028}\"}}],\
         \"object\":\"chat.completion.chunk\"}\n\n"
    );
    assert_eq!(
        maker.finish("stop"),
        "data: {\"id\":\"m-1\",\"created\":1700000000,\"model\":\"m\\\"x\",\"choices\":[{\"index\":0,\
         \"logprobs\":null,\"finish_reason\":\"stop\",\"delta\":{}}],\
         \"object\":\"chat.completion.chunk\"}\n\n"
    );
    assert_eq!(maker.done(), "data: [DONE]\n\n");
}

#[test]
fn a_completion_has_the_order_of_keys_that_clients_know() {
    assert_eq!(
        completion("m-1", 7, "m", "hi \"you\""),
        "{\"id\":\"m-1\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,\"logprobs\":null,\
         \"finish_reason\":\"stop\",\"message\":{\"role\":\"assistant\",\"content\":\"hi \\\"you\\\"\"}}],\
         \"object\":\"chat.completion\"}"
    );
}

#[test]
fn errors_have_the_form_of_their_api() {
    let error = ErrorBody {
        message: "no \"m\"",
        kind: "invalid_request_error",
        code: Some("model_not_found"),
        param: None,
    };
    let body = "{\"error\":{\"message\":\"no \\\"m\\\"\",\"type\":\"invalid_request_error\",\
                \"code\":\"model_not_found\",\"param\":null}}";
    assert_eq!(error.to_json(), body);
    assert_eq!(error_event(&error), format!("data: {body}\n\n"));
    assert_eq!(
        detail("nicht erlaubt: ä"),
        "{\"detail\":\"nicht erlaubt: ä\"}"
    );
}

#[test]
fn models_are_listed_as_openai_lists_them() {
    let model = ModelEntry {
        id: "m",
        created: 7,
        owned_by: "me",
    };
    assert_eq!(
        models_list([model]),
        "{\"object\":\"list\",\"data\":[{\"id\":\"m\",\"object\":\"model\",\"created\":7,\"owned_by\":\"me\"}]}"
    );
    assert_eq!(models_list([]), "{\"object\":\"list\",\"data\":[]}");
}

#[test]
fn usage_is_found_in_answers_and_chunks() {
    let some = |prompt, completion, total| {
        Some(Usage {
            prompt,
            completion,
            total,
        })
    };
    let openai = br#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12,"x":{"y":1}}}"#;
    assert_eq!(usage_of(openai), some(7, 5, 12));
    assert_eq!(
        usage_of(br#"{"usage":{"input_tokens":2,"output_tokens":3}}"#),
        some(2, 3, 5)
    );
    assert_eq!(usage_of(br#"{"usage":null}"#), None);
    assert_eq!(usage_of(br#"{"usage":{}}"#), None);
    assert_eq!(
        usage_of(br#"{"choices":[{"delta":{"content":"\"usage\""}}]}"#),
        None
    );
    assert_eq!(usage_of(br#"{"usage":{"#), None);
}

#[test]
fn text_reasoning_and_unknown_members_add_up() {
    let answer = answer_of(&[
        delta(
            0,
            json!({"role": "assistant", "content": "", "reasoning_content": ""}),
        ),
        delta(0, json!({"reasoning_content": "let me"})),
        delta(0, json!({"reasoning_content": " think", "x": [1]})),
        delta(0, json!({"content": "é\n", "x": [2]})),
        delta(
            0,
            json!({"role": "assistant", "content": "🚀", "refusal": null}),
        ),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
        json!({"choices": [], "usage": {"total_tokens": 3}}),
    ]);
    assert_eq!(answer.content(), "é\n🚀");
    assert_eq!(answer.finish_reason(), Some("stop"));
    assert_eq!(answer.usage(), Some(&json!({"total_tokens": 3})));
    let message = json!({"role": "assistant", "content": "é\n🚀", "reasoning_content": "let me think",
                         "x": [1, 2], "refusal": null});
    assert_eq!(answer.assistant_message(), message);
}

#[test]
fn tool_calls_add_up_by_index() {
    let call = |call: Value| delta(0, json!({"tool_calls": [call]}));
    let answer = answer_of(&[
        delta(0, json!({"role": "assistant", "content": null})),
        call(
            json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "a", "arguments": ""}}),
        ),
        call(json!({"index": 0, "function": {"arguments": "{\"city\":"}})),
        call(
            json!({"index": 1, "id": "call_2", "type": "function", "function": {"name": "b", "arguments": "{}"}}),
        ),
        call(json!({"index": 0, "id": "", "function": {"name": "", "arguments": " \"Oslo\"}"}})),
    ]);
    let message = answer.assistant_message();
    assert_eq!(message["content"], Value::Null);
    let calls = json!([
        {"id": "call_1", "type": "function", "function": {"name": "a", "arguments": "{\"city\": \"Oslo\"}"}},
        {"id": "call_2", "type": "function", "function": {"name": "b", "arguments": "{}"}},
    ]);
    assert_eq!(message["tool_calls"], calls);
}

#[test]
fn choices_are_kept_apart() {
    let answer = answer_of(&[
        delta(1, json!({"content": "b1"})),
        delta(0, json!({"content": "a0"})),
        delta(1, json!({"content": "b2"})),
    ]);
    assert_eq!(answer.content(), "a0");
    let whole = value(&events_to_answer(&answer));
    assert_eq!(whole["choices"][1]["message"]["content"], "b1b2");
    assert_eq!(whole["id"], "c1");
    assert_eq!(whole["object"], "chat.completion");
}

#[test]
fn what_is_no_chunk_adds_nothing() {
    let mut answer = AnswerText::new();
    let broken = [
        "[DONE]",
        "",
        "42",
        "null",
        "[1,2]",
        "{\"broken\":",
        "{\"choices\":null}",
        "{\"choices\":[1,null]}",
        "{\"choices\":[{\"delta\":null}]}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":3}}]}",
        "{\"choices\":[{\"index\":-1,\"delta\":{\"content\":\"\\ud83d\"}}]}",
    ];
    for data in broken {
        answer.push(data.as_bytes());
    }
    assert_eq!(answer.content(), "\u{fffd}");
    assert_eq!(
        AnswerText::new().assistant_message(),
        json!({"role": "assistant", "content": ""})
    );
}

#[test]
fn an_answer_and_its_stream_say_the_same() {
    let whole = json!({
        "id": "c1", "object": "chat.completion", "created": 7, "model": "m", "system_fingerprint": "f", "x": {"y": 1},
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "a", "arguments": "{}"}}]},
             "logprobs": null, "finish_reason": "tool_calls"},
            {"index": 1, "message": {"role": "assistant", "content": "hi", "reasoning_content": "r", "refusal": null},
             "logprobs": {"content": [{"token": "hi", "logprob": -0.5}]}, "finish_reason": "length"},
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
    });
    let document = Document::parse(Bytes::from(whole.to_string())).unwrap();
    let events = answer_to_events(&document);
    assert_eq!(events.last(), Some(&sse::DONE));
    let mut answer = AnswerText::new();
    for data in data_of(&events) {
        answer.push(&data);
    }
    assert_eq!(value(&events_to_answer(&answer)), whole);
}

#[test]
fn the_chunks_of_a_converted_answer_are_chunks() {
    let whole = json!({"id": "c1", "object": "chat.completion", "x": 1, "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]});
    let document = Document::parse(Bytes::from(whole.to_string())).unwrap();
    let data = data_of(&answer_to_events(&document));
    let says = json!({"id": "c1", "object": "chat.completion.chunk", "x": 1, "choices": [
        {"index": 0, "delta": {"role": "assistant", "content": "hi"}, "logprobs": null, "finish_reason": null}]});
    let ends = json!({"id": "c1", "object": "chat.completion.chunk", "choices": [
        {"index": 0, "delta": {}, "logprobs": null, "finish_reason": "stop"}]});
    assert_eq!([value(&data[0]), value(&data[1])], [says, ends]);
    assert_eq!(data[2..], ["[DONE]"]);
}

#[test]
fn an_answer_without_choices_becomes_one_event() {
    let document = Document::parse(Bytes::from_static(b"{\"error\":{\"detail\":\"x\"}}")).unwrap();
    assert_eq!(
        answer_to_events(&document),
        ["data: {\"error\":{\"detail\":\"x\"}}\n\n"]
    );
}
