//! Presets and overlays: models made over the API, who may use them, and what they bring to a request.

mod managing;

use serde_json::{Value, json};

use crate::support::{Answer, Client, FakeUpstream, Setup, TestGateway, chat, source, source_with};

const MODELS: &str = "/api/v1/models";
const USER: &str = "22222222-2222-4222-8222-222222222222";

async fn gateway_with(upstream: &FakeUpstream) -> TestGateway {
    setup(upstream).start().await
}

/// A gateway with one model, `echo`.
fn setup(upstream: &FakeUpstream) -> Setup {
    let table = format!(
        "[[upstreams]]\nname = \"fake\"\nkind = \"openai\"\nbase_url = \"{}\"\nmodels = [\"echo\"]",
        upstream.base_url()
    );
    TestGateway::setup().tables(&table)
}

async fn manage(gateway: &TestGateway, what: &str, body: Value) -> Answer {
    gateway
        .admin()
        .post(&format!("{MODELS}/{what}"), &body)
        .await
}

/// Makes a model of these members, `name` aside.
async fn create(gateway: &TestGateway, mut form: Value) {
    form["name"] = "A name".into();
    manage(gateway, "create", form).await.expect(200);
}

async fn api_chat(client: &Client, body: &Value) -> Answer {
    client.post("/api/chat/completions", body).await
}

/// The ids that a client sees in OpenAI's list.
async fn listed(client: &Client) -> Vec<String> {
    let list = client.get("/v1/models").await.expect(200).json();
    let models = list["data"].as_array().unwrap().iter();
    models
        .map(|model| model["id"].as_str().unwrap().to_owned())
        .collect()
}

fn grant(user: &str, permission: &str) -> Value {
    json!([{"principal_type": "user", "principal_id": user, "permission": permission}])
}

#[tokio::test]
async fn a_preset_answers_as_its_base_with_its_own_parameters_and_prompt() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let params = json!({
        "system": "You serve {{USER_NAME}}.", "temperature": "0.3", "max_tokens": 44, "stop": ["a\\n"],
        "custom_params": {"foo": "{\"a\": 1}"},
    });
    let id = "team/writer:v1.5";
    create(
        &gateway,
        json!({"id": id, "base_model_id": "echo", "params": params}),
    )
    .await;
    let mut body = chat(id, "hi");
    body["temperature"] = json!(0.9);
    for path in ["/v1/chat/completions", "/api/chat/completions"] {
        let answer = gateway.user().post(path, &body).await.expect(200);
        assert_eq!(answer.content(), "echo: hi", "{path}");
        let expected = json!({
            "model": "echo", "temperature": 0.9, "max_tokens": 44, "stop": ["a\n"], "foo": {"a": 1},
            "messages": [{"role": "system", "content": "You serve User Two."}, {"role": "user", "content": "hi"}],
        });
        assert_eq!(upstream.request().await.json(), expected, "{path}");
    }
    let one = gateway
        .user()
        .get(&format!("/v1/models/{id}"))
        .await
        .expect(200);
    assert_eq!(one.json()["id"], id);
}

#[tokio::test]
async fn lists_show_presets_and_keep_their_prompts() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let params = json!({"system": "secret"});
    create(&gateway, json!({"id": "p", "base_model_id": "echo", "params": params, "access_grants": grant("*", "read")})).await;
    create(&gateway, json!({"id": "lost", "base_model_id": "nowhere"})).await;
    create(
        &gateway,
        json!({"id": "off", "base_model_id": "echo", "is_active": false}),
    )
    .await;
    assert_eq!(listed(&gateway.user()).await, ["echo", "p"]);
    for path in [
        MODELS,
        "/api/v1/models/",
        "/api/v1/models/list",
        "/api/v1/models/model?id=p",
    ] {
        let answer = gateway.user().get(path).await.expect(200).text();
        assert!(
            answer.contains("\"p\"") && !answer.contains("secret"),
            "{path}: {answer}"
        );
    }
    let list = gateway.user().get(MODELS).await.json();
    let preset = &list["data"][1];
    assert_eq!(preset["preset"], true);
    assert_eq!(
        (&preset["owned_by"], &preset["info"]["base_model_id"]),
        (&json!("openai"), &json!("echo"))
    );
    for id in ["lost", "off"] {
        gateway.admin().chat(&chat(id, "hi")).await.expect(404);
    }
}

