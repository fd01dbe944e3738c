//! The management of tools, and who may use them.

use http::Method;
use serde_json::{Value, json};

use super::{chat_with_tools, gateway_with};
use crate::support::{Client, FakeUpstream, TestGateway, source};

const ROOT: &str = "/api/v1/tools";

fn form(id: &str, code: &str) -> Value {
    json!({"id": id, "name": "Box", "content": code, "meta": {"description": "d"}})
}

/// A gateway whose store has a toolbox of the administrator's.
async fn gateway_with_private(upstream: &FakeUpstream) -> TestGateway {
    let setup = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url());
    let gateway = setup.start().await;
    let created = gateway
        .admin()
        .post(
            &format!("{ROOT}/create"),
            &form("toolbox", &source("toolbox")),
        )
        .await;
    created.expect(200);
    gateway
}

async fn grant(gateway: &TestGateway, grants: Value) {
    let path = format!("{ROOT}/id/toolbox/access/update");
    let answer = gateway
        .admin()
        .post(&path, &json!({"access_grants": grants}))
        .await;
    assert_eq!(answer.expect(200).json()["access_grants"], grants);
}

fn to_everyone() -> Value {
    json!([{"principal_type": "user", "principal_id": "*", "permission": "read"}])
}

/// The names of the tools that the model was offered.
async fn offered(client: &Client, upstream: &mut FakeUpstream) -> Vec<String> {
    client.chat(&chat_with_tools("hi")).await.expect(200);
    let body = upstream.request().await.json();
    let tools = body["tools"].as_array().cloned().unwrap_or_default();
    let name = |tool: &Value| tool["function"]["name"].as_str().unwrap().to_owned();
    tools.iter().map(name).collect()
}

#[tokio::test]
async fn tools_are_private_until_they_are_shared() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = gateway_with_private(&upstream).await;
    let user = gateway.user();
    let all = ["add", "crashes", "fails", "said"];
    assert_eq!(offered(&gateway.admin(), &mut upstream).await, all);
    assert_eq!(offered(&user, &mut upstream).await, [""; 0]);
    user.get(&format!("{ROOT}/id/toolbox")).await.expect(401);
    assert_eq!(
        user.get(&format!("{ROOT}/")).await.expect(200).json(),
        json!([])
    );

    grant(&gateway, to_everyone()).await;
    assert_eq!(offered(&user, &mut upstream).await, all);
    let read = user
        .get(&format!("{ROOT}/id/toolbox"))
        .await
        .expect(200)
        .json();
    assert_eq!(read["content"], source("toolbox"));
    assert_eq!(read["specs"][0]["description"], "Add two numbers.");
    user.get(&format!("{ROOT}/id/toolbox/valves"))
        .await
        .expect(401);
    user.post(&format!("{ROOT}/id/toolbox/update"), &form("toolbox", ""))
        .await
        .expect(401);
    user.post(&format!("{ROOT}/create"), &form("mine", &source("toolbox")))
        .await
        .expect(401);
}

#[tokio::test]
async fn an_update_keeps_who_may_use_the_tools() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = gateway_with_private(&upstream).await;
    grant(&gateway, to_everyone()).await;
    let code = "class Tools:\n    def other(self):\n        return 1\n";
    let path = format!("{ROOT}/id/toolbox/update");
    gateway
        .admin()
        .post(&path, &form("toolbox", code))
        .await
        .expect(200);
    assert_eq!(offered(&gateway.user(), &mut upstream).await, ["other"]);
    let broken = gateway
        .admin()
        .post(&path, &form("toolbox", "class Tool: pass"))
        .await;
    assert_eq!(
        broken.expect(400).json()["detail"],
        "No Tools class found in the module"
    );
    assert_eq!(offered(&gateway.user(), &mut upstream).await, ["other"]);
}

