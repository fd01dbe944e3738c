//! Pipes that stand before a model server, in the ways that are in use.

use serde_json::json;

use super::setup_with;
use crate::PATIENCE;
use crate::support::{FakeUpstream, TestGateway, chat, eventually, streamed_chat, whole};

/// A gateway with that pipe before a model server, which the gateway itself does not know.
async fn gateway_before(upstream: &FakeUpstream) -> TestGateway {
    let gateway = setup_with(&["passing_on"]).start().await;
    let valves = json!({"BASE_URL": upstream.base_url(), "API_KEY": "sk-upstream"});
    gateway
        .management()
        .set_valves("passing_on", &valves)
        .await
        .expect(200);
    gateway
}

#[tokio::test]
async fn a_model_server_is_passed_on_in_every_way_streamed_and_not() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = gateway_before(&upstream).await;
    for way in ["lines", "httpx", "aiohttp", "response"] {
        let model = format!("passing_on.{way}.echo");
        let answer = gateway.user().chat(&chat(&model, "hi")).await.expect(200);
        assert_eq!(answer.content(), "echo: hi", "{way}");
        let asked = upstream.request().await;
        assert_eq!(asked.json()["model"], "echo");
        assert_eq!(asked.header("authorization"), "Bearer sk-upstream");
        let answer = gateway
            .user()
            .chat(&streamed_chat(&model, "hi"))
            .await
            .expect(200);
        assert_eq!(answer.streamed_content(), "echo: hi", "{way}");
        assert_eq!(
            answer.text().matches("[DONE]").count(),
            1,
            "{way}: {}",
            answer.text()
        );
        assert!(
            !answer.text().contains("\n\n\n"),
            "{way}: {}",
            answer.text()
        );
        upstream.request().await;
    }
}

#[tokio::test]
async fn chunks_made_by_hand_arrive_once_each() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_before(&upstream).await;
    let model = "passing_on.made.echo";
    let answer = gateway
        .user()
        .chat(&streamed_chat(model, "hi"))
        .await
        .expect(200);
    assert_eq!(answer.streamed_content(), "made by hand");
    assert_eq!(
        answer.text().matches("[DONE]").count(),
        1,
        "{}",
        answer.text()
    );
    assert_eq!(
        answer.text().matches("\"role\"").count(),
        1,
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn the_task_behind_a_response_runs_once_it_was_sent() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_before(&upstream).await;
    let answer = gateway
        .user()
        .chat(&streamed_chat("passing_on.response.echo", "hi"))
        .await;
    assert_eq!(answer.expect(200).streamed_content(), "echo: hi");
    let finished = async || {
        let body = chat("passing_on.finished.echo", "hi");
        let answer = gateway.user().chat(&body).await.expect(200);
        (answer.content() == "['echo']").then_some(())
    };
    eventually(PATIENCE, "the task behind the response", finished).await;
}

#[tokio::test]
async fn models_are_asked_for_with_the_valves_of_now_and_errors_are_answers() {
    let gateway = setup_with(&["passing_on"]).start().await;
    let names = async || {
        let list = gateway.user().get("/api/models").await.expect(200).json();
        list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| model["name"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["pass: API key not provided."]);
    let upstream = FakeUpstream::start(|_| whole(429, &[], "slow down")).await;
    let valves = json!({"BASE_URL": upstream.base_url(), "API_KEY": "sk-upstream"});
    gateway
        .management()
        .set_valves("passing_on", &valves)
        .await
        .expect(200);
    assert_eq!(names().await[0], "pass: Lines");
    let answer = gateway
        .user()
        .chat(&chat("passing_on.lines.echo", "hi"))
        .await
        .expect(200);
    assert!(
        answer.content().starts_with("Error: 429 Client Error"),
        "{}",
        answer.content()
    );
}