#[tokio::test]
async fn an_inactive_overlay_hides_its_model_but_not_what_is_made_of_it() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    create(&gateway, json!({"id": "echo", "base_model_id": null})).await;
    create(&gateway, json!({"id": "p", "base_model_id": "echo"})).await;
    gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    let toggled = manage(&gateway, "model/toggle?id=echo", json!({}))
        .await
        .expect(200);
    assert_eq!(toggled.json()["is_active"], false);
    assert_eq!(listed(&gateway.admin()).await, ["p"]);
    gateway.admin().chat(&chat("echo", "hi")).await.expect(404);
    gateway.user().chat(&chat("p", "hi")).await.expect(200);
    manage(&gateway, "model/delete", json!({"id": "echo"}))
        .await
        .expect(200);
    manage(&gateway, "model/delete", json!({"id": "echo"}))
        .await
        .expect(404);
    gateway.user().chat(&chat("echo", "hi")).await.expect(200);
}

#[tokio::test]
async fn with_granted_access_a_grant_opens_a_model_to_users() {
    let upstream = FakeUpstream::echo().await;
    let tables = "[models]\naccess = \"granted\"";
    let gateway = setup(&upstream).tables(tables).start().await;
    let user = gateway.user();
    let may = async || {
        let refusals = (
            user.chat(&chat("p", "hi")).await.status,
            api_chat(&user, &chat("p", "hi")).await.status,
        );
        let is_listed = listed(&user).await.contains(&"p".to_owned());
        match (refusals, is_listed) {
            ((200, 200), true) => true,
            ((404, 400), false) => false,
            mixed => panic!("the ways in do not agree: {mixed:?}"),
        }
    };
    create(&gateway, json!({"id": "p", "base_model_id": "echo"})).await;
    assert!(!may().await);
    let refused = api_chat(&user, &chat("echo", "hi")).await.expect(400);
    assert_eq!(refused.json(), json!({"detail": "Model not found"}));
    for (grants, expected) in [
        (grant("*", "read"), true),
        (grant("somebody", "read"), false),
        (grant(USER, "write"), false),
        (grant(USER, "read"), true),
        (json!([]), false),
    ] {
        let body = json!({"id": "p", "access_grants": grants});
        manage(&gateway, "model/access/update", body)
            .await
            .expect(200);
        assert_eq!(may().await, expected, "{grants}");
        gateway.admin().chat(&chat("p", "hi")).await.expect(200);
    }
    // What the preset uses stays the admin's.
    user.chat(&chat("echo", "hi")).await.expect(404);
}

#[tokio::test]
async fn with_open_access_only_a_list_keeps_users_out() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let user = gateway.user();
    create(&gateway, json!({"id": "echo"})).await;
    user.chat(&chat("echo", "hi")).await.expect(200);
    // As Open WebUI 0.6 says it: nobody but the owner.
    let update = json!({"id": "echo", "name": "echo", "access_control": {}});
    manage(&gateway, "model/update", update).await.expect(200);
    user.chat(&chat("echo", "hi")).await.expect(404);
    assert!(listed(&user).await.is_empty());
    // Of which an update says nothing stays.
    let update = json!({"id": "echo", "name": "other"});
    let updated = manage(&gateway, "model/update?id=echo", update)
        .await
        .expect(200);
    assert_eq!(updated.json()["name"], "other");
    user.chat(&chat("echo", "hi")).await.expect(404);
}

