//! Tools whose results are pages for the user's eyes.

use serde_json::{Value, json};

use super::setup_with;
use crate::support::{FakeUpstream, Recorded, Script, answer_of, chat, whole};

/// A model that calls the tool that it was asked for once, and then tells what it was told.
fn calling(request: &Recorded) -> Script {
    let body = request.json();
    let last = body["messages"].as_array().unwrap().last().unwrap().clone();
    if last["role"] == "tool" {
        return answer_of(last["content"].as_str().unwrap());
    }
    let function = json!({"name": last["content"], "arguments": "{\"place\": \"Oslo\"}"});
    let call = json!({"id": "c1", "type": "function", "function": function});
    let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    let choice = json!({"index": 0, "message": message, "finish_reason": "tool_calls"});
    let answer = json!({"id": "a1", "object": "chat.completion", "created": 1, "model": "echo", "choices": [choice]});
    let headers = [("content-type", "application/json")];
    whole(200, &headers, answer.to_string())
}

#[tokio::test]
async fn a_page_is_shown_to_the_user_and_the_model_is_told_of_it() {
    let upstream = FakeUpstream::start(calling).await;
    let setup = setup_with(&["showing_cards"]).upstream("fake", &upstream.base_url());
    let gateway = setup.tables("[tools]\nloop = true").start().await;
    let cases = [
        (
            "weather_card",
            "weather_card",
            "<b>Oslo</b><script>parent.postMessage(\"User Two\")</script>",
        ),
        ("told_card", "\"degrees\": 21", "<i>Oslo</i>"),
    ];
    for (tool, told, page) in cases {
        let mut body = chat("echo", tool);
        body["tool_ids"] = json!(["showing_cards"]);
        let answer = gateway.user().chat(&body).await.expect(200);
        assert!(answer.content().contains(told), "{}", answer.content());
        assert!(
            !answer.content().contains(page),
            "the page is not for the model"
        );
        let path = format!("/api/chat/events/{}", answer.header("x-request-id"));
        let log = gateway.user().get(&path).await.expect(200).json();
        let events: Vec<&Value> = log["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|told| &told["event"])
            .collect();
        let shown = json!({"type": "embeds", "data": {"embeds": [page]}});
        assert_eq!(**events.last().unwrap(), shown);
        let is_status = |event: &&&Value| event["type"] == "status";
        assert_eq!(
            events.iter().filter(is_status).count(),
            usize::from(tool == "weather_card")
        );
    }
}