#[tokio::test]
async fn tools_and_functions_have_names_of_their_own() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with_private(&upstream).await;
    gateway
        .management()
        .install_filter("toolbox", &source("mark"))
        .await;
    let admin = gateway.admin();
    let functions = admin.get("/api/v1/functions/").await.expect(200).json();
    assert_eq!(functions.as_array().unwrap().len(), 1);
    for id in ["tool:toolbox", "tool%3Atoolbox"] {
        let path = format!("/api/v1/functions/id/{id}");
        admin.get(&path).await.expect(404);
        admin
            .post(&format!("{path}/toggle"), &json!({}))
            .await
            .expect(404);
        admin
            .call(
                Method::DELETE,
                &format!("{path}/delete"),
                Default::default(),
            )
            .await
            .expect(404);
    }
    let deleted = admin
        .call(
            Method::DELETE,
            &format!("{ROOT}/id/toolbox/delete"),
            Default::default(),
        )
        .await;
    assert_eq!(deleted.expect(200).json(), json!(true));
    admin.get(&format!("{ROOT}/id/toolbox")).await.expect(404);
    admin.get("/api/v1/functions/id/toolbox").await.expect(200);
}

#[tokio::test]
async fn tools_of_the_folder_are_for_everyone_to_use() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &[], "").await;
    assert_eq!(offered(&gateway.user(), &mut upstream).await.len(), 4);
    let update = format!("{ROOT}/id/toolbox/update");
    gateway
        .admin()
        .post(&update, &form("toolbox", ""))
        .await
        .expect(409);
    gateway.remove_function("toolbox");
    gateway.logged("function file is gone").await;
    gateway
        .admin()
        .get(&format!("{ROOT}/id/toolbox"))
        .await
        .expect(404);
}

#[tokio::test]
async fn tools_survive_a_restart() {
    let upstream = FakeUpstream::echo().await;
    let mut gateway = gateway_with_private(&upstream).await;
    grant(&gateway, to_everyone()).await;
    let valves = json!({"unit": "K"});
    gateway
        .admin()
        .post(&format!("{ROOT}/id/toolbox/valves/update"), &valves)
        .await
        .expect(200);
    gateway.terminate();
    gateway.ended().await;
    let setup = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url());
    let gateway = setup.home_of(&gateway).start().await;
    let read = gateway
        .admin()
        .get(&format!("{ROOT}/id/toolbox/valves"))
        .await;
    assert_eq!(read.expect(200).json(), valves);
    gateway
        .user()
        .get(&format!("{ROOT}/id/toolbox"))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_sync_of_functions_leaves_tools_alone() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = gateway_with_private(&upstream).await;
    let management = gateway.management();
    management.create("mark", &source("mark")).await.expect(200);
    let synced = management.post_all("sync", &json!({"functions": []})).await;
    synced.expect(200);
    let functions = management.get_all("").await.expect(200).json();
    assert_eq!(functions, json!([]));
    let all = ["add", "crashes", "fails", "said"];
    assert_eq!(offered(&gateway.admin(), &mut upstream).await, all);
}

#[tokio::test]
async fn an_access_list_that_makes_no_sense_is_refused() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = gateway_with_private(&upstream).await;
    grant(&gateway, to_everyone()).await;
    let path = format!("{ROOT}/id/toolbox/access/update");
    let form = json!({"access_grants": [{"principal_type": "user"}]});
    let refused = gateway.admin().post(&path, &form).await.expect(400);
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("access_grants"), "{detail}");
    assert_eq!(offered(&gateway.user(), &mut upstream).await.len(), 4);
}

#[tokio::test]
async fn who_may_change_tools_may_not_change_their_code() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with_private(&upstream).await;
    let right = |permission: &str| json!({"principal_type": "user", "principal_id": "*", "permission": permission});
    grant(&gateway, json!([right("read"), right("write")])).await;
    let path = format!("{ROOT}/id/toolbox/update");
    let mut changed = form("toolbox", &source("toolbox"));
    changed["name"] = json!("Their box");
    let renamed = gateway.user().post(&path, &changed).await.expect(200);
    assert_eq!(renamed.json()["name"], "Their box");
    changed["content"] = json!("class Tools:\n    def own(self):\n        return 1\n");
    gateway.user().post(&path, &changed).await.expect(401);
    gateway.admin().post(&path, &changed).await.expect(200);
}
