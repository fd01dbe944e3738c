//! Routes of OpenAI's API that lie beside those that we answer: names of models in paths, and what an operator opens.

use http::Method;

use crate::support::{Answer, Client, FakeUpstream, Setup, TestGateway, whole};

const JSON: (&str, &str) = ("content-type", "application/json");

/// A gateway with a default server, which has models of odd names.
fn setup(upstream: &FakeUpstream, opened: &str) -> Setup {
    let upstream = format!(
        "[[upstreams]]\nname = \"fake\"\nkind = \"openai\"\nbase_url = \"{}\"\n\
         models = [\"org/big model\", \"ft:small:me::1\"]\nprefix = \"far\"",
        upstream.base_url()
    );
    TestGateway::setup()
        .settings(&format!(
            "passthrough_upstream = \"fake\"\nunfiltered_routes = [{opened}]"
        ))
        .tables(&upstream)
}

async fn call(client: &Client, method: &Method, path: &str) -> Answer {
    let body = match *method {
        Method::POST => "{\"metadata\":{}}",
        _ => "",
    };
    let client = client.clone().with("content-type", "application/json");
    client.call(method.clone(), path, body.into()).await
}

#[tokio::test]
async fn a_models_name_may_be_escaped_in_a_path() {
    let upstream = FakeUpstream::echo().await;
    let gateway = setup(&upstream, "").start().await;
    for path in [
        "/v1/models/far.org%2Fbig%20model",
        "/v1/models/far.org/big%20model",
        "/v1/models/far.%6Frg%2fbig%20model",
    ] {
        let model = gateway.user().get(path).await.expect(200).json();
        assert_eq!(model["id"], "far.org/big model", "{path}");
    }
    gateway
        .user()
        .get("/v1/models/far.org%252Fbig%20model")
        .await
        .expect(404);
}

/// What OpenAI's API does with chats that it has kept.
const STORED: [(Method, &str); 5] = [
    (Method::GET, "/v1/chat/completions?limit=2&after=a"),
    (Method::GET, "/v1/chat/completions/chatcmpl-1_A"),
    (Method::POST, "/v1/chat/completions/chatcmpl-1_A"),
    (Method::DELETE, "/v1/chat/completions/chatcmpl-1_A"),
    (Method::GET, "/v1/chat/completions/chatcmpl-1_A/messages"),
];

#[tokio::test]
async fn stored_chats_are_shut_until_they_are_opened() {
    let mut upstream = FakeUpstream::start(|_| whole(200, &[JSON], "{\"data\":[]}")).await;
    let shut = setup(&upstream, "").start().await;
    for (method, path) in &STORED {
        let answer = call(&shut.user(), method, path).await;
        assert!([404, 405].contains(&answer.status), "{method} {path}");
    }
    assert_eq!(upstream.request_count(), 0);
    let open = setup(&upstream, "\"/v1/chat/completions/\"").start().await;
    for (method, path) in &STORED {
        call(&open.user(), method, path).await.expect(200);
        let request = upstream.request().await;
        assert_eq!(
            (request.method.as_str(), request.path.as_str()),
            (method.as_str(), *path)
        );
    }
}

#[tokio::test]
async fn no_spelling_of_a_stored_chat_is_a_chat_without_filters() {
    let upstream = FakeUpstream::start(|_| whole(200, &[JSON], "{}")).await;
    let gateway = setup(&upstream, "\"/v1/chat/completions/\"").start().await;
    for path in [
        "/v1/chat/completions/",
        "/v1/chat/completions//",
        "/v1/chat/completions/;x",
        "/v1/chat/completions/%2F",
        "/v1/chat/completions/%20",
        "/v1/chat/completions/?x",
        "/v1/chat/completions/a//",
        "/v1/chat/completions/a/..",
        "/v1/chat/completions/../completions",
    ] {
        let answer = call(&gateway.user(), &Method::POST, path).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test]
async fn administrators_delete_models_once_that_is_opened() {
    let mut upstream = FakeUpstream::start(|_| whole(200, &[JSON], "{\"deleted\":true}")).await;
    const MODEL: &str = "/v1/models/far.org%2Fbig%20model";
    let shut = setup(&upstream, "").start().await;
    call(&shut.admin(), &Method::DELETE, MODEL)
        .await
        .expect(405);
    let open = setup(&upstream, "\"/v1/models\"").start().await;
    call(&open.user(), &Method::DELETE, MODEL).await.expect(403);
    call(&open.admin(), &Method::DELETE, "/v1/models/none")
        .await
        .expect(404);
    assert_eq!(upstream.request_count(), 0);
    call(&open.admin(), &Method::DELETE, MODEL)
        .await
        .expect(200);
    let request = upstream.request().await;
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("DELETE", "/v1/models/org%2Fbig%20model"),
        "the server knows the model by its own name"
    );
}

#[tokio::test]
async fn deleting_a_preset_leaves_its_model_alone() {
    let upstream = FakeUpstream::start(|_| whole(200, &[JSON], "{}")).await;
    let gateway = setup(&upstream, "\"/v1/models\"").start().await;
    let preset = serde_json::json!({
        "id": "mine", "name": "Mine", "base_model_id": "far.ft:small:me::1", "meta": {}, "params": {},
    });
    gateway
        .admin()
        .post("/api/v1/models/create", &preset)
        .await
        .expect(200);
    let answer = call(&gateway.admin(), &Method::DELETE, "/v1/models/mine").await;
    let message = answer.expect(400).json()["error"]["message"].to_string();
    assert!(message.contains("/api/v1/models"), "{message}");
    assert_eq!(upstream.request_count(), 0);
}
