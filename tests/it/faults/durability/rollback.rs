//! G07: a version comes back whole: code, the valves that it served with, and the order that follows from them.

use serde_json::{Value, json};

use crate::support::{Client, FakeUpstream, TestGateway, chat};

const FUNCTIONS: &str = "/api/v1/functions";

/// Appends `MARK` and a word.
const MOVING: &str = r#"
from pydantic import BaseModel

MARK = ""


class Filter:
    class Valves(BaseModel):
        priority: int = 0
        word: str = ""
        api_pin: str = ""

    def __init__(self):
        self.valves = self.Valves()

    def inlet(self, body):
        body["messages"][-1]["content"] += f" {MARK}{self.valves.word}"
        return body
"#;

/// Appends a bar, in the middle of the order.
const FIXED: &str = r#"
class Filter:
    priority = 5

    def inlet(self, body):
        body["messages"][-1]["content"] += " |"
        return body
"#;

/// Takes its mode only while a file is there.
const PICKY: &str = r#"
import os

from pydantic import BaseModel, field_validator

FLAG = ""


class Filter:
    class Valves(BaseModel):
        mode: str = ""

        @field_validator("mode")
        @classmethod
        def checked(cls, value):
            if value and not os.path.exists(FLAG):
                raise ValueError("no such mode any more")
            return value

    def __init__(self):
        self.valves = self.Valves()

    def inlet(self, body):
        return body
"#;

fn moving(mark: &str) -> String {
    MOVING.replace("MARK = \"\"", &format!("MARK = \"{mark}\""))
}

async fn says(client: &Client) -> String {
    let answer = client.chat(&chat("echo", "hi")).await.expect(200);
    answer.content()
}

/// The history of `moving`, the newest first.
async fn history(gateway: &TestGateway, id: &str) -> Vec<Value> {
    let history = gateway.management().get(id, "history").await.expect(200);
    history.json().as_array().unwrap().clone()
}

#[tokio::test]
async fn g07_a_version_comes_back_with_its_valves_and_its_place_in_the_order() {
    let upstream = FakeUpstream::echo().await;
    let setup = || {
        let setup = TestGateway::setup().python();
        setup.upstream("fake", &upstream.base_url())
    };
    let mut gateway = setup().start().await;
    let management = gateway.management();
    management.install_filter("fixed", FIXED).await;
    management.install_filter("moving", &moving("a")).await;
    let first = json!({"priority": 1, "word": "1", "api_pin": "very secret"});
    management.set_valves("moving", &first).await.expect(200);
    assert_eq!(says(&gateway.user()).await, "echo: hi a1 |");
    management.update("moving", &moving("b")).await.expect(200);
    let second = json!({"priority": 9, "word": "2"});
    management.set_valves("moving", &second).await.expect(200);
    assert_eq!(says(&gateway.user()).await, "echo: hi | b2");

    let versions = history(&gateway, "moving").await;
    assert_eq!(versions[0]["valves"], json!(["priority", "word"]));
    assert_eq!(
        versions[1]["valves"],
        json!(["priority", "word", "api_pin"])
    );
    let shown = json!(versions).to_string();
    assert!(!shown.contains("very secret"), "{shown}");
    let back = async |gateway: &TestGateway, version: &Value, more: Value| {
        let mut form = json!({"version_id": version["id"]});
        form.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let management = gateway.management();
        management.post("moving", "update/version", &form).await
    };
    back(&gateway, &versions[1], json!({})).await.expect(200);
    assert_eq!(says(&gateway.user()).await, "echo: hi a1 |");
    let valves = management.get("moving", "valves").await.json();
    assert_eq!(valves["priority"], 1);
    // Each version remembers, also over a kill.
    gateway.kill().await;
    gateway = setup().home_of(&gateway).start().await;
    back(&gateway, &versions[0], json!({})).await.expect(200);
    assert_eq!(says(&gateway.user()).await, "echo: hi | b2");
    let kept = json!({"valves": "current"});
    back(&gateway, &versions[1], kept).await.expect(200);
    assert_eq!(says(&gateway.user()).await, "echo: hi | a2");
    let nonsense = json!({"valves": "other"});
    back(&gateway, &versions[0], nonsense).await.expect(422);
}

#[tokio::test]
async fn g07_valves_that_no_longer_fit_are_named_and_what_serves_goes_on() {
    let readable = tempfile::tempdir().unwrap();
    let flag = readable.path().join("flag");
    std::fs::write(&flag, "").unwrap();
    let setup = TestGateway::setup().python().readable(readable.path());
    let gateway = setup.start().await;
    let management = gateway.management();
    let picky = PICKY.replace("FLAG = \"\"", &format!("FLAG = {flag:?}"));
    management.install("moving", &picky).await;
    let mode = json!({"mode": "a mode of old"});
    management.set_valves("moving", &mode).await.expect(200);
    management.update("moving", &moving("b")).await.expect(200);
    let second = json!({"word": "2"});
    management.set_valves("moving", &second).await.expect(200);
    std::fs::remove_file(&flag).unwrap();

    let versions = history(&gateway, "moving").await;
    let mut form = json!({"version_id": versions[1]["id"]});
    let refused = management.post("moving", "update/version", &form).await;
    let detail = refused.expect(400).json()["detail"].take();
    let detail = detail.as_str().unwrap();
    for part in [
        "mode",
        "no longer fit",
        "no such mode any more",
        "\"current\"",
    ] {
        assert!(detail.contains(part), "`{part}` is not in: {detail}");
    }
    assert!(!detail.contains("a mode of old"), "{detail}");
    let path = format!("{FUNCTIONS}/id/moving");
    let now = gateway.admin().get(&path).await.json();
    assert_eq!(now["version_id"], versions[0]["id"]);
    assert_eq!(management.get("moving", "valves").await.json(), second);

    form["valves"] = json!("current");
    management
        .post("moving", "update/version", &form)
        .await
        .expect(200);
    let now = gateway.admin().get(&path).await.json();
    assert_eq!(now["version_id"], versions[1]["id"]);
}
