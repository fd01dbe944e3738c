//! Without functions a request and its answer pass as they are.

use bytes::Bytes;
use http::Method;
use serde_json::json;

use crate::support::{
    FakeUpstream, Step, TestGateway, chat, event, events_of, head_of_stream, streamed,
    streamed_chat, whole,
};

/// JSON that any reader who parses and writes it again would change.
const ODD_REQUEST: &str = r#"{ "zeta" : 123456789012345678901234567890,"model":"echo",
 "messages":[ {"role":"user","content":"na\u00efve \ud83d\ude80"} ] , "alpha":{"b":1.0e2,"a":-0.0}, "x_unknown" : null}"#;

const ODD_ANSWER: &str = r#"{"choices" :[{"message":{"content":"\u00e9","refusal":null}, "index":0}],  "id":"z",
"big":98765432109876543210, "a":1E+2}"#;

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn whole_requests_and_answers_pass_byte_for_byte() {
    let mut upstream = FakeUpstream::start(|_| whole(200, &[JSON], ODD_ANSWER)).await;
    let gateway = TestGateway::setup()
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    let answer = gateway
        .user()
        .post_bytes("/v1/chat/completions", ODD_REQUEST)
        .await
        .expect(200);
    assert_eq!(answer.body, ODD_ANSWER);
    assert_eq!(answer.header("content-type"), "application/json");
    let request = upstream.request().await;
    assert_eq!(Bytes::from(request.body), ODD_REQUEST);
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/v1/chat/completions")
    );
}

#[tokio::test]
async fn streams_pass_byte_for_byte() {
    let pieces = [
        ": keep-alive\n\n",
        "event: message\r\nid: 7\r\ndata: {\"b\": 1,  \"a\":12345678901234567890123, \"choices\": []}\r\n\r\n",
        "data:{\"choices\":[{\"delta\":{\"content\":\"\\u00e9\"},\"x_new\":[ ]}]}\n\nda",
        "ta: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: [DONE]\n\n",
    ];
    let upstream = FakeUpstream::start(move |_| streamed(pieces)).await;
    let gateway = TestGateway::setup()
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    let answer = gateway
        .user()
        .chat(&streamed_chat("echo", "hi"))
        .await
        .expect(200);
    assert_eq!(answer.body, pieces.concat());
    assert!(answer.is_whole);
    assert!(
        answer
            .header("content-type")
            .starts_with("text/event-stream")
    );
}

#[tokio::test]
async fn headers_pass_but_for_credentials_and_what_belongs_to_one_connection() {
    let headers = [
        JSON,
        ("x-model-hash", "abc"),
        ("set-cookie", "a=1"),
        ("keep-alive", "timeout=5"),
    ];
    let mut upstream = FakeUpstream::start(move |_| whole(200, &headers, "{\"choices\":[]}")).await;
    let gateway = TestGateway::setup()
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    let client = gateway
        .user()
        .with("x-trace", "t1")
        .with("cookie", "c=1")
        .with("x-forwarded-for", "1.2.3.4");
    let answer = client.chat(&chat("echo", "hi")).await.expect(200);
    assert_eq!(answer.header("x-model-hash"), "abc");
    assert_eq!(
        (answer.header("set-cookie"), answer.header("keep-alive")),
        ("", "")
    );
    assert!(!answer.header("x-request-id").is_empty());
    assert!(!answer.header("x-sluicegate-generation").is_empty());
    let request = upstream.request().await;
    assert_eq!(request.header("x-trace"), "t1");
    assert_eq!(request.header("authorization"), "Bearer sk-upstream");
    assert_eq!(
        (request.header("cookie"), request.header("x-forwarded-for")),
        ("", "")
    );
}

#[tokio::test]
async fn errors_of_the_model_server_pass_with_their_advice() {
    const BODY: &str =
        r#"{"error":{"message":"slow down", "type":"rate_limit_error","code":null}}"#;
    let headers = [
        JSON,
        ("retry-after", "17"),
        ("x-ratelimit-remaining-requests", "0"),
    ];
    let upstream = FakeUpstream::start(move |_| whole(429, &headers, BODY)).await;
    let gateway = TestGateway::setup()
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    for body in [chat("echo", "hi"), streamed_chat("echo", "hi")] {
        let answer = gateway.user().chat(&body).await.expect(429);
        assert_eq!(answer.body, BODY);
        assert_eq!(answer.header("retry-after"), "17");
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), "0");
    }
}

#[tokio::test]
async fn pages_of_the_model_server_become_json_errors() {
    let upstream =
        FakeUpstream::start(|_| whole(503, &[("content-type", "text/html")], "<h1>busy</h1>"))
            .await;
    let gateway = TestGateway::setup()
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    let answer = gateway.user().chat(&chat("echo", "hi")).await.expect(503);
    assert!(answer.json()["error"]["message"].is_string());
    assert!(!answer.text().contains("busy"));
}

