//! How tools are called: by pipes, by the tool loop, and by prompt.

use serde_json::{Value, json};

use super::{calling, chat_with_tools, gateway_with, streaming};
use crate::support::{FakeUpstream, Gate, Recorded, Script, Step, answer_of, chat, streamed};

const LOOP: &str = "[tools]\nloop = true";

/// A model that calls `name` once, and then tells what it was told.
fn calls_once(name: &'static str, arguments: &'static str) -> impl Fn(&Recorded) -> Script {
    move |request| match request.json()["messages"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
    {
        last if last["role"] == "tool" => answer_of(last["content"].as_str().unwrap()),
        _ => calling(name, arguments),
    }
}

#[tokio::test]
async fn without_the_loop_calls_are_the_clients() {
    let mut upstream = FakeUpstream::start(calls_once("add", "{\"a\": 1}")).await;
    let gateway = gateway_with(&upstream, &["seeing_tools"], "").await;
    let answer = gateway
        .user()
        .chat(&chat_with_tools("hi"))
        .await
        .expect(200);
    let message = &answer.json()["choices"][0]["message"];
    assert_eq!(message["tool_calls"][0]["function"]["name"], "add");
    assert_eq!(upstream.request_count(), 1);
    let sent = upstream.request().await.json();
    assert!(sent.get("tool_ids").is_none());
    assert_eq!(
        sent["seen"]["offered"],
        json!(["add", "crashes", "fails", "said"])
    );
    assert_eq!(sent["seen"]["known"]["add"], "toolbox");
}

#[tokio::test]
async fn tools_of_the_clients_own_stand_alone() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &[], LOOP).await;
    let mut body = chat_with_tools("hi");
    body["tools"] = json!([{"type": "function", "function": {"name": "own"}}]);
    gateway.user().chat(&body).await.expect(200);
    assert_eq!(upstream.request().await.json()["tools"], body["tools"]);
}

#[tokio::test]
async fn pipes_call_tools_in_their_own_processes() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["using_tools"], "").await;
    let ask = async |text: &str| {
        let mut body = chat_with_tools(text);
        body["model"] = json!("using_tools");
        gateway.user().chat(&body).await.expect(200).content()
    };
    assert_eq!(ask("list").await, "add,crashes,fails,said");
    assert_eq!(ask("add").await, "sum=6 C user en");
    assert_eq!(
        ask("said").await,
        "{'last': 'said', 'chat': '', 'id': 'toolbox'}"
    );
    assert_eq!(ask("fails").await, "failed: tool broke");
    assert_eq!(ask("crashes").await, "failed: the tool crashed");
    assert_eq!(ask("add").await, "sum=6 C user en");
}

#[tokio::test]
async fn a_pipe_reaches_no_tool_that_its_caller_may_not_use() {
    let upstream = FakeUpstream::echo().await;
    let code = "class Pipe:\n    async def pipe(self, body, __tools__):\n        return str(sorted(__tools__))\n";
    let gateway = gateway_with(&upstream, &[], "[function.toolbox]\nactive = false").await;
    gateway.management().install("sly", code).await;
    let mut body = chat_with_tools("hi");
    body["model"] = json!("sly");
    assert_eq!(gateway.user().chat(&body).await.expect(200).content(), "[]");
}

