//! Pipes: functions in the place of a model server.

use serde_json::{Value, json};

use crate::support::{Answer, TestGateway, chat, source, streamed_chat};

async fn gateway_with(functions: &[&str]) -> TestGateway {
    let setup = TestGateway::setup().python();
    let setup = functions
        .iter()
        .fold(setup, |setup, id| setup.function(id, &source(id)));
    setup.start().await
}

/// The text of a stream, which ends with a finish reason and the end marker.
fn text_of(answer: &Answer) -> String {
    let events = answer.events();
    let [chunks @ .., last, done] = &events[..] else {
        panic!("too short: {events:?}");
    };
    assert_eq!(done, "[DONE]");
    assert!(last.contains("\"finish_reason\":\"stop\""), "{last}");
    let mut text = String::new();
    for chunk in chunks {
        let chunk: Value = serde_json::from_str(chunk).unwrap();
        text += chunk["choices"][0]["delta"]["content"]
            .as_str()
            .unwrap_or_default();
    }
    text
}

#[tokio::test]
async fn a_pipe_answers_as_a_model_of_its_id() {
    let gateway = gateway_with(&["single"]).await;
    let answer = gateway.user().chat(&chat("single", "hi")).await.expect(200);
    assert_eq!(answer.content(), "you said: hi");
    assert_eq!(answer.json()["object"], "chat.completion");
    let answer = gateway
        .user()
        .chat(&streamed_chat("single", "hi"))
        .await
        .expect(200);
    assert_eq!(text_of(&answer), "you said: hi");
}

#[tokio::test]
async fn every_shape_of_answer_arrives_whole() {
    let gateway = gateway_with(&["shapes"]).await;
    let expected = [
        ("text", "from text"),
        ("dict", "from a dict"),
        ("model", "from a model"),
        ("generator", "from a generator"),
        ("async", "from an async generator"),
    ];
    for (shape, text) in expected {
        let answer = gateway
            .user()
            .chat(&chat(&format!("shapes.{shape}"), "hi"))
            .await
            .expect(200);
        assert_eq!(answer.content(), text);
    }
}

#[tokio::test]
async fn every_shape_of_text_arrives_streamed() {
    let gateway = gateway_with(&["shapes"]).await;
    let expected = [
        ("text", "from text"),
        ("generator", "from a generator"),
        ("async", "from an async generator"),
    ];
    for (shape, text) in expected {
        let body = streamed_chat(&format!("shapes.{shape}"), "hi");
        let answer = gateway.user().chat(&body).await.expect(200);
        assert_eq!(text_of(&answer), text);
        assert!(answer.is_whole);
    }
    for (shape, text) in [("dict", "from a dict"), ("model", "from a model")] {
        let body = streamed_chat(&format!("shapes.{shape}"), "hi");
        let answer = gateway.user().chat(&body).await.expect(200);
        assert!(answer.text().contains(text), "{}", answer.text());
        assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"));
    }
}

#[tokio::test]
async fn a_manifold_lists_its_models_and_its_failures_keep_their_status() {
    let gateway = gateway_with(&["listing"]).await;
    let list = gateway.user().get("/v1/models").await.expect(200).json();
    let ids: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| &model["id"])
        .collect();
    assert_eq!(ids, ["listing.kind", "listing.cruel"]);
    let answer = gateway
        .user()
        .chat(&chat("listing.kind", "hi"))
        .await
        .expect(200);
    assert_eq!(answer.content(), "yes");
    for body in [
        chat("listing.cruel", "hi"),
        streamed_chat("listing.cruel", "hi"),
    ] {
        let answer = gateway.user().chat(&body).await.expect(418);
        assert_eq!(answer.json()["error"]["message"], "no");
    }
    let answer = gateway
        .user()
        .post("/api/chat/completions", &chat("listing.cruel", "hi"))
        .await
        .expect(200);
    assert!(answer.json()["error"]["detail"].is_string());
    gateway
        .user()
        .chat(&chat("listing.none", "hi"))
        .await
        .expect(404);
}

#[tokio::test]
async fn filters_run_on_pipes() {
    let gateway = gateway_with(&["single", "mark", "shouting"]).await;
    let answer = gateway.user().chat(&chat("single", "hi")).await.expect(200);
    assert_eq!(answer.content(), "YOU SAID: HI MARK");
    let pipe = gateway
        .admin()
        .get("/api/v1/functions/id/single")
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&pipe["type"], &pipe["is_active"]),
        (&json!("pipe"), &json!(true))
    );
}
