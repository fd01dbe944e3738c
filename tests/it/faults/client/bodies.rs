//! Bodies that are no plain JSON, and requests for what is not there.

use bytes::Bytes;
use http::Method;

use crate::faults::rig::Rig;
use crate::support::{FakeUpstream, TestGateway, answer_of, chat, source};

const CHAT: &str = "/v1/chat/completions";

#[tokio::test]
async fn c07_bodies_that_are_no_strict_json_reach_neither_function_nor_model_server() {
    let upstream = FakeUpstream::start(|_| answer_of("fine")).await;
    let setup = TestGateway::setup()
        .python()
        .function("shouting", &source("shouting"));
    let rig = Rig::with(setup, upstream).await;
    let message = r#""messages":[{"role":"user","content":"hi"}]"#;
    let with = |members: &str| format!(r#"{{"model":"echo",{message}{members}}}"#).into_bytes();
    let wide = |bytes: Vec<u8>| -> Vec<u8> { bytes.iter().flat_map(|byte| [*byte, 0]).collect() };
    let mut bodies: Vec<Vec<u8>> = [
        r#","model":"danger""#,
        r#","a":NaN"#,
        r#","a":Infinity"#,
        r#","a":-Infinity"#,
        r#","a":01"#,
        r#","a":1."#,
        r#","a":.5"#,
        r#","a":+1"#,
        r#","a":0x1"#,
        r#","a":'b'"#,
        r#","a":"\ud800""#,
        r#","a":"\udc00\ud800""#,
        r#","a":"\x41""#,
        r#","a":tru"#,
        r#","a":[1,]"#,
        r#","a":{"b":1,"b":2}"#,
        r#",a:1"#,
        ",\"a\":\"\t\"",
        ",\"a\":\"\0\"",
        r#",// note"#,
        ",",
    ]
    .iter()
    .map(|members| with(members))
    .collect();
    let depth = "[".repeat(100_000);
    bodies.extend([
        with(r#"}{"#),
        [with(""), b"x".to_vec()].concat(),
        [b"\xEF\xBB\xBF".to_vec(), with("")].concat(),
        [b"\xFF\xFE".to_vec(), wide(with(""))].concat(),
        wide(with("")),
        with(&format!(r#","a":{depth}"#)),
        [
            b"{\"model\":\"echo\xC3\x28\",".to_vec(),
            message.into(),
            b"}".to_vec(),
        ]
        .concat(),
        [
            b"{\"model\":\"echo\xED\xA0\x80\",".to_vec(),
            message.into(),
            b"}".to_vec(),
        ]
        .concat(),
        b"".to_vec(),
        b"{".to_vec(),
    ]);
    for body in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let answer = rig.gateway.user().post_bytes(CHAT, body).await;
        assert_eq!(answer.status, 400, "{shown}: {}", answer.text());
        let error = &answer.json()["error"];
        assert_eq!(error["code"], "invalid_json", "{shown}");
        assert!(
            error["message"].as_str().unwrap().contains("at byte"),
            "{shown}: {error}"
        );
    }
    assert_eq!(rig.upstream.request_count(), 0);
    let metrics = rig.gateway.admin().get("/metrics").await.text();
    assert!(
        metrics
            .lines()
            .filter(|line| line.contains("function_calls_total{function=\"shouting\""))
            .count()
            <= 1,
        "only the neighbours called it: {metrics}"
    );
    rig.ends_unharmed("c07").await;
}

/// The gate, the functions and whatever reads a tree have one limit: nothing passes that a filter could not read.
#[tokio::test]
async fn c07_bodies_may_be_as_deep_as_every_reader_reads_and_no_deeper() {
    let mut upstream = FakeUpstream::echo().await;
    let setup = TestGateway::setup()
        .python()
        .function("mark", &source("mark"))
        .tables("[function.pii]\nnative = \"redact\"\n");
    let gateway = setup.upstream("fake", &upstream.base_url()).start().await;
    let body = |depth: usize| {
        let deep = ["[".repeat(depth - 1), "]".repeat(depth - 1)].concat();
        format!(
            r#"{{"model":"echo","messages":[{{"role":"user","content":"ann@example.com"}}],"deep":{deep}}}"#
        )
    };
    let client = gateway.user().with("content-type", "application/json");
    client.post_bytes(CHAT, body(127)).await.expect(200);
    let seen = upstream.request().await.last_text();
    assert!(
        seen.contains("mark") && !seen.contains("ann@"),
        "both filters have read it: {seen}"
    );
    let refused = client.post_bytes(CHAT, body(128)).await.expect(400);
    assert_eq!(refused.json()["error"]["code"], "invalid_json");
    assert_eq!(upstream.request_count(), 1);
}

#[tokio::test]
async fn c08_compressed_bodies_are_refused_and_never_inflated() {
    let rig = Rig::new(|_| answer_of("fine")).await;
    // The first bytes of a gzip stream; what follows would be 10 GB.
    let bomb = [&b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..], &[0; 1 << 20]].concat();
    for coding in [
        "gzip",
        "br",
        "zstd",
        "deflate",
        "x-unknown",
        "identity, gzip",
        "gzip, gzip",
    ] {
        let client = rig.gateway.user().with("content-encoding", coding);
        for path in [CHAT, "/v1/embeddings", "/api/v1/functions/create"] {
            let answer = client.post_bytes(path, bomb.clone()).await;
            assert_eq!(answer.status, 415, "{coding} {path}: {}", answer.text());
        }
    }
    assert!(rig.growth_kib() < 16 * 1024, "{} KiB", rig.growth_kib());
    let plain = rig.gateway.user().with("content-encoding", "identity");
    plain.chat(&chat("echo", "hi")).await.expect(200);
    rig.ends_unharmed("c08").await;
}

#[tokio::test]
async fn c10_wrong_types_methods_and_paths_are_refused_in_json() {
    let rig = Rig::new(|_| answer_of("fine")).await;
    let body = || Bytes::from(chat("echo", "hi").to_string());
    for kind in [
        "text/plain",
        "application/jsonx",
        "application/x-www-form-urlencoded",
        "",
        "json",
    ] {
        let client = rig.gateway.user().with("content-type", kind);
        let answer = client.call(Method::POST, CHAT, body()).await.expect(415);
        assert_eq!(
            answer.json()["error"]["code"],
            "unsupported_media_type",
            "{kind}"
        );
    }
    let parameter = rig
        .gateway
        .user()
        .with("content-type", "Application/JSON; charset=utf-8");
    parameter.call(Method::POST, CHAT, body()).await.expect(200);
    for method in [
        "GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND",
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = rig
            .gateway
            .user()
            .call(method.clone(), CHAT, Bytes::new())
            .await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, "POST"),
            "{method}"
        );
        assert_eq!(answer.json()["error"]["code"], "method_not_allowed");
    }
    for path in [
        "/v1/chat",
        "/v1/chat/completions/",
        "/V1/chat/completions",
        "/v2/x",
        "//v1/models",
    ] {
        let answer = rig.gateway.user().post(path, &chat("echo", "hi")).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        assert!(answer.json()["error"]["message"].is_string(), "{path}");
    }
    assert_eq!(rig.upstream.request_count(), 1);
    rig.ends_unharmed("c10").await;
}
