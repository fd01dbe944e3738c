//! G05: changes that cross on their way. What one has not named is what the other has made of it, never what was there
//! when the first began to load code or to check values.

use serde_json::{Value, json};

use crate::support::{Client, Door, TestGateway};

const FUNCTIONS: &str = "/api/v1/functions";
const TOOLS: &str = "/api/v1/tools";

/// Knocks at the door on `PORT` as it is loaded.
const LOADED_AT_LEISURE: &str = r#"
import socket

PORT = 0
if PORT:
    with socket.create_connection(("127.0.0.1", PORT)) as door:
        door.sendall(b"loading\n")
        door.recv(1)


class Filter:
    def inlet(self, body):
        return body


class Tools:
    def add(self, a: int) -> int:
        """Add one."""
        return a + 1
"#;

/// Knocks at the door on `PORT` when its valves are checked for the first time.
const CHECKED_AT_LEISURE: &str = r#"
import socket

from pydantic import BaseModel, field_validator

PORT = 0
knocks = [PORT] if PORT else []


class Filter:
    class Valves(BaseModel):
        api_key: str = "built in"
        number: int = 0

        @field_validator("number")
        @classmethod
        def checked(cls, value):
            if knocks:
                with socket.create_connection(("127.0.0.1", knocks.pop())) as door:
                    door.sendall(b"checking\n")
                    door.recv(1)
            return value

    def __init__(self):
        self.valves = self.Valves()

    def inlet(self, body):
        return body
"#;

fn knocking_at(code: &str, port: u16) -> String {
    code.replace("PORT = 0", &format!("PORT = {port}"))
}

/// Loads `code`, which is all but its class `other`.
fn without_class(code: &str, other: &str) -> String {
    code.replace(&format!("class {other}:"), "class Unused:")
}

/// Posts beside what the test does meanwhile.
fn posting(client: Client, path: String, body: Value) -> tokio::task::JoinHandle<u16> {
    tokio::spawn(async move { client.post(&path, &body).await.status })
}

#[tokio::test]
async fn g05_going_back_keeps_a_name_that_was_given_meanwhile() {
    let gateway = TestGateway::setup().python().start().await;
    let (admin, door) = (gateway.admin(), Door::start().await);
    let code = |port| without_class(&knocking_at(LOADED_AT_LEISURE, port), "Tools");
    let form = |name: &str, port| json!({"id": "slow", "name": name, "content": code(port), "meta": {"description": name}});
    let path = format!("{FUNCTIONS}/id/slow");
    let creating = posting(
        admin.clone(),
        format!("{FUNCTIONS}/create"),
        form("first", door.port),
    );
    drop(door.expect("loading").await);
    assert_eq!(creating.await.unwrap(), 200);
    let first = admin.get(&path).await.json()["version_id"].take();
    let update = format!("{path}/update");
    admin.post(&update, &form("second", 0)).await.expect(200);

    let back = json!({"version_id": first});
    let restoring = posting(admin.clone(), format!("{path}/update/version"), back);
    let waiting = door.expect("loading").await;
    admin.post(&update, &form("third", 0)).await.expect(200);
    drop(waiting);
    assert_eq!(restoring.await.unwrap(), 200);
    let now = admin.get(&path).await.json();
    assert_eq!(now["content"], code(door.port));
    assert_eq!(
        (&now["name"], &now["meta"]["description"]),
        (&json!("third"), &json!("third"))
    );
}

#[tokio::test]
async fn g05_an_update_of_tools_keeps_whom_they_were_shared_with_meanwhile() {
    let gateway = TestGateway::setup().python().start().await;
    let (admin, door) = (gateway.admin(), Door::start().await);
    let form = |port| {
        let code = without_class(&knocking_at(LOADED_AT_LEISURE, port), "Filter");
        json!({"id": "box", "name": "Box", "content": code, "meta": {"description": "d"}})
    };
    admin
        .post(&format!("{TOOLS}/create"), &form(0))
        .await
        .expect(200);
    let path = format!("{TOOLS}/id/box");
    let updating = posting(admin.clone(), format!("{path}/update"), form(door.port));
    let waiting = door.expect("loading").await;
    let grants = json!([{"principal_type": "user", "principal_id": "*", "permission": "read"}]);
    admin
        .post(
            &format!("{path}/access/update"),
            &json!({"access_grants": grants}),
        )
        .await
        .expect(200);
    drop(waiting);
    assert_eq!(updating.await.unwrap(), 200);
    assert_eq!(admin.get(&path).await.json()["access_grants"], grants);
    gateway.user().get(&path).await.expect(200);
}

#[tokio::test]
async fn g05_a_masked_secret_of_a_pipeline_is_the_one_that_was_stored_meanwhile() {
    let gateway = TestGateway::setup().python().start().await;
    let (management, door) = (gateway.management(), Door::start().await);
    let code = |port| knocking_at(CHECKED_AT_LEISURE, port);
    management.install("slow", &code(door.port)).await;
    // Open WebUI's page sends all that it was shown, masks of defaults among it.
    let shown = json!({"api_key": "********", "number": 5});
    let setting = posting(
        gateway.admin(),
        "/v1/slow/valves/update".to_owned(),
        shown.clone(),
    );
    let waiting = door.expect("checking").await;
    // Its process hangs at the door, so that the values are for another one.
    management.update("slow", &code(0)).await.expect(200);
    let mine = json!({"api_key": "mine"});
    management.set_valves("slow", &mine).await.expect(200);
    drop(waiting);
    assert_eq!(setting.await.unwrap(), 200);
    let exported = management.get_all("export?include_valves=true").await;
    let expected = json!({"api_key": "mine", "number": 5});
    assert_eq!(exported.json()[0]["valves"], expected);
}
