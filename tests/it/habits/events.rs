//! What functions emit: every type of event that the community's files know, and what is none.

use serde_json::{Value, json};

use super::{gateway_with, setup_with, told};
use crate::support::{Answer, Client, FakeUpstream, TestGateway, chat, streamed_chat};

/// Ways that add up to an answer, with its text.
const ANSWERS: &[(&str, &str)] = &[
    ("message", "Hello, world"),
    ("delta", "one two three"),
    ("replace", "final!"),
    ("chat_message", "the whole message"),
    ("completion", "by pieces"),
    ("completed", "all of it"),
    ("unspeakable", "told all"),
    ("from_threads", "from a thread, from its loop"),
    ("many", "done"),
    ("beside", "the answer itself"),
    ("generated", "by a generator"),
];

/// Ways that carry no text of an answer.
const SILENT: &[&str] = &[
    "status",
    "citation",
    "source",
    "notification",
    "execute",
    "embeds",
    "files",
    "input",
    "error",
    "tool_calls",
    "singles",
    "shapeless",
];

/// The types of what each way tells, in order.
const TOLD: &[(&str, &[&str])] = &[
    ("status", &["status", "status"]),
    ("message", &["message", "message"]),
    (
        "delta",
        &[
            "chat:message:delta",
            "chat:message:delta",
            "chat:message:delta",
        ],
    ),
    ("replace", &["message", "replace", "message"]),
    ("chat_message", &["chat:message:delta", "chat:message"]),
    ("completed", &["chat:completion", "chat:completion"]),
    ("citation", &["citation"]),
    ("source", &["source"]),
    ("notification", &["notification"]),
    ("execute", &["execute"]),
    ("embeds", &["embeds", "chat:message:embeds"]),
    ("files", &["files", "chat:message:files"]),
    ("input", &["input", "confirmation"]),
    ("error", &["error", "chat:message:error"]),
    ("tool_calls", &["tool_calls"]),
    ("from_threads", &["message", "message"]),
];

/// A client that hears events within its streams.
fn listening(client: Client) -> Client {
    client.with("x-sluicegate-events", "inline")
}

/// What functions told within a stream.
fn told_within(answer: &Answer) -> Vec<Value> {
    let events = answer.events().into_iter();
    let events = events.filter_map(|event| serde_json::from_str::<Value>(&event).ok());
    events
        .filter_map(|mut event| event.get_mut("event").map(Value::take))
        .collect()
}

