//! Users and keys over the API.

use http::Method;
use serde_json::json;

use crate::support::TestGateway;

const AUTHS: &str = "/api/v1/auths";
const USERS: &str = "/api/v1/users";

#[tokio::test]
async fn an_admin_adds_a_user_who_calls_with_the_key_that_was_made() {
    let gateway = TestGateway::setup().start().await;
    let admin = gateway.admin();
    let form = json!({"name": "New", "email": "New@example.test", "password": "x", "role": "user"});
    let added = admin.post(&format!("{AUTHS}/add"), &form).await.expect(200);
    let added = added.json();
    assert_eq!(
        (&added["email"], &added["role"]),
        (&json!("new@example.test"), &json!("user"))
    );
    assert!(added["warning"].as_str().unwrap().contains("password"));
    let key = added["token"].as_str().unwrap();
    let user = gateway.stranger().with_key(key);
    let who = user.get(&format!("{AUTHS}/")).await.expect(200).json();
    assert_eq!((&who["id"], &who["token"]), (&added["id"], &json!("")));
    admin.post(&format!("{AUTHS}/add"), &form).await.expect(400);
    user.post(&format!("{AUTHS}/add"), &form).await.expect(401);
    user.get(&format!("{USERS}/")).await.expect(401);
    let listed = admin.get(&format!("{USERS}/")).await.expect(200).json();
    assert_eq!(listed["total"], 3);
    let path = format!("{USERS}/{}", added["id"].as_str().unwrap());
    let deleted = admin.call(Method::DELETE, &path, Default::default()).await;
    assert_eq!(deleted.expect(200).json(), json!(true));
    user.get(&format!("{AUTHS}/")).await.expect(401);
    assert!(!gateway.log().contains(key));
}

#[tokio::test]
async fn a_user_makes_another_key_and_withdraws_it() {
    let gateway = TestGateway::setup().start().await;
    let path = format!("{AUTHS}/api_key");
    let made = gateway.user().post(&path, &json!({})).await.expect(200);
    let made = made.json();
    let key = made["api_key"].as_str().unwrap();
    assert!(key.starts_with("sk-") && key.len() == 35);
    let second = gateway.stranger().with_key(key);
    let shown = second.get(&path).await.expect(200);
    assert!(!shown.text().contains(key));
    let withdrawn = second.call(Method::DELETE, &path, Default::default()).await;
    withdrawn.expect(200);
    second.get(&path).await.expect(401);
    gateway.user().get(&path).await.expect(200);
    let configured = gateway.user();
    let refused = configured
        .call(Method::DELETE, &path, Default::default())
        .await;
    refused.expect(409);
}

#[tokio::test]
async fn nobody_makes_a_key_from_one_that_many_share() {
    let gateway = TestGateway::setup()
        .settings("trusted_proxies = [\"127.0.0.1\"]")
        .start()
        .await;
    let shared = gateway
        .user()
        .with("x-openwebui-user-id", "somebody")
        .with("x-openwebui-user-name", "Some%20Body");
    let path = format!("{AUTHS}/api_key");
    shared.post(&path, &json!({})).await.expect(401);
    gateway.user().post(&path, &json!({})).await.expect(200);
}
