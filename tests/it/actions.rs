//! Actions: buttons below an answer, called by the client.

use serde_json::{Value, json};

use crate::support::{Answer, Client, FakeUpstream, TestGateway, source};

const ROOT: &str = "/api/chat/actions";

async fn gateway_with(upstream: &FakeUpstream, tables: &str) -> TestGateway {
    let setup = TestGateway::setup().python().tables(tables);
    let setup = setup.function("buttons", &source("buttons"));
    setup.upstream("fake", &upstream.base_url()).start().await
}

/// What Open WebUI's page sends.
fn pressed() -> Value {
    json!({
        "model": "echo", "chat_id": "c1", "id": "m1", "session_id": "s1",
        "messages": [{"id": "m1", "role": "assistant", "content": "quiet"}],
    })
}

async fn press(client: &Client, id: &str) -> Answer {
    client.post(&format!("{ROOT}/{id}"), &pressed()).await
}

#[tokio::test]
async fn an_action_gets_the_chat_and_answers_with_its_result() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, "[function.buttons]\nglobal = true").await;
    let user = gateway.user();
    user.set_user_valves("buttons", &json!({"tone": "kind"}))
        .await
        .expect(200);
    let answer = press(&user, "buttons.up").await.expect(200);
    assert_eq!(
        answer.json(),
        json!({"content": "QUIET", "entry": "up", "tone": "kind", "model": "echo"})
    );
    let events = user
        .get(&format!(
            "/api/chat/events/{}",
            answer.header("x-sluicegate-request-id")
        ))
        .await;
    assert_eq!(
        events.expect(200).json()["events"][0]["event"]["type"],
        "status"
    );
}

#[tokio::test]
async fn a_page_is_shown_and_not_answered_with() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, "[function.buttons]\nglobal = true").await;
    let answer = press(&gateway.user(), "buttons.page").await.expect(200);
    assert_eq!(answer.json()["code"], "ui_component");
    let path = format!(
        "/api/chat/events/{}",
        answer.header("x-sluicegate-request-id")
    );
    let events = gateway.user().get(&path).await.expect(200).json();
    assert_eq!(
        events["events"][0]["event"]["data"]["embeds"],
        json!(["<b>card</b>"])
    );
}

#[tokio::test]
async fn models_list_their_actions() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(
        &upstream,
        "[function.buttons]\nglobal = false\nmodels = [\"echo\"]",
    )
    .await;
    let list = gateway.user().get("/api/models").await.expect(200).json();
    let model = |id: &str| {
        let models = list["data"].as_array().unwrap();
        models
            .iter()
            .find(|model| model["id"] == id)
            .unwrap()
            .clone()
    };
    let entry = |id: &str, name: &str, icon: &str| json!({"id": id, "name": name, "description": "", "icon": icon});
    let shared = "data:image/svg+xml,icon";
    assert_eq!(
        model("echo")["actions"],
        json!([
            entry("buttons.up", "Up", shared),
            entry("buttons.page", "Buttons (page)", "p"),
            entry("buttons.conflict", "Buttons (conflict)", shared),
            entry("buttons.breaks", "Buttons (breaks)", shared),
        ])
    );
    assert_eq!(model("calm")["actions"], json!([]));
}

#[tokio::test]
async fn what_an_action_raises_reaches_the_caller() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, "[function.buttons]\nglobal = true").await;
    let answer = press(&gateway.user(), "buttons.conflict").await.expect(409);
    assert_eq!(answer.json(), json!({"detail": "conflict"}));
    assert_eq!(answer.header("x-function-id"), "buttons");
    let answer = press(&gateway.user(), "buttons.breaks").await.expect(400);
    assert_eq!(answer.json(), json!({"detail": "Error: out of order"}));
}

#[tokio::test]
async fn users_call_what_their_model_offers() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, "[function.buttons]\nglobal = false").await;
    let answer = press(&gateway.user(), "buttons.up").await.expect(400);
    assert_eq!(
        answer.json(),
        json!({"detail": "Action not available: buttons.up"})
    );
    press(&gateway.admin(), "buttons.up").await.expect(200);
    let granted = "[function.buttons]\nglobal = true\n[models]\naccess = \"granted\"";
    let gateway = gateway_with(&upstream, granted).await;
    let answer = press(&gateway.user(), "buttons.up").await.expect(400);
    assert_eq!(answer.json(), json!({"detail": "Model not found"}));
    press(&gateway.admin(), "buttons.up").await.expect(200);
}

#[tokio::test]
async fn a_filter_is_no_action() {
    let upstream = FakeUpstream::echo().await;
    let code = "class Filter:\n    def action(self, body):\n        return 1\n";
    let setup = TestGateway::setup().python().function("sly", code);
    let gateway = setup.upstream("fake", &upstream.base_url()).start().await;
    let answer = press(&gateway.admin(), "sly").await.expect(400);
    assert_eq!(
        answer.json(),
        json!({"detail": "Action not available: sly"})
    );
}
