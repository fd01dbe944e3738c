//! What Open WebUI's host writes differently on `/api`, and that `/v1` passes as it came.

use serde_json::{Value, json};

use crate::support::{FakeUpstream, TestGateway, chat};

/// A gateway with models of names that matter.
async fn gateway_with(upstream: &FakeUpstream) -> TestGateway {
    let table = format!(
        "[[upstreams]]\nname = \"fake\"\nkind = \"openai\"\nbase_url = \"{}\"\nmodels = [\"echo\", \"o3\", \"o1-mini\", \"gpt-5-x\"]",
        upstream.base_url()
    );
    TestGateway::setup().tables(&table).start().await
}

/// What the model server gets for a request on `/api`.
async fn sent(gateway: &TestGateway, upstream: &mut FakeUpstream, body: &Value) -> Value {
    let path = "/api/chat/completions";
    gateway.user().post(path, body).await.expect(200);
    upstream.request().await.json()
}

fn with(mut body: Value, members: &Value) -> Value {
    for (key, value) in members.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

#[tokio::test]
async fn members_reach_the_model_server_in_its_own_words() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let system = json!([{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}]);
    let as_role =
        |role: &str| json!([{"role": role, "content": "s"}, {"role": "user", "content": "hi"}]);
    for (model, given, expected) in [
        (
            "echo",
            json!({"max_completion_tokens": 5}),
            json!({"max_tokens": 5}),
        ),
        (
            "echo",
            json!({"max_tokens": 3, "max_completion_tokens": 5}),
            json!({"max_tokens": 5}),
        ),
        ("echo", json!({"max_tokens": 3}), json!({"max_tokens": 3})),
        (
            "echo",
            json!({"max_tokens": 3, "max_completion_tokens": null}),
            json!({"max_tokens": 3}),
        ),
        (
            "o3",
            json!({"max_tokens": 3}),
            json!({"max_completion_tokens": 3}),
        ),
        (
            "o3",
            json!({"max_tokens": 3, "max_completion_tokens": 5}),
            json!({"max_completion_tokens": 5}),
        ),
        (
            "o3",
            json!({"messages": system}),
            json!({"messages": as_role("developer")}),
        ),
        (
            "gpt-5-x",
            json!({"messages": system}),
            json!({"messages": as_role("developer")}),
        ),
        (
            "o1-mini",
            json!({"messages": system}),
            json!({"messages": as_role("user")}),
        ),
        (
            "echo",
            json!({"messages": system}),
            json!({"messages": system}),
        ),
        (
            "echo",
            json!({"logit_bias": "5:200,6:-3"}),
            json!({"logit_bias": {"5": 100, "6": -3}}),
        ),
        (
            "echo",
            json!({"logit_bias": {"5": 200}}),
            json!({"logit_bias": {"5": 200}}),
        ),
        (
            "echo",
            json!({"stream_options": {"include_usage": true}}),
            json!({}),
        ),
        ("echo", json!({"parent_id": null}), json!({})),
        (
            "echo",
            json!({"temperature": 1, "params": {"temperature": 2, "stop": ["a\\n"], "system": "S", "custom_params": {"foo": "[1]", "bar": "z"}}}),
            json!({"temperature": 2, "stop": ["a\\n"], "foo": [1], "bar": "z"}),
        ),
    ] {
        let body = with(chat(model, "hi"), &given);
        let expected = with(chat(model, "hi"), &expected);
        assert_eq!(
            sent(&gateway, &mut upstream, &body).await,
            expected,
            "{model} {given}"
        );
    }
}

#[tokio::test]
async fn system_messages_are_filled_in_and_become_one() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let mut body = chat("echo", "{{USER_NAME}}");
    let messages = json!([
        {"role": "system", "content": "for {{USER_NAME}} {{FOO}} {{NOBODY}}"},
        {"role": "user", "content": "{{USER_NAME}}"},
        {"role": "system", "content": "two"},
    ]);
    body["messages"] = messages;
    body["variables"] = json!({"{{FOO}}": "bar"});
    let expected = json!([
        {"role": "system", "content": "for User Two bar {{NOBODY}}\ntwo"},
        {"role": "user", "content": "{{USER_NAME}}"},
    ]);
    assert_eq!(
        sent(&gateway, &mut upstream, &body).await["messages"],
        expected
    );
}

#[tokio::test]
async fn filters_see_params_and_filled_in_variables() {
    let mut upstream = FakeUpstream::echo().await;
    let code = "class Filter:\n    def inlet(self, body):\n        \
                body['seen'] = [body['seed'], body['messages'][0]['content'], 'params' in body]\n        return body\n";
    let setup = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url());
    let gateway = setup.start().await;
    gateway.management().install_filter("looking", code).await;
    let mut body = chat("echo", "hi");
    body["messages"] = json!([{"role": "system", "content": "{{USER_NAME}}"}]);
    body["params"] = json!({"seed": 7});
    let seen = sent(&gateway, &mut upstream, &body).await["seen"].clone();
    assert_eq!(seen, json!([7, "User Two", false]));
}

#[tokio::test]
async fn the_openai_contract_rewrites_nothing() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let body = r#"{ "model" : "o3", "params":{"seed":1}, "max_tokens":3,"variables":{"{{FOO}}":"x"},"logit_bias":"5:1",
        "messages":[{"role":"system","content":"{{USER_NAME}}"},{"role":"system","content":"\u0061"}], "stream_options":{} }"#;
    gateway
        .user()
        .post_bytes("/v1/chat/completions", body)
        .await
        .expect(200);
    assert_eq!(upstream.request().await.body, body.as_bytes());
}

#[tokio::test]
async fn a_request_without_anything_to_rewrite_passes_as_the_bytes_that_it_is() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let body = r#"{ "model" : "echo", "max_tokens":1e1, "messages":[{"role":"system","content":"\u0061"}] }"#;
    gateway
        .user()
        .post_bytes("/api/chat/completions", body)
        .await
        .expect(200);
    assert_eq!(upstream.request().await.body, body.as_bytes());
}

#[tokio::test]
async fn a_bias_that_is_no_pair_is_refused() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let body = with(chat("echo", "hi"), &json!({"logit_bias": "often"}));
    let answer = gateway
        .user()
        .post("/api/chat/completions", &body)
        .await
        .expect(400);
    assert!(answer.text().contains("logit_bias"), "{}", answer.text());
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test]
async fn a_preset_of_a_reasoning_model_limits_it_in_its_words_on_both_contracts() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let form = json!({"id": "p", "name": "P", "base_model_id": "o3", "params": {"max_tokens": 9}});
    gateway
        .admin()
        .post("/api/v1/models/create", &form)
        .await
        .expect(200);
    for path in ["/v1/chat/completions", "/api/chat/completions"] {
        for (given, expected) in [(json!({}), 9), (json!({"max_completion_tokens": 5}), 5)] {
            let body = with(chat("p", "hi"), &given);
            gateway.user().post(path, &body).await.expect(200);
            let expected = with(
                chat("o3", "hi"),
                &json!({"max_completion_tokens": expected}),
            );
            assert_eq!(upstream.request().await.json(), expected, "{path}");
        }
    }
}
