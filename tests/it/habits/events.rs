//! What functions emit: every type of event that the community's files know, and what is none.

use crate::support::{FakeUpstream, TestGateway, chat, streamed_chat};

use super::{gateway_with, setup_with, told};

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
