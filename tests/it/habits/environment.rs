//! What functions do at their start, and what they want of the machine.

use serde_json::json;

use super::{ask, gateway_with, setup_with, told};
use crate::support::{FakeUpstream, chat};

#[tokio::test]
async fn a_constructor_may_open_files_and_databases_and_start_tasks_on_the_loop() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["beginning"]).await;
    assert_eq!(told(&gateway.user(), "hi").await, "hi True True True True");
}

#[tokio::test]
async fn a_vocabulary_that_cannot_be_fetched_is_named_and_fetched_once_it_can() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["fetching_words"]).await;
    let management = gateway.management();
    let nowhere = json!({"source": "http://127.0.0.1:9/vocabulary"});
    management
        .set_valves("fetching_words", &nowhere)
        .await
        .expect(200);
    let refused = ask(&gateway.user(), "hi").await.expect(400);
    let message = refused.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        message.contains("127.0.0.1") && message.contains("/vocabulary"),
        "{message}"
    );
    let somewhere = json!({"source": format!("{}/models", upstream.base_url())});
    management
        .set_valves("fetching_words", &somewhere)
        .await
        .expect(200);
    assert_eq!(told(&gateway.user(), "hi").await, "hi 3");
}

#[tokio::test]
async fn an_installation_while_it_runs_fails_in_words_and_hurts_nobody() {
    let gateway = setup_with(&["installing", "repeating", "noting", "reading_notes"])
        .environment("SLUICEGATE_FUNCTIONS_SUBPROCESSES", "true")
        .start()
        .await;
    let answer = gateway
        .user()
        .chat(&chat("installing", "hi"))
        .await
        .expect(500);
    let message = answer.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(message.contains("a-package-that-nobody-has"), "{message}");
    gateway
        .user()
        .chat(&chat("repeating", "hi"))
        .await
        .expect(200);
}

#[tokio::test]
async fn programs_and_processes_of_its_own_come_back_to_the_function() {
    let upstream = FakeUpstream::echo().await;
    let gateway = setup_with(&["starting_programs"])
        .environment("SLUICEGATE_FUNCTIONS_SUBPROCESSES", "true")
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    for _ in 0..2 {
        assert_eq!(
            told(&gateway.user(), "hi").await,
            "run python 3 async shell [2, 4] 6"
        );
    }
}
