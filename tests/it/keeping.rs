//! What functions keep and look up by way of `open_webui`, against the store of a real gateway.

use serde_json::{Value, json};

use crate::support::{FakeUpstream, TestGateway, chat, source};

async fn ask(gateway: &TestGateway, model: &str, word: &str) -> Value {
    let answer = gateway.user().chat(&chat(model, word)).await.expect(200);
    serde_json::from_str(&answer.content()).unwrap()
}

async fn gateway(upstream: &FakeUpstream) -> TestGateway {
    let setup = TestGateway::setup().python();
    let setup = setup.function("keeping", &source("keeping"));
    let setup = setup.function("other", &source("keeping"));
    setup.upstream("fake", &upstream.base_url()).start().await
}

#[tokio::test]
async fn what_one_function_keeps_another_finds() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway(&upstream).await;
    assert_eq!(
        ask(&gateway, "keeping", "keep").await,
        json!({"title": "Kept"})
    );
    let found = json!({
        "memories": [["likes green tea"]],
        "chat": "Kept",
        "message": {"content": "hi"},
        "size": 2,
    });
    assert_eq!(ask(&gateway, "other", "find").await, found);
}

#[tokio::test]
async fn functions_look_users_models_and_functions_up() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway(&upstream).await;
    let looked = ask(&gateway, "other", "look").await;
    let models = looked["models"].as_array().unwrap();
    for model in ["echo", "keeping", "other"] {
        assert!(models.contains(&json!(model)), "{looked}");
    }
    assert_eq!(looked["type"], "pipe");
    assert_eq!(looked["nobody"], Value::Null);
    assert_eq!(looked["users"], true);
}

#[tokio::test]
async fn many_plain_lookups_at_once_are_all_answered() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway(&upstream).await;
    let asked = (0..24).map(|_| ask(&gateway, "keeping", "look"));
    for looked in futures_util::future::join_all(asked).await {
        assert_eq!(looked["type"], "pipe");
    }
}

#[tokio::test]
async fn a_function_that_waits_for_it_sets_its_own_valves() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway(&upstream).await;
    let code = source("settling");
    gateway.management().install("settling", &code).await;
    for (word, seen) in [("3", "0"), ("4", "3"), ("no", "4"), ("5", "4")] {
        let answer = gateway.user().chat(&chat("settling", word)).await;
        assert_eq!(answer.expect(200).content(), seen);
    }
}