#[tokio::test]
async fn the_loop_runs_tools_and_asks_again() {
    let mut upstream = FakeUpstream::start(calls_once("add", "{\"a\": 1, \"__user__\": {}}")).await;
    let gateway = gateway_with(&upstream, &[], LOOP).await;
    let answer = gateway
        .user()
        .chat(&chat_with_tools("hi"))
        .await
        .expect(200);
    assert_eq!(answer.content(), "sum=3 C user en");
    upstream.request().await;
    let again = upstream.request().await.json();
    let messages = again["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 3);
    assert_eq!(messages[1]["tool_calls"][0]["id"], "c1");
    assert_eq!(messages[2]["tool_call_id"], "c1");
}

#[tokio::test]
async fn the_loop_tells_the_model_what_went_wrong() {
    for (name, told) in [
        ("fails", "tool broke"),
        ("crashes", "the tool crashed"),
        ("nothing", "there is no tool `nothing`"),
    ] {
        let upstream = FakeUpstream::start(calls_once(name, "not json")).await;
        let gateway = gateway_with(&upstream, &[], LOOP).await;
        let answer = gateway
            .user()
            .chat(&chat_with_tools("hi"))
            .await
            .expect(200);
        assert_eq!(answer.content(), told);
    }
}

#[tokio::test]
async fn the_loop_ends_at_its_limit() {
    let upstream = FakeUpstream::start(|_: &Recorded| calling("add", "{\"a\": 1}")).await;
    let gateway = gateway_with(&upstream, &[], &format!("{LOOP}\nmax_rounds = 3")).await;
    let answer = gateway
        .user()
        .chat(&chat_with_tools("hi"))
        .await
        .expect(200);
    assert_eq!(upstream.request_count(), 4);
    assert!(answer.json()["choices"][0]["message"]["tool_calls"].is_array());
}

#[tokio::test]
async fn a_stream_goes_on_over_the_rounds() {
    let call = |piece: Value| json!({"tool_calls": [piece]});
    let first = [
        json!({"role": "assistant", "content": "Let me see. "}),
        call(
            json!({"index": 0, "id": "c1", "type": "function", "function": {"name": "add", "arguments": ""}}),
        ),
        call(json!({"index": 0, "function": {"arguments": "{\"a\":"}})),
        call(json!({"index": 0, "function": {"arguments": " 1}"}})),
    ];
    let upstream = FakeUpstream::start(move |request: &Recorded| match request.json()["messages"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
    {
        last if last["role"] == "tool" => {
            streaming("a2", &[json!({"content": last["content"]})], "stop")
        }
        _ => streaming("a1", &first, "tool_calls"),
    })
    .await;
    let gateway = gateway_with(&upstream, &[], LOOP).await;
    let mut body = chat_with_tools("hi");
    body["stream"] = json!(true);
    let answer = gateway.user().chat(&body).await.expect(200);
    assert!(answer.is_whole);
    assert_eq!(answer.streamed_content(), "Let me see. sum=3 C user en");
    let events = answer.events();
    assert_eq!(events.iter().filter(|event| *event == "[DONE]").count(), 1);
    assert!(
        events
            .iter()
            .all(|event| !event.contains("tool_calls") && !event.contains("a2"))
    );
    assert_eq!(upstream.request_count(), 2);
}

#[tokio::test]
async fn a_call_that_the_model_server_cut_off_is_not_run() {
    let call =
        json!({"index": 0, "id": "c1", "function": {"name": "add", "arguments": "{\"a\": 1"}});
    let choice = json!({"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": null});
    let chunk = json!({"id": "a1", "object": "chat.completion.chunk", "created": 1, "model": "echo", "choices": [choice]});
    let event = format!("data: {chunk}\n\n");
    let upstream = FakeUpstream::start(move |_: &Recorded| streamed([event.clone()])).await;
    let gateway = gateway_with(&upstream, &[], LOOP).await;
    let mut body = chat_with_tools("hi");
    body["stream"] = json!(true);
    let answer = gateway.user().chat(&body).await;
    assert_eq!(upstream.request_count(), 1);
    assert!(answer.text().contains("upstream_cut"), "{}", answer.text());
}

#[tokio::test]
async fn what_a_model_says_before_it_calls_does_not_wait_for_the_tool() {
    let gate = Gate::new();
    let held = gate.clone();
    let call =
        json!({"index": 0, "id": "c1", "function": {"name": "add", "arguments": "{\"a\": 1}"}});
    let deltas = [
        json!({"content": "Let me see."}),
        json!({"tool_calls": [call]}),
    ];
    let upstream = FakeUpstream::start(move |request: &Recorded| {
        let messages = request.json();
        if messages["messages"].as_array().unwrap().len() > 1 {
            let answer = streaming("a2", &[json!({"content": " Done."})], "stop");
            return [vec![Step::Wait(held.clone())], answer].concat();
        }
        let events = streaming("a1", &deltas, "tool_calls");
        // All of it in one piece.
        let [head, pieces @ .., tail] = &events[..] else {
            panic!("a stream has a head and an end");
        };
        let sent = pieces.iter().filter_map(|step| match step {
            Step::Send(bytes) => Some(&bytes[..]),
            _ => None,
        });
        let pieces = Step::Send(sent.collect::<Vec<_>>().concat());
        vec![head.clone(), pieces, tail.clone()]
    })
    .await;
    let gateway = gateway_with(&upstream, &[], LOOP).await;
    let mut body = chat_with_tools("hi");
    body["stream"] = json!(true);
    let mut events = gateway.user().stream(&body).await;
    let first = events.next().await.unwrap();
    assert!(first.contains("Let me see."), "{first}");
    gate.open();
    let rest = events.rest().await;
    assert!(rest[0].contains(" Done."), "{rest:?}");
    assert!(!events.is_broken);
}

/// A model that chooses by prompt: it names `add` where it is asked to choose, else says what it was asked.
fn chooses(words: &'static str) -> impl Fn(&Recorded) -> Script {
    move |request| match &request.json()["messages"][0] {
        first if first["role"] == "system" => answer_of(words),
        _ if request.is_streamed() => {
            streaming("a1", &[json!({"content": request.last_text()})], "stop")
        }
        _ => answer_of(&request.last_text()),
    }
}

fn by_prompt(text: &str) -> Value {
    let mut body = chat_with_tools(text);
    body["params"] = json!({"function_calling": "legacy"});
    body
}

#[tokio::test]
async fn a_tool_chosen_by_prompt_adds_to_the_question() {
    let words = r#"sure: {"name":"add","parameters":{"a":5,"other":1}} ok"#;
    let mut upstream = FakeUpstream::start(chooses(words)).await;
    let gateway = gateway_with(&upstream, &[], "").await;
    let user = gateway.user();
    let answer = user
        .post("/api/chat/completions", &by_prompt("add them"))
        .await
        .expect(200);
    assert!(
        answer
            .content()
            .ends_with("add them\n\nTool `toolbox/add` Output: sum=7 C user en")
    );
    assert!(
        answer.text().starts_with("{\"sources\":["),
        "{}",
        answer.text()
    );
    let source = &answer.json()["sources"][0];
    assert_eq!(source["source"]["name"], "toolbox/add");
    assert_eq!(source["metadata"][0]["parameters"], json!({"a": 5}));
    let question = upstream.request().await.json();
    assert!(
        question["messages"][1]["content"]
            .as_str()
            .unwrap()
            .ends_with("Query: add them")
    );
    assert!(upstream.request().await.json().get("tools").is_none());

    let mut body = by_prompt("add them");
    body["stream"] = json!(true);
    let events = user
        .post("/api/chat/completions", &body)
        .await
        .expect(200)
        .events();
    assert!(events[0].starts_with("{\"sources\":["), "{}", events[0]);
}

#[tokio::test]
async fn a_choice_without_sense_is_none() {
    for words in [
        "{\"tool_calls\":[]}",
        "{\"name\":\"nothing\"}",
        "not json",
        "",
        "} {",
    ] {
        let upstream = FakeUpstream::start(chooses(words)).await;
        let gateway = gateway_with(&upstream, &[], "").await;
        let answer = gateway
            .user()
            .chat(&by_prompt("add them"))
            .await
            .expect(200);
        assert_eq!(answer.content(), "add them");
        assert!(answer.json().get("sources").is_none());
        assert_eq!(upstream.request_count(), 2);
    }
}

#[tokio::test]
async fn a_preset_brings_its_tools_and_actions_along() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(
        &upstream,
        &["buttons"],
        "[function.buttons]\nglobal = false",
    )
    .await;
    let preset = json!({
        "id": "helper", "name": "Helper", "base_model_id": "echo", "params": {},
        "meta": {"toolIds": ["toolbox"], "actionIds": ["buttons"]}, "is_active": true,
    });
    gateway
        .admin()
        .post("/api/v1/models/create", &preset)
        .await
        .expect(200);
    gateway.user().chat(&chat("helper", "hi")).await.expect(200);
    let sent = upstream.request().await.json();
    assert_eq!(sent["tools"][0]["function"]["name"], "add");
    let pressed = json!({"model": "helper", "chat_id": "c", "id": "m", "session_id": "s", "messages": [{"content": "x"}]});
    let path = "/api/chat/actions/buttons.up";
    gateway.user().post(path, &pressed).await.expect(200);
}

#[tokio::test]
async fn unknown_tools_change_nothing() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &[], "").await;
    let mut body = chat("echo", "hi");
    body["tool_ids"] = json!(["unknown"]);
    gateway
        .user()
        .post("/api/chat/completions", &body)
        .await
        .expect(200);
    let sent = upstream.request().await.json();
    assert!(sent.get("tools").is_none() && sent.get("tool_ids").is_none());
}
