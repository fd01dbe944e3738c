//! What files look like: their valves, their handlers, their heads.

use serde_json::json;

use super::{gateway_with, setup_with, told};
use crate::support::{FakeUpstream, chat, streamed_chat};

#[tokio::test]
async fn user_valves_are_read_in_every_way_that_is_in_use() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["users_wishes"]).await;
    let management = gateway.management();
    assert_eq!(
        told(&gateway.user(), "hi").await,
        "['plain'] 10 calm ['a'] None"
    );
    let own = json!({"tone": "gruff", "unknown": 1});
    gateway
        .user()
        .set_user_valves("users_wishes", &own)
        .await
        .expect(200);
    let valves = json!({"mood": "loud", "words": ["b", "c"], "limit": 3});
    management
        .set_valves("users_wishes", &valves)
        .await
        .expect(200);
    assert_eq!(
        told(&gateway.user(), "hi").await,
        "['gruff', 'plain'] 10 loud ['b', 'c'] 3"
    );
    assert_eq!(
        told(&gateway.admin(), "hi").await,
        "['plain'] 10 loud ['b', 'c'] 3"
    );
    for (wrong, what) in [
        (json!({"words": []}), "give at least one word"),
        (json!({"mood": "sad"}), "mood"),
    ] {
        let refused = management
            .set_valves("users_wishes", &wrong)
            .await
            .expect(400);
        assert!(refused.text().contains(what), "{}", refused.text());
    }
    let spec = gateway
        .admin()
        .get("/api/v1/functions/id/users_wishes/valves/spec")
        .await
        .expect(200)
        .json();
    assert_eq!(spec["properties"]["choice"]["enum"], json!(["x", "y"]));
}

#[tokio::test]
async fn handlers_are_inherited_and_halves_of_letters_are_joined_or_replaced() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["inheriting"]).await;
    assert_eq!(
        told(&gateway.user(), "hi").await,
        "hi 😀 lone \u{fffd} 0 User Two"
    );
}

#[tokio::test]
async fn a_filter_without_handlers_is_a_switch_of_its_models() {
    let upstream = FakeUpstream::echo().await;
    let gateway = setup_with(&["marker"])
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    let mut body = chat("echo", "hi");
    body["filter_ids"] = json!(["marker"]);
    let answer = gateway.user().chat(&body).await.expect(200);
    assert_eq!(answer.content(), "echo: hi");
    let list = gateway.user().get("/api/models").await.expect(200).json();
    let filters = &list["data"][0]["filters"];
    assert_eq!(filters[0]["id"], "marker", "{filters}");
    let function = gateway
        .admin()
        .get("/api/v1/functions/id/marker")
        .await
        .expect(200)
        .json();
    assert_eq!(
        function["meta"]["manifest"]["https"],
        "//example.test/unexpected"
    );
}

#[tokio::test]
async fn a_filter_decides_whether_the_answer_is_streamed() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["choosing_stream"]).await;
    let answer = gateway
        .user()
        .chat(&streamed_chat("echo", "hi"))
        .await
        .expect(200);
    assert_eq!(answer.content(), "echo: hi");
    let answer = gateway
        .user()
        .chat(&chat("echo", "stream"))
        .await
        .expect(200);
    assert_eq!(answer.streamed_content(), "echo: stream");
}
