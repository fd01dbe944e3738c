//! The native filters and the samples in Python that they stand for give the same, on the same vectors.

use serde_json::{Value, json};

use super::{native, setup};
use crate::support::{Client, FakeUpstream, TestGateway, streamed, streamed_chat};

const TEXTS: &[&str] = &[
    "Write to ann@example.com or call +49 171 2345678, card 4111 1111 1111 1111 12/27.",
    "ann@example.co-op.uk. bob@x.y, @ann ann@ 'o'brien@example.com' a@b@c.de .x@y.zz",
    "01/15/2024 10:30 2024-01-15 0171/2345678 (030) 1234567 192.168.1.1 (0)30 1234567",
    "4111111111111112 4111111111111111 41111111111111110000 0.4111111111111111 5-4111111111111111",
    "I have 3 apples (see 4) and + 5 - 6; +1 (415) 555-2671x, 415.555.2671 1 415 555 2671",
    "问ann@example.com吧 jürgen@bücher.example 555\u{2011}123\u{2011}4567 +49\u{a0}171\u{2009}2345678",
    "0049 (0)171 234567890123456 00491712345678 0171 2345678a 2345 0171-2345678",
    "",
    "@",
    "ann@example.c0m ann@example.com_ ann@-.example.com ann@example..com",
];

/// One gateway with a sample on one model and the native filter on another.
async fn gateway_with(upstream: &FakeUpstream, sample: &str, kind: &str) -> TestGateway {
    let tables =
        "[function.sample]\nmodels = [\"calm\"]\n[function.native]\nmodels = [\"danger\"]\n";
    let gateway = setup(upstream).tables(tables).python().start().await;
    let management = gateway.management();
    management.install("sample", sample).await;
    management.install("native", &native(kind)).await;
    gateway
}

async fn pass(client: &Client, id: &str, hook: &str, form: &Value) -> (u16, Value) {
    let path = format!("/v1/{id}/filter/{hook}");
    let answer = client.post(&path, form).await;
    (answer.status, answer.json())
}

/// Passes a body through a hook of both; what both gave.
async fn both(gateway: &TestGateway, hook: &str, body: &Value, user: &Value) -> (u16, Value) {
    let form = json!({"body": body, "user": user});
    let sample = pass(&gateway.admin(), "sample", hook, &form).await;
    let native = pass(&gateway.admin(), "native", hook, &form).await;
    assert_eq!(native, sample, "{hook}: {body}");
    native
}

async fn set_both(gateway: &TestGateway, valves: &Value) {
    for id in ["sample", "native"] {
        gateway
            .management()
            .set_valves(id, valves)
            .await
            .expect(200);
    }
}

fn arguments(text: &str) -> String {
    json!({"to": text, "n": 4_111_111_111_111_111_u64})
        .to_string()
        .replace('@', "\\u0040")
}

