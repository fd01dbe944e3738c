//! Valves and user valves: what is set is what functions see.

use serde_json::json;

use crate::support::{Client, Door, FakeUpstream, TestGateway, chat, source};

async fn gateway_with(upstream: &FakeUpstream) -> TestGateway {
    TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url())
        .start()
        .await
}

async fn content(client: &Client) -> String {
    client.chat(&chat("echo", "hi")).await.expect(200).content()
}

#[tokio::test]
async fn valves_are_seen_by_the_next_request_and_bad_ones_are_refused() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let management = gateway.management();
    management.install_filter("mark", &source("mark")).await;
    management
        .set_valves("mark", &json!({"mark": "first"}))
        .await
        .expect(200);
    assert_eq!(content(&gateway.user()).await, "echo: hi first");
    let answer = management
        .set_valves("mark", &json!({"priority": "high"}))
        .await
        .expect(400);
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .contains("priority")
    );
    assert_eq!(content(&gateway.user()).await, "echo: hi first");
    let stored = gateway
        .admin()
        .get("/api/v1/functions/id/mark/valves")
        .await
        .expect(200);
    assert_eq!(stored.json(), json!({"mark": "first"}));
    gateway
        .user()
        .get("/api/v1/functions/id/mark/valves")
        .await
        .expect(401);
}

#[tokio::test]
async fn a_change_of_valves_keeps_the_instance() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let management = gateway.management();
    let code = source("counting").replace(
        "class Filter:\n",
        "from pydantic import BaseModel\n\n\nclass Filter:\n    class Valves(BaseModel):\n        step: int = 1\n\n",
    );
    management.install_filter("counting", &code).await;
    assert_eq!(content(&gateway.user()).await, "echo: hi hello 1");
    management
        .set_valves("counting", &json!({"step": 2}))
        .await
        .expect(200);
    assert_eq!(content(&gateway.user()).await, "echo: hi hello 2");
}

#[tokio::test]
async fn each_user_has_their_own_valves() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    gateway
        .management()
        .install_filter("tone", &source("tone"))
        .await;
    assert_eq!(content(&gateway.user()).await, "echo: hi (User Two, plain)");
    gateway
        .user()
        .set_user_valves("tone", &json!({"tone": "gruff"}))
        .await
        .expect(200);
    gateway
        .admin()
        .set_user_valves("tone", &json!({"tone": "sweet"}))
        .await
        .expect(200);
    assert_eq!(content(&gateway.user()).await, "echo: hi (User Two, gruff)");
    assert_eq!(
        content(&gateway.admin()).await,
        "echo: hi (Admin One, sweet)"
    );
    let own = gateway
        .user()
        .get("/api/v1/functions/id/tone/valves/user")
        .await
        .expect(200);
    assert_eq!(own.json(), json!({"tone": "gruff"}));
    gateway
        .user()
        .set_user_valves("tone", &json!({"tone": {}}))
        .await
        .expect(400);
}

/// Knocks at a door while values are checked, and takes numbers from a least one on.
const CHECKED_AT_LEISURE: &str = r#"
import socket

from pydantic import BaseModel, field_validator

LEAST = 0
PORT = 0


class Filter:
    class UserValves(BaseModel):
        number: int = 100

        @field_validator("number")
        @classmethod
        def large_enough(cls, value):
            if PORT:
                with socket.create_connection(("127.0.0.1", PORT)) as door:
                    door.sendall(b"checking\n")
                    door.recv(1)
            if value < LEAST:
                raise ValueError(f"at least {LEAST}")
            return value

    def inlet(self, body):
        return body
"#;

#[tokio::test]
async fn user_valves_are_for_the_code_that_serves_when_they_are_stored() {
    let gateway = TestGateway::setup().python().start().await;
    let (management, door) = (gateway.management(), Door::start().await);
    let code = |port: u16, least: u16| {
        let code = CHECKED_AT_LEISURE.replace("PORT = 0", &format!("PORT = {port}"));
        code.replace("LEAST = 0", &format!("LEAST = {least}"))
    };
    management.install("slow", &code(door.port, 0)).await;
    let user = gateway.user();
    let setting =
        tokio::spawn(async move { user.set_user_valves("slow", &json!({"number": 5})).await });
    let waiting = door.expect("checking").await;
    management.update("slow", &code(0, 10)).await.expect(200);
    drop(waiting);
    let refused = setting.await.unwrap().expect(400);
    assert!(refused.text().contains("at least 10"), "{}", refused.text());
    let kept = gateway
        .user()
        .get("/api/v1/functions/id/slow/valves/user")
        .await;
    assert_eq!(kept.expect(200).json(), json!({}));
}