#[tokio::test]
async fn filters_attached_to_a_preset_run_on_it_alone() {
    let upstream = FakeUpstream::echo().await;
    let attached = "[function.always]\nmodels = [\"echo\"]";
    let gateway = setup(&upstream).python().tables(attached).start().await;
    let management = gateway.management();
    for id in ["one", "two", "off", "always"] {
        let code = source_with("mark", &[("MARK", &format!("\"{id}\""))]);
        management.create(id, &code).await.expect(200);
        if id != "off" {
            management.toggle(id).await;
        }
    }
    let meta = json!({"filterIds": ["two", "one", "off", "gone"]});
    create(
        &gateway,
        json!({"id": "p", "base_model_id": "echo", "meta": meta}),
    )
    .await;
    let content = async |model: &str| {
        let answer = gateway.user().chat(&chat(model, "hi")).await;
        answer.expect(200).content()
    };
    assert_eq!(content("echo").await, "echo: hi always");
    // What the operator configured for the base is not got round by a preset of it.
    assert_eq!(content("p").await, "echo: hi always one two");
    create(
        &gateway,
        json!({"id": "echo", "meta": {"filterIds": ["one"]}}),
    )
    .await;
    assert_eq!(content("echo").await, "echo: hi always one");
}

#[tokio::test]
async fn functions_are_told_of_the_preset_and_a_pipe_of_its_base() {
    let gateway = TestGateway::setup().python().start().await;
    let management = gateway.management();
    let telling = "import json\n\nclass Pipe:\n    def pipe(self, body, __metadata__):\n        \
                   info = __metadata__['model']['info']\n        \
                   return json.dumps([body['model'], body['messages'], body['seed'], info['id'], info['params']['seed']])\n";
    management.install("telling", telling).await;
    let params = json!({"system": "S", "seed": 7});
    create(
        &gateway,
        json!({"id": "p", "base_model_id": "telling", "params": params}),
    )
    .await;
    let answer = gateway.user().chat(&chat("p", "hi")).await.expect(200);
    let told: Value = serde_json::from_str(&answer.content()).unwrap();
    let messages = json!([{"role": "system", "content": "S"}, {"role": "user", "content": "hi"}]);
    assert_eq!(told, json!(["telling", messages, 7, "p", 7]));
    assert_eq!(answer.json()["model"], "telling");
}

#[tokio::test]
async fn a_filter_may_send_a_request_to_a_preset_but_not_past_an_access_list() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = setup(&upstream).python().start().await;
    let code = "class Filter:\n    def inlet(self, body):\n        body['model'] = 'p'\n        return body\n";
    gateway.management().install_filter("sending", code).await;
    create(
        &gateway,
        json!({"id": "p", "base_model_id": "echo", "params": {"seed": 7}}),
    )
    .await;
    gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    let sent = upstream.request().await.json();
    assert_eq!((&sent["model"], &sent["seed"]), (&json!("echo"), &json!(7)));
    let body = json!({"id": "p", "access_grants": []});
    manage(&gateway, "model/access/update", body)
        .await
        .expect(200);
    gateway.user().chat(&chat("echo", "hi")).await.expect(404);
}

#[tokio::test]
async fn params_never_change_the_model_behind_the_access_check() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = setup(&upstream).start().await;
    create(
        &gateway,
        json!({"id": "shut", "base_model_id": "echo", "params": {"seed": 7}, "access_grants": []}),
    )
    .await;
    let mut body = chat("echo", "hi");
    body["params"] = json!({"model": "shut", "custom_params": {"model": "shut"}});
    api_chat(&gateway.user(), &body).await.expect(200);
    assert_eq!(upstream.request().await.json(), chat("echo", "hi"));
}

#[tokio::test]
async fn a_toggle_of_a_preset_shows_in_its_menu_and_waits_to_be_turned_on() {
    let upstream = FakeUpstream::echo().await;
    let gateway = setup(&upstream).python().start().await;
    gateway
        .management()
        .install("toggled", &source("toggled"))
        .await;
    create(
        &gateway,
        json!({"id": "p", "base_model_id": "echo", "meta": {"filterIds": ["toggled"]}}),
    )
    .await;
    let list = gateway.user().get(MODELS).await.expect(200).json();
    assert_eq!(list["data"][0]["filters"], json!([]));
    assert_eq!(list["data"][1]["filters"][0]["id"], "toggled");
    let mut body = chat("p", "hi");
    let off = gateway.user().chat(&body).await.expect(200).content();
    assert_eq!(off, "echo: hi");
    body["filter_ids"] = json!(["toggled"]);
    let on = gateway.user().chat(&body).await.expect(200).content();
    assert_ne!(on, off);
}
