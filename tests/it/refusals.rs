//! What is refused before any function or model server sees it.

use bytes::Bytes;
use http::Method;
use serde_json::json;

use crate::support::{FakeUpstream, TestGateway, chat};

const CHAT: &str = "/v1/chat/completions";

async fn gateway_with(upstream: &FakeUpstream) -> TestGateway {
    TestGateway::setup()
        .upstream("fake", &upstream.base_url())
        .start()
        .await
}

#[tokio::test]
async fn bodies_that_readers_understand_differently_are_refused_with_the_offset() {
    let deep = format!(r#"{{"model":"echo","messages":[],"a":{}"#, "[".repeat(200));
    let cases: [(&[u8], &str); 9] = [
        (
            br#"{"model":"echo","model":"calm"}"#,
            "duplicate key at byte 16",
        ),
        (
            br#"{"model":"echo","a":NaN}"#,
            "number is not finite at byte 20",
        ),
        (b"{\"model\":\"\xff\"}", "invalid UTF-8 at byte 10"),
        (br#"{"model":"\ud800"}"#, "lone surrogate at byte 10"),
        (b"\xEF\xBB\xBF{}", "byte order mark at byte 0"),
        (br#"{"model":"echo"} {}"#, "trailing data at byte 17"),
        (br#"{"model":"#, "unexpected end at byte 9"),
        (br#"{"model":"echo","a":01}"#, "invalid number at byte 20"),
        (deep.as_bytes(), "nested too deep at byte"),
    ];
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    for (body, reason) in cases {
        let answer = gateway
            .user()
            .post_bytes(CHAT, body.to_vec())
            .await
            .expect(400);
        let error = &answer.json()["error"];
        assert_eq!(error["code"], "invalid_json");
        assert!(
            error["message"].as_str().unwrap().contains(reason),
            "{error} is not `{reason}`"
        );
    }
    let answer = gateway
        .user()
        .post_bytes("/api/chat/completions", "{")
        .await;
    assert!(answer.json()["detail"].is_string());
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test]
async fn bodies_that_are_no_chat_are_refused_with_the_member_at_fault() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let cases = [
        (
            json!({"messages": [{"role": "user", "content": "x"}]}),
            "model",
        ),
        (json!({"model": "echo"}), "messages"),
        (json!({"model": "echo", "messages": []}), "messages"),
        (json!({"model": "echo", "messages": "hi"}), "messages"),
        (
            json!({"model": "echo", "messages": [{}], "stream": "yes"}),
            "stream",
        ),
    ];
    for (body, param) in cases {
        let answer = gateway.user().chat(&body).await.expect(400);
        assert_eq!(answer.json()["error"]["param"], param);
    }
    let answer = gateway.user().chat(&chat("none", "hi")).await.expect(404);
    assert_eq!(answer.json()["error"]["code"], "model_not_found");
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused() {
    let upstream = FakeUpstream::echo().await;
    let setup = TestGateway::setup().tables("[limits]\nbody_bytes = 1000");
    let gateway = setup.upstream("fake", &upstream.base_url()).start().await;
    let body = |length: usize| {
        let empty = chat("echo", "").to_string().len();
        chat("echo", &"x".repeat(length - empty))
    };
    gateway.user().chat(&body(1000)).await.expect(200);
    let answer = gateway.user().chat(&body(1001)).await.expect(413);
    assert_eq!(answer.json()["error"]["code"], "body_too_large");
    assert_eq!(upstream.request_count(), 1);
}

#[tokio::test]
async fn other_content_types_codings_and_methods_are_refused() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let body = || Bytes::from(chat("echo", "hi").to_string());
    let plain = gateway.user().with("content-type", "text/plain");
    plain.call(Method::POST, CHAT, body()).await.expect(415);
    gateway
        .user()
        .call(Method::POST, CHAT, body())
        .await
        .expect(415);
    let packed = gateway
        .user()
        .with("content-type", "application/json")
        .with("content-encoding", "gzip");
    packed.call(Method::POST, CHAT, body()).await.expect(415);
    let answer = gateway.user().get(CHAT).await.expect(405);
    assert_eq!(answer.json()["error"]["code"], "method_not_allowed");
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test]
async fn routes_on_which_no_filters_run_are_shut_and_name_the_one_on_which_they_do() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    for path in [
        "/v1/responses",
        "/v1/completions",
        "/v1/messages",
        "/v1/files",
        "/v1/batches",
    ] {
        let answer = gateway
            .user()
            .post(path, &chat("echo", "hi"))
            .await
            .expect(404);
        let error = &answer.json()["error"];
        assert_eq!(error["code"], "route_without_filters", "{path}");
        assert!(error["message"].as_str().unwrap().contains(CHAT), "{path}");
    }
    let answer = gateway.user().get("/v1/nothing").await.expect(404);
    assert_eq!(answer.json()["error"]["code"], "unknown_route");
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test]
async fn a_model_server_that_is_not_there_is_a_bad_gateway() {
    let setup = TestGateway::setup().tables(
        "[[upstreams]]\nname = \"gone\"\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\nmodels = [\"echo\"]\n",
    );
    let gateway = setup.start().await;
    let answer = gateway.user().chat(&chat("echo", "hi")).await.expect(502);
    assert_eq!(answer.json()["error"]["code"], "upstream_unreachable");
}
