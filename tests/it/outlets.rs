//! Outlet filters: what they make of whole answers and of streams.

use serde_json::{Value, json};

use crate::support::{
    Answer, FakeUpstream, TestGateway, chat, source, streamed, streamed_chat, whole,
};

/// A gateway with one function from the folder, and what the configuration says of it.
async fn gateway_with(upstream: &FakeUpstream, function: &str, settings: &str) -> TestGateway {
    let setup = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url());
    let setup = setup.tables(&format!("[function.{function}]\n{settings}"));
    setup.function(function, &source(function)).start().await
}

/// The text of a stream that ended well.
fn text_of(answer: &Answer) -> String {
    let mut events = answer.events();
    assert_eq!(events.pop().as_deref(), Some("[DONE]"), "{}", answer.text());
    let mut text = String::new();
    for event in events {
        let event: Value = serde_json::from_str(&event).unwrap();
        text += event["choices"][0]["delta"]["content"]
            .as_str()
            .unwrap_or_default();
    }
    text
}

#[tokio::test]
async fn outlet_changes_a_whole_answer() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, "shouting", "").await;
    let answer = gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    assert_eq!(answer.content(), "ECHO: HI");
    assert_eq!(
        answer.json()["choices"][0]["finish_reason"],
        "stop",
        "the rest is as it was"
    );
}

#[tokio::test]
async fn outlet_sees_each_of_several_answers() {
    let upstream = FakeUpstream::start(|_| {
        let choice =
            |index: u64| json!({"index": index, "message": {"role": "assistant", "content": "a"}});
        let body =
            json!({"id": "x", "object": "chat.completion", "choices": [choice(0), choice(1)]});
        whole(
            200,
            &[("content-type", "application/json")],
            body.to_string(),
        )
    });
    let upstream = upstream.await;
    let gateway = gateway_with(&upstream, "shouting", "").await;
    let answer = gateway
        .user()
        .chat(&chat("echo", "hi"))
        .await
        .expect(200)
        .json();
    let texts = answer["choices"].as_array().unwrap().iter();
    let texts: Vec<_> = texts
        .map(|choice| choice["message"]["content"].clone())
        .collect();
    assert_eq!(texts, ["A", "A"]);
}

#[tokio::test]
async fn an_answer_that_outlet_cannot_see_does_not_get_round_it() {
    let upstream =
        FakeUpstream::start(|_| whole(200, &[("content-type", "application/json")], "no json"));
    let upstream = upstream.await;
    let gateway = gateway_with(&upstream, "shouting", "").await;
    let answer = gateway.user().chat(&chat("echo", "hi")).await.expect(502);
    assert!(!answer.text().contains("no json\""), "{}", answer.text());
}

#[tokio::test]
async fn outlet_that_observes_changes_no_stream() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, "shouting", "").await;
    let answer = gateway
        .user()
        .chat(&streamed_chat("echo", "hi"))
        .await
        .expect(200);
    assert_eq!(text_of(&answer), "echo: hi");
    gateway
        .logged("outlet changed an answer that was streamed already")
        .await;
}

#[tokio::test]
async fn outlet_that_holds_changes_a_stream() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, "shouting", "stream_outlet = \"hold\"").await;
    let answer = gateway
        .user()
        .chat(&streamed_chat("echo", "hi"))
        .await
        .expect(200);
    assert_eq!(text_of(&answer), "ECHO: HI");
    assert!(answer.is_whole);
}

#[tokio::test]
async fn outlet_that_refuses_withholds_a_whole_answer() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, "withholding", "").await;
    let answer = gateway
        .user()
        .chat(&chat("echo", "a secret"))
        .await
        .expect(403);
    assert_eq!(answer.json()["error"]["message"], "the answer is withheld");
    gateway.user().chat(&chat("echo", "hi")).await.expect(200);
}

#[tokio::test]
async fn outlet_that_refuses_ends_an_observed_stream_with_an_error_in_place_of_the_end_marker() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, "withholding", "").await;
    let answer = gateway
        .user()
        .chat(&streamed_chat("echo", "a secret"))
        .await
        .expect(200);
    let events = answer.events();
    let last: Value = serde_json::from_str(events.last().expect("a stream has events")).unwrap();
    assert_eq!(last["error"]["message"], "the answer is withheld");
    assert!(!events.iter().any(|event| event == "[DONE]"));
    assert!(!answer.is_whole);
    let answer = gateway
        .user()
        .chat(&streamed_chat("echo", "hi"))
        .await
        .expect(200);
    assert_eq!(text_of(&answer), "echo: hi");
}

#[tokio::test]
async fn outlet_that_refuses_a_held_stream_is_a_status() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, "withholding", "stream_outlet = \"hold\"").await;
    let answer = gateway
        .user()
        .chat(&streamed_chat("echo", "a secret"))
        .await
        .expect(403);
    assert!(!answer.text().contains("secret"));
}

#[tokio::test]
async fn a_held_stream_without_an_answer_gets_the_one_that_outlet_makes() {
    let upstream = FakeUpstream::start(|_| streamed(["data: [DONE]\n\n"])).await;
    let code = "class Filter:\n    def outlet(self, body):\n        body['messages'][-1]['content'] = 'made'\n        return body\n";
    let setup = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url())
        .tables("[function.making]\nstream_outlet = \"hold\"");
    let gateway = setup.function("making", code).start().await;
    let answer = gateway
        .user()
        .chat(&streamed_chat("echo", "hi"))
        .await
        .expect(200);
    assert_eq!(text_of(&answer), "made");
}
