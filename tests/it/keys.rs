//! Who may call, and how the two contracts say no.

use serde_json::json;

use crate::support::{ADMIN_KEY, FakeUpstream, TestGateway, USER_KEY, chat, source};

async fn gateway_with(upstream: &FakeUpstream) -> TestGateway {
    TestGateway::setup()
        .upstream("fake", &upstream.base_url())
        .start()
        .await
}

#[tokio::test]
async fn without_a_known_key_nothing_reaches_the_model_server() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let odd = ["sk-wrong", "' OR 1=1 --", "", &"k".repeat(4000)];
    let strangers = odd.map(|key| gateway.stranger().with_key(key));
    for client in strangers.into_iter().chain([gateway.stranger()]) {
        let answer = client.chat(&chat("echo", "hi")).await.expect(401);
        let error = &answer.json()["error"];
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("authentication_error"), &json!("invalid_api_key"))
        );
        let answer = client
            .post("/api/chat/completions", &chat("echo", "hi"))
            .await
            .expect(401);
        assert!(answer.json()["detail"].is_string());
    }
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test]
async fn a_key_counts_in_either_header_but_not_two_keys() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let by_header = gateway.stranger().with("x-api-key", USER_KEY);
    by_header.chat(&chat("echo", "hi")).await.expect(200);
    let wrong = gateway.stranger().with("x-api-key", "sk-wrong");
    wrong.chat(&chat("echo", "hi")).await.expect(401);
    let both = gateway.user().with("x-api-key", ADMIN_KEY);
    both.chat(&chat("echo", "hi")).await.expect(400);
}

#[tokio::test]
async fn users_manage_no_functions() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let form = json!({"id": "mark", "name": "Mark", "content": source("mark"), "meta": {}});
    let answer = gateway
        .user()
        .post("/api/v1/functions/create", &form)
        .await
        .expect(401);
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .contains("permission")
    );
    gateway
        .stranger()
        .post("/api/v1/functions/create", &form)
        .await
        .expect(401);
    gateway
        .user()
        .get("/api/v1/functions/id/mark")
        .await
        .expect(401);
}

#[tokio::test]
async fn the_first_admin_key_of_the_environment_manages_functions() {
    let upstream = FakeUpstream::echo().await;
    let setup =
        TestGateway::setup().environment("SLUICEGATE_ADMIN_KEY", "sk-from-the-environment-3");
    let gateway = setup.upstream("fake", &upstream.base_url()).start().await;
    let admin = gateway.stranger().with_key("sk-from-the-environment-3");
    admin.get("/api/v1/functions/list").await.expect(200);
    assert!(!gateway.log().contains("sk-from-the-environment-3"));
}
