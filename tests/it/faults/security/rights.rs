//! X03 in full: every role at every route that makes users, keys and functions, with every field that could carry a right.

use http::Method;
use serde_json::{Value, json};

use crate::faults::rig::Rig;
use crate::support::{Answer, Client, FakeUpstream, TestGateway, source};

const ADMIN_ID: &str = "11111111-1111-4111-8111-111111111111";
const USER_ID: &str = "22222222-2222-4222-8222-222222222222";

/// Fields by which a body could ask for more than its sender has.
const PRIVILEGED: &[&str] = &[
    "id",
    "user_id",
    "owner",
    "role",
    "user_role",
    "rights",
    "is_admin",
    "permissions",
    "allowed_routes",
    "api_key",
    "key",
    "token",
    "source",
];

/// A route, and the body that it takes.
fn account_routes() -> [(String, Value); 3] {
    let new = json!({"name": "Eve", "email": "eve@example.test"});
    [
        ("/api/v1/auths/add".to_owned(), new),
        ("/api/v1/auths/api_key".to_owned(), json!({})),
        (format!("/api/v1/users/{USER_ID}/api_key"), json!({})),
    ]
}

async fn post(client: &Client, path: &str, body: &Value) -> Answer {
    let client = client.clone().with("content-type", "application/json");
    client
        .call(Method::POST, path, body.to_string().into())
        .await
}

/// Users and their keys, as an administrator sees them.
async fn accounts(rig: &Rig) -> Value {
    let list = rig.gateway.admin().get("/api/v1/users/").await;
    list.expect(200).json()
}

#[tokio::test]
async fn x03_no_field_of_an_account_carries_a_right() {
    let rig = Rig::with(TestGateway::setup(), FakeUpstream::echo().await).await;
    let before = accounts(&rig).await;
    let clients = [
        ("admin", rig.gateway.admin()),
        ("user", rig.gateway.user()),
        ("nobody", rig.gateway.stranger()),
    ];
    for (role, client) in &clients {
        for (path, body) in account_routes() {
            for field in PRIVILEGED {
                let takes_it = path.ends_with("/add") && *field == "role";
                if takes_it && *role == "admin" {
                    continue;
                }
                let mut body = body.clone();
                body[field] = json!("admin");
                let answer = post(client, &path, &body).await;
                let may = *role == "admin" || *role == "user" && path.ends_with("auths/api_key");
                let case = format!("{role} {path} {field}: {}", answer.text());
                if may {
                    assert_eq!(answer.status, 400, "{case}");
                    assert!(answer.text().contains(&format!("`{field}`")), "{case}");
                } else {
                    assert_eq!(answer.status, 401, "{case}");
                }
            }
        }
    }
    assert_eq!(
        accounts(&rig).await,
        before,
        "no user and no key has come of it"
    );
    rig.ends_unharmed("x03 accounts").await;
}

#[tokio::test]
async fn x03_a_key_never_grants_more_than_its_maker_has() {
    let rig = Rig::with(TestGateway::setup(), FakeUpstream::echo().await).await;
    let (admin, user) = (rig.gateway.admin(), rig.gateway.user());
    let own = post(&user, "/api/v1/auths/api_key", &json!({})).await;
    let path = format!("/api/v1/users/{USER_ID}/api_key");
    let given = post(&admin, &path, &json!({})).await;
    for made in [own, given] {
        let key = made.expect(200).json()["api_key"].clone();
        let client = rig.gateway.stranger().with_key(key.as_str().unwrap());
        let who = client.get("/api/v1/auths/").await.expect(200).json();
        assert_eq!(
            (&who["id"], &who["role"]),
            (&json!(USER_ID), &json!("user"))
        );
        client.get("/api/v1/users/").await.expect(401);
        client.get("/api/v1/functions/list").await.expect(401);
        let of_admin = format!("/api/v1/users/{ADMIN_ID}/api_key");
        assert_eq!(post(&client, &of_admin, &json!({})).await.status, 401);
    }
    rig.ends_unharmed("x03 keys").await;
}

/// Open WebUI's clients send back the whole object that they were shown: what they cannot set there changes nothing.
#[tokio::test]
async fn x03_whole_objects_that_come_back_set_only_what_their_form_has() {
    let setup = TestGateway::setup()
        .python()
        .function("calm", &source("calm"));
    let rig = Rig::with(setup, FakeUpstream::echo().await).await;
    let admin = rig.gateway.admin();
    let code = "class Filter:\n    def inlet(self, body):\n        return body\n";
    let form = json!({
        "id": "sent", "name": "sent", "content": code, "meta": {"description": ""},
        "user_id": USER_ID, "type": "pipe", "is_active": true, "is_global": true, "created_at": 1, "updated_at": 1,
        "role": "admin", "valves": {"priority": 1},
    });
    post(&admin, "/api/v1/functions/create", &form)
        .await
        .expect(200);
    for _ in 0..2 {
        let path = "/api/v1/functions/id/sent";
        let function = admin.get(path).await.expect(200).json();
        let fields = ["user_id", "type", "is_active", "is_global"].map(|field| &function[field]);
        let expected = [json!(ADMIN_ID), json!("filter"), json!(false), json!(false)];
        assert_eq!(fields, expected.each_ref());
        assert_ne!(function["created_at"], 1);
        post(&admin, &format!("{path}/update"), &form)
            .await
            .expect(200);
    }
    rig.leaves_nothing_but_processes("x03 functions").await;
}
