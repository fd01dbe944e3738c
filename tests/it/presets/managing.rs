//! The management of models: who may, what is refused, and how they travel.

use http::Method;
use serde_json::{Value, json};

use super::{MODELS, USER, create, gateway_with, grant, listed, manage, setup};
use crate::support::{FakeUpstream, chat};

#[tokio::test]
async fn an_export_brings_the_models_to_another_gateway_and_they_outlive_it() {
    let upstream = FakeUpstream::echo().await;
    let first = gateway_with(&upstream).await;
    create(
        &first,
        json!({"id": "a", "base_model_id": "echo", "params": {"seed": 1}, "access_grants": []}),
    )
    .await;
    create(
        &first,
        json!({"id": "echo", "meta": {"tags": [{"name": "t"}], "own": 1}}),
    )
    .await;
    let exported = first
        .admin()
        .get("/api/v1/models/export")
        .await
        .expect(200)
        .json();
    let second = gateway_with(&upstream).await;
    create(&second, json!({"id": "a", "base_model_id": "other"})).await;
    create(&second, json!({"id": "b", "base_model_id": "echo"})).await;
    manage(&second, "import", json!({"models": exported}))
        .await
        .expect(200);
    drop(first);
    let mut second = second;
    second.terminate();
    second.ended().await;
    let again = setup(&upstream).home_of(&second).start().await;
    let rows = again
        .admin()
        .get("/api/v1/models/export")
        .await
        .expect(200)
        .json();
    let kept = |index: usize, key: &str| rows[index][key].clone();
    assert_eq!(
        [kept(0, "id"), kept(1, "id"), kept(2, "id")],
        ["a", "b", "echo"]
    );
    assert_eq!(
        (kept(0, "base_model_id"), kept(0, "params")),
        (json!("echo"), json!({"seed": 1}))
    );
    assert_eq!(kept(2, "meta"), exported[1]["meta"]);
    again.user().chat(&chat("a", "hi")).await.expect(404);
    again.user().chat(&chat("b", "hi")).await.expect(200);
    let open = again.user().chat(&chat("echo", "hi")).await;
    open.expect(200);
    manage(&again, "sync", exported).await.expect(200);
    again.user().chat(&chat("b", "hi")).await.expect(404);
}

#[tokio::test]
async fn bad_models_are_refused_and_change_nothing() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    create(&gateway, json!({"id": "p", "base_model_id": "echo"})).await;
    let generation = async || {
        let answer = gateway.user().get("/v1/models").await;
        answer
            .header("x-sluicegate-generation")
            .parse::<u64>()
            .unwrap()
    };
    let before = generation().await;
    let warm = json!({"id": "x", "name": "X", "params": {"temperature": "warm"}});
    let fine = json!({"id": "y", "name": "Y"});
    for (what, body, status, reason) in [
        (
            "create",
            json!({"id": "p", "name": "P"}),
            400,
            "already registered",
        ),
        ("create", json!({"name": "P"}), 400, "`id`"),
        ("create", warm.clone(), 400, "temperature"),
        (
            "import",
            json!({"models": [fine, warm]}),
            400,
            "temperature",
        ),
        ("import", json!({"rows": []}), 400, "list of models"),
        (
            "model/update",
            json!({"id": "x", "name": "X"}),
            404,
            "could not find",
        ),
        ("model/toggle", json!({}), 400, "`id`"),
        ("model/toggle", json!({"id": "x"}), 404, "could not find"),
        ("create", json!([]), 422, ""),
    ] {
        let answer = manage(&gateway, what, body).await.expect(status);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(reason), "{what}: {detail}");
    }
    assert_eq!(generation().await, before);
    let two = json!([{"id": "x", "name": "X"}, {"id": "y", "name": "Y"}]);
    manage(&gateway, "import", two).await.expect(200);
    assert_eq!(generation().await, before + 1);
}

#[tokio::test]
async fn models_are_managed_by_administrators_alone() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    create(
        &gateway,
        json!({"id": "p", "base_model_id": "echo", "access_grants": grant(USER, "write")}),
    )
    .await;
    let user = gateway.user();
    let form = json!({"id": "p", "name": "P"});
    for what in [
        "create",
        "import",
        "sync",
        "model/update",
        "model/toggle",
        "model/delete",
        "model/access/update",
    ] {
        let path = format!("{MODELS}/{what}?id=p");
        user.post(&path, &form).await.expect(401);
    }
    for path in ["export", "base"] {
        user.get(&format!("{MODELS}/{path}")).await.expect(401);
    }
    user.get(&format!("{MODELS}/model?id=p")).await.expect(404);
    let path = format!("{MODELS}/delete/all");
    user.call(Method::DELETE, &path, Default::default())
        .await
        .expect(401);
    gateway
        .stranger()
        .get(&format!("{MODELS}/list"))
        .await
        .expect(401);
    let all = gateway
        .admin()
        .get(&format!("{MODELS}/list"))
        .await
        .expect(200);
    assert_eq!(all.json()["total"], 1);
    gateway
        .admin()
        .call(Method::DELETE, &path, Default::default())
        .await
        .expect(200);
    assert_eq!(listed(&gateway.admin()).await, ["echo"]);
}

#[tokio::test]
async fn a_preset_on_a_preset_is_refused_whichever_comes_first() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let form = |id: &str, base: Value| json!({"id": id, "name": "N", "base_model_id": base});
    for (id, base) in [
        ("echo", Value::Null),
        ("one", json!("echo")),
        ("late", json!("soon")),
    ] {
        let created = manage(&gateway, "create", form(id, base)).await;
        created.expect(200);
    }
    for (what, refused) in [
        ("create", form("two", json!("one"))),
        ("create", form("soon", json!("echo"))),
        ("model/update", form("one", json!("late"))),
        ("model/update", form("echo", json!("other"))),
        ("import", json!([form("two", json!("one"))])),
    ] {
        let answer = manage(&gateway, what, refused).await.expect(400);
        assert!(
            answer.text().contains("is a preset itself"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(listed(&gateway.user()).await, ["echo", "one"]);
}