#[tokio::test]
async fn streams_that_break_off_end_with_an_error_event_and_no_end_marker() {
    let upstream = FakeUpstream::start(|_| {
        let first = events_of(&["half"]).swap_remove(0);
        vec![
            head_of_stream(),
            event(first),
            event("data: {\"choi"),
            Step::Close,
        ]
    })
    .await;
    let gateway = TestGateway::setup()
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    let answer = gateway
        .user()
        .chat(&streamed_chat("echo", "hi"))
        .await
        .expect(200);
    let events = answer.events();
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events[0].contains("half"));
    assert!(events[1].contains("\"error\""));
    assert!(
        !answer.is_whole,
        "the framing must not say that this is all"
    );
}

#[tokio::test]
async fn embeddings_pass_to_the_server_of_their_model() {
    const BODY: &str = r#"{"input":["a"],  "model":"echo"}"#;
    let mut upstream = FakeUpstream::start(|_| whole(200, &[JSON], "{\"data\": [ ]}")).await;
    let gateway = TestGateway::setup()
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    let answer = gateway
        .user()
        .post_bytes("/v1/embeddings", BODY)
        .await
        .expect(200);
    assert_eq!(answer.body, "{\"data\": [ ]}");
    let request = upstream.request().await;
    assert_eq!(
        (request.path.as_str(), &request.body[..]),
        ("/v1/embeddings", BODY.as_bytes())
    );
}

#[tokio::test]
async fn model_lists_name_the_servers_models_on_both_contracts() {
    let upstream = FakeUpstream::echo().await;
    let gateway = TestGateway::setup()
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    for path in ["/v1/models", "/api/models", "/api/v1/models"] {
        let list = gateway.user().get(path).await.expect(200).json();
        let ids: Vec<_> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| &model["id"])
            .collect();
        assert_eq!(ids, ["echo", "calm", "danger"], "{path}");
    }
    let one = gateway
        .user()
        .get("/v1/models/calm")
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&one["id"], &one["object"]),
        (&json!("calm"), &json!("model"))
    );
    gateway.user().get("/v1/models/none").await.expect(404);
}

#[tokio::test]
async fn requests_one_after_the_other_share_one_connection_to_the_model_server() {
    let upstream = FakeUpstream::echo().await;
    let setup = TestGateway::setup().settings("threads = 1");
    let gateway = setup.upstream("fake", &upstream.base_url()).start().await;
    for turn in 0..20 {
        let body = if turn % 2 == 0 {
            chat("echo", "hi")
        } else {
            streamed_chat("echo", "hi")
        };
        gateway.user().chat(&body).await.expect(200);
    }
    assert_eq!(
        (upstream.request_count(), upstream.connection_count()),
        (20, 1)
    );
}

#[tokio::test]
async fn no_path_leads_out_of_an_open_route() {
    let upstream = FakeUpstream::echo().await;
    let gateway = TestGateway::setup()
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    for path in [
        "/v1/images/../chat/completions",
        "/v1/images/%2e%2E/chat/completions",
        "/v1/audio/x/..%2f..%2fchat/completions",
        "/v1/images/..%5cchat/completions",
        "/v1/images/..;x/chat/completions",
        "/v1/images/./../chat/completions",
    ] {
        let answer = gateway.user().post(path, &chat("echo", "hi")).await;
        assert_eq!(answer.expect(404).json()["error"]["code"], "unknown_route");
    }
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test]
async fn a_body_cannot_hide_its_model_from_the_default_server() {
    let upstream = FakeUpstream::start(|_| whole(200, &[JSON], "{}")).await;
    let form = "--x\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nname=\"model\"\r\n\r\necho\r\n\
                --x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nother\r\n--x--\r\n";
    let twice = "--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\necho\r\n\
                 --x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nother\r\n--x--\r\n";
    let unquoted = "--x\r\nContent-Disposition: form-data; name=model\r\n\r\nother\r\n--x--\r\n";
    let json = r#"{"model": "other", "input": "a"}"#;
    let gateway = TestGateway::setup()
        .tables(&format!(
            "[[upstreams]]\nname = \"fake\"\nkind = \"openai\"\nbase_url = \"{}\"\nmodels = [\"echo\"]",
            upstream.base_url()
        ))
        .settings("passthrough_upstream = \"fake\"")
        .start()
        .await;
    let user = gateway.user();
    for (kind, body) in [
        ("multipart/form-data; boundary=x", form),
        ("multipart/form-data; boundary=x", twice),
        ("multipart/form-data; boundary=x", unquoted),
        ("Multipart/Form-Data; boundary=x", form),
        ("text/plain", json),
        (
            "application/json",
            "{\"model\": \"echo\", \"model\": \"other\"}",
        ),
        ("application/json", "[{\"model\": \"other\"}]"),
    ] {
        let client = user.clone().with("content-type", kind);
        let answer = client
            .call(Method::POST, "/v1/images/edits", body.into())
            .await;
        assert!(
            (400..500).contains(&answer.status),
            "{kind} {body}: {}",
            answer.status
        );
    }
    let bare = user.call(Method::POST, "/v1/images/edits", json.into());
    assert!((400..500).contains(&bare.await.status));
    assert_eq!(upstream.request_count(), 0);
    let client = user.with("content-type", "multipart/form-data; boundary=x");
    let fine = form.replace("other", "echo");
    client
        .call(Method::POST, "/v1/images/edits", fine.into())
        .await
        .expect(200);
}