#[tokio::test]
async fn redact_makes_the_same_of_requests_and_answers() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(
        &upstream,
        include_str!("../../../filters/redact.py"),
        "redact",
    )
    .await;
    for valves in [
        json!({}),
        json!({"mail": false, "replacement": "\"{kind}\"\\", "roles": "user,tool,assistant"}),
        json!({"card": false, "phone": false, "answers": false}),
    ] {
        set_both(&gateway, &valves).await;
        for text in TEXTS {
            let call = json!({"id": "c", "function": {"name": "f", "arguments": arguments(text)}});
            let parts = json!([{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": text}}]);
            let messages = json!([
                {"role": "system", "content": text},
                {"role": "user", "content": text},
                {"role": "assistant", "content": null, "tool_calls": [call], "reasoning_content": text},
                {"role": "tool", "content": text},
                {"role": "user", "content": parts},
            ]);
            let body = json!({"model": "m", "messages": messages, "n": 2, "logprobs": true, "stream": text.len() % 2 == 0});
            both(&gateway, "inlet", &body, &json!({"id": "u"})).await;
            let answer = json!({"role": "assistant", "content": text, "refusal": text, "tool_calls": [call],
                "function_call": {"name": "f", "arguments": arguments(text)}});
            let body = json!({"messages": [{"role": "user", "content": text}, answer]});
            both(&gateway, "outlet", &body, &json!({"id": "u"})).await;
        }
    }
}

/// The events of a streamed answer with every field, its texts cut into pieces of `length` characters.
fn events(text: &str, length: usize) -> Vec<Value> {
    let pieces = |text: &str| -> Vec<String> {
        let characters: Vec<char> = text.chars().collect();
        characters
            .chunks(length)
            .map(|piece| piece.iter().collect())
            .collect()
    };
    let chunk = |index: u64, delta: Value| json!({"id": "a", "choices": [{"index": index, "delta": delta, "finish_reason": null, "logprobs": {"content": []}}]});
    let mut events = vec![chunk(0, json!({"role": "assistant", "content": ""}))];
    events.extend(
        pieces(text)
            .iter()
            .map(|piece| chunk(0, json!({"reasoning_content": piece}))),
    );
    for piece in pieces(text) {
        events.push(chunk(0, json!({"content": piece, "refusal": piece})));
        events.push(chunk(
            1,
            json!({"content": [{"type": "text", "text": piece}]}),
        ));
    }
    for piece in pieces(&arguments(text)) {
        let call = |index: u64| json!({"index": index, "function": {"arguments": piece}});
        events.push(chunk(
            0,
            json!({"tool_calls": [call(0), call(2)], "function_call": {"arguments": piece}}),
        ));
    }
    let end = json!({"index": 0, "delta": {}, "finish_reason": "stop"});
    let other = json!({"index": 1, "delta": {"content": [{"type": "text", "text": "."}]}, "finish_reason": "length"});
    events.push(json!({"id": "a", "choices": [end, other]}));
    events.push(json!({"id": "a", "choices": [], "usage": {"total_tokens": 3}}));
    events
}

#[tokio::test]
async fn redact_makes_the_same_of_every_event_of_a_stream() {
    let upstream = FakeUpstream::start(|request| {
        let asked: Vec<usize> = serde_json::from_str(&request.last_text()).unwrap();
        let events = events(TEXTS[asked[0]], asked[1]);
        let events = events.iter().map(|event| format!("data: {event}\n\n"));
        streamed(events.chain(["data: [DONE]\n\n".to_owned()]))
    });
    let upstream = upstream.await;
    let gateway = gateway_with(
        &upstream,
        include_str!("../../../filters/redact.py"),
        "redact",
    )
    .await;
    set_both(&gateway, &json!({"requests": false})).await;
    let ask = async |model: &str, text: &str| {
        let answer = gateway.user().chat(&streamed_chat(model, text)).await;
        let events = answer.expect(200).events();
        let events = events.iter().filter(|event| *event != "[DONE]");
        events
            .map(|event| serde_json::from_str::<Value>(event).unwrap())
            .collect::<Vec<_>>()
    };
    for text in 0..TEXTS.len() {
        for length in [1, 2, 5, 13, 1000] {
            let asked = format!("[{text},{length}]");
            let (sample, native) = (ask("calm", &asked).await, ask("danger", &asked).await);
            assert_eq!(native.len(), sample.len(), "{asked}");
            for (native, sample) in native.iter().zip(&sample) {
                assert_eq!(native, sample, "{asked}");
            }
        }
    }
}

#[tokio::test]
async fn limits_and_the_system_prompt_do_what_their_samples_do() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(
        &upstream,
        include_str!("../../../filters/turn_limit.py"),
        "limits",
    )
    .await;
    set_both(&gateway, &json!({"max_turns": 2})).await;
    let turn = json!({"role": "user", "content": "hi"});
    let mut statuses = Vec::new();
    for (turns, role) in [(2, "user"), (3, "user"), (3, "admin")] {
        let body = json!({"model": "m", "messages": vec![turn.clone(); turns]});
        let user = json!({"id": "u", "role": role});
        statuses.push(both(&gateway, "inlet", &body, &user).await.0);
    }
    assert_eq!(statuses, [200, 403, 200]);
    drop(gateway);

    let gateway = gateway_with(
        &upstream,
        include_str!("../../../filters/system_prompt.py"),
        "system_prompt",
    )
    .await;
    let prompt = "I am {{USER_NAME}} {{USER_EMAIL}} {{USER_ID}} {{USER_ROLE}} of {{MODEL}} on {{CURRENT_DATE}}, a {{CURRENT_WEEKDAY}}, {{CURRENT_TIMEZONE}}{{OTHER}}";
    let user = json!({"id": "u", "name": "Ann", "email": "a@b.c", "role": "user"});
    for mode in ["prepend", "append", "replace"] {
        set_both(&gateway, &json!({"prompt": prompt, "mode": mode})).await;
        for messages in [
            json!([turn]),
            json!([{"role": "system", "content": "Old."}, turn, {"role": "developer", "content": "More."}]),
            json!([{"role": "developer", "content": [{"type": "text", "text": "Old."}]}, turn]),
            json!([{"role": "system", "content": ""}]),
        ] {
            let body = json!({"model": "m", "messages": messages});
            both(&gateway, "inlet", &body, &user).await;
        }
    }
}