/// What functions told while the request of this answer lived, without who told it.
async fn told_of(client: &Client, answer: &Answer) -> Vec<Value> {
    let path = format!("/api/chat/events/{}", answer.header("x-request-id"));
    let log = client.get(&path).await.expect(200).json();
    log["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|told| told["event"].clone())
        .collect()
}

async fn gateway() -> TestGateway {
    setup_with(&["telling", "calling"]).start().await
}

#[tokio::test]
async fn events_that_carry_text_are_the_answer_of_a_pipe_that_gives_nothing() {
    let gateway = gateway().await;
    for (way, text) in ANSWERS {
        let model = format!("telling.{way}");
        let answer = gateway.user().chat(&chat(&model, "hi")).await.expect(200);
        assert_eq!(answer.content(), *text, "{way}");
        let answer = gateway
            .user()
            .chat(&streamed_chat(&model, "hi"))
            .await
            .expect(200);
        assert_eq!(answer.streamed_content(), *text, "{way}");
    }
}

#[tokio::test]
async fn events_that_carry_none_leave_the_answer_empty_and_break_nothing() {
    let gateway = gateway().await;
    for way in SILENT {
        let model = format!("telling.{way}");
        let answer = gateway.user().chat(&chat(&model, "hi")).await.expect(200);
        assert_eq!(answer.content(), "", "{way}");
        let answer = gateway
            .user()
            .chat(&streamed_chat(&model, "hi"))
            .await
            .expect(200);
        assert_eq!(answer.streamed_content(), "", "{way}");
        assert!(answer.is_whole, "{way}");
    }
}

#[tokio::test]
async fn what_cannot_be_told_is_said_in_the_functions_output() {
    let gateway = gateway().await;
    gateway
        .user()
        .chat(&chat("telling.unspeakable", "hi"))
        .await
        .expect(200);
    let lines = gateway.management().output("telling").await;
    assert!(
        lines.iter().any(|line| line.contains("event not emitted")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn questions_to_the_browser_are_answered_at_once_where_there_is_none() {
    let gateway = gateway().await;
    for body in [chat("calling", "hi"), streamed_chat("calling", "hi")] {
        let answer = gateway.user().chat(&body).await.expect(200);
        assert!(
            answer.text().contains("Client session disconnected."),
            "{}",
            answer.text()
        );
        assert!(!answer.text().contains("somebody"));
    }
}

#[tokio::test]
async fn events_of_filters_leave_the_answer_as_it_is() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["telling_along"]).await;
    assert_eq!(told(&gateway.user(), "hi").await, "hi");
    let answer = gateway
        .user()
        .chat(&streamed_chat("echo", "hi"))
        .await
        .expect(200);
    assert_eq!(answer.streamed_content(), "echo: hi");
}

#[tokio::test]
async fn events_of_every_type_are_heard_in_the_stream_and_kept_for_afterwards() {
    let gateway = gateway().await;
    for (way, types) in TOLD {
        let model = format!("telling.{way}");
        let answer = listening(gateway.user())
            .chat(&streamed_chat(&model, "hi"))
            .await
            .expect(200);
        let heard = told_within(&answer);
        let kinds: Vec<_> = heard
            .iter()
            .map(|event| event["type"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, *types, "{way}");
        assert_eq!(
            answer.events().last().map(String::as_str),
            Some("[DONE]"),
            "{way}"
        );
        let answer = gateway.user().chat(&chat(&model, "hi")).await.expect(200);
        assert_eq!(told_of(&gateway.user(), &answer).await, heard, "{way}");
    }
}

#[tokio::test]
async fn events_are_heard_word_for_word() {
    let gateway = gateway().await;
    let answer = listening(gateway.user())
        .chat(&streamed_chat("telling.citation", "hi"))
        .await;
    let data = json!({
        "document": ["Some text."],
        "metadata": [{"date_accessed": "2025-01-01", "source": "A book"}],
        "source": {"name": "A book", "url": "https://example.test/book"},
    });
    assert_eq!(
        told_within(&answer),
        [json!({"type": "citation", "data": data})]
    );
    let answer = listening(gateway.user())
        .chat(&streamed_chat("telling.singles", "hi"))
        .await;
    let heard = told_within(&answer);
    assert_eq!(heard.len(), 9, "{heard:?}");
    assert_eq!(heard[0], json!({"type": "chat:title", "data": "A title"}));
    assert_eq!(heard[3], json!({"type": "chat:tasks:cancel"}));
    assert_eq!(heard[8], json!({"type": "log", "data": "working"}));
}

#[tokio::test]
async fn what_has_no_shape_is_kept_and_only_objects_go_into_a_stream() {
    let gateway = gateway().await;
    let answer = listening(gateway.user())
        .chat(&streamed_chat("telling.shapeless", "hi"))
        .await;
    let heard = told_within(&answer);
    assert!(heard.iter().all(Value::is_object), "{heard:?}");
    assert_eq!(heard[2], json!({}));
    let kept = told_of(&gateway.user(), &answer).await;
    assert_eq!(
        kept.len(),
        heard.len() + 3,
        "nothing, a text and a list are no objects: {kept:?}"
    );
    assert_eq!(
        kept[3..6],
        [json!(null), json!("just text"), json!(["a", "list"])]
    );
}

#[tokio::test]
async fn events_of_all_handlers_of_a_filter_are_heard_in_order() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["telling_along"]).await;
    let steps = |told: &[Value]| -> Vec<String> {
        let step = |event: &Value| event["data"]["description"].as_str().map(str::to_owned);
        told.iter().filter_map(step).collect()
    };
    let answer = listening(gateway.user())
        .chat(&streamed_chat("echo", "hi"))
        .await
        .expect(200);
    assert_eq!(steps(&told_within(&answer)), ["inlet", "stream", "outlet"]);
    let answer = gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    assert_eq!(
        steps(&told_of(&gateway.user(), &answer).await),
        ["inlet", "outlet"]
    );
}
