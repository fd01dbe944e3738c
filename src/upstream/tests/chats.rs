//! Requests and answers as they should be.

use super::fake::{Fake, answer, chunk, json, stream_head};
use super::*;
use crate::upstream::{Passage, pass};

#[tokio::test]
async fn the_body_goes_as_it_came() {
    let mut server = Fake::answering(json("{}")).await;
    let request = Request {
        body: "{ \"messages\": [1.0e2],\n\"model\" : \"m\", \"x\":\"\\u00e9\" }",
        ..Request::default()
    };
    request.whole(&upstreams([&server.url])).await;
    let (head, body) = server.request().await;
    assert!(
        head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"),
        "{head}"
    );
    assert_eq!(body, request.body);
}

#[tokio::test]
async fn a_model_with_our_prefix_is_sent_without_it() {
    let mut server = Fake::answering(json("{}")).await;
    let request = Request {
        body: r#"{"model":"pre.gpt-\u0078","n": 1}"#,
        ..Request::default()
    };
    let upstreams = upstreams([&server.url]);
    request.send(&upstreams, "gpt-x").await.unwrap();
    assert_eq!(server.request().await.1, r#"{"model":"gpt-x","n": 1}"#);
}

#[tokio::test]
async fn headers_are_forwarded_as_a_proxy_should() {
    let mut server = Fake::answering(json("{}")).await;
    let request = Request {
        headers: headers(
            "host: gateway.test
             authorization: Bearer caller-key
             x-api-key: caller-key
             cookie: a=b
             accept-encoding: gzip
             content-length: 999
             expect: 100-continue
             connection: close, x-listed
             x-listed: 1
             te: trailers
             forwarded: for=1.2.3.4
             x-forwarded-for: 1.2.3.4
             x-openwebui-user-id: u1
             x-sluicegate-events: inline
             content-type: text/plain
             user-agent: sdk/1
             openai-organization: org
             x-configured: theirs",
        ),
        ..Request::default()
    };
    let mut config = config("pool", [&server.url]);
    config.headers = vec![("X-Configured".to_owned(), "ours".to_owned())];
    request.whole(&Upstreams::new(directory(&[config]))).await;

    let (head, _) = server.request().await;
    let mut lines: Vec<_> = head.trim_end().lines().skip(1).collect();
    lines.sort_unstable();
    let host = format!("host: {}", server.url.split('/').nth(2).unwrap());
    assert_eq!(
        lines,
        [
            "accept-encoding: identity",
            "authorization: Bearer sk-canary",
            "content-length: 27",
            "content-type: application/json",
            &host,
            "openai-organization: org",
            "user-agent: sdk/1",
            "x-configured: ours",
        ]
    );
}

#[tokio::test]
async fn a_whole_answer_comes_with_its_status_headers_and_bytes() {
    let server = Fake::answering(answer(
        "201 Created",
        "content-type: application/json\r\nx-up: 1\r\nset-cookie: a=b\r\n",
        "{ }\n",
    ))
    .await;
    let answer = Request::default().whole(&upstreams([&server.url])).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.body, "{ }\n");
    assert_eq!(
        answer.headers,
        headers("content-type: application/json\nx-up: 1")
    );
}

#[tokio::test]
async fn a_stream_comes_byte_for_byte() {
    let events = "event: x\r\ndata:1\r\n\r\n: comment\n\ndata: [DONE]\n\n";
    let (first, second) = events.split_at(9);
    let parts = [stream_head(), chunk(first), chunk(second), chunk("")];
    let server = Fake::answering(parts.concat()).await;
    let answer = Request::streamed().stream(&upstreams([&server.url])).await;
    let (text, end) = drain(answer).await;
    assert_eq!(text, events);
    assert!(end.is_ok());
}

#[tokio::test]
async fn an_answer_is_what_it_says_it_is_whatever_was_asked_for() {
    let server = Fake::answering(json("{}")).await;
    let asked_for_stream = Request::streamed();
    asked_for_stream.whole(&upstreams([&server.url])).await;

    let server = Fake::answering([stream_head(), chunk("data: 1\n\n"), chunk("")].concat()).await;
    let asked_for_whole = Request::default();
    asked_for_whole.stream(&upstreams([&server.url])).await;
}

#[tokio::test]
async fn an_answer_without_a_type_is_what_was_asked_for() {
    let server = Fake::answering(answer("200 OK", "", "data: 1\n\n")).await;
    let upstreams = upstreams([&server.url]);
    let (text, _) = drain(Request::streamed().stream(&upstreams).await).await;
    assert_eq!(text, "data: 1\n\n");
    Request::default().whole(&upstreams).await;
}

#[tokio::test]
async fn informational_answers_are_skipped() {
    let bytes = ["HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", &json("{}")].concat();
    let server = Fake::answering(bytes).await;
    let answer = Request::default().whole(&upstreams([&server.url])).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_conversation_goes_to_one_member() {
    let mut servers = Vec::new();
    for _ in 0..4 {
        servers.push(Fake::answering(json("{}")).await);
    }
    let urls: Vec<_> = servers.iter().map(|server| server.url.clone()).collect();
    let mut config = config("pool", &urls);
    config.affinity = Affinity::Conversation;
    let upstreams = Upstreams::new(directory(&[config]));
    for _ in 0..10 {
        let request = Request {
            conversation: Some(7),
            ..Request::default()
        };
        request.whole(&upstreams).await;
    }
    let counts = servers.iter_mut().map(|server| server.counts().1);
    assert_eq!(counts.filter(|count| *count > 0).collect::<Vec<_>>(), [10]);
}

#[tokio::test]
async fn other_requests_pass_as_they_are() {
    let bytes = answer("418 Teapot", "content-type: text/html\r\n", "<p>");
    let mut server = Fake::answering(bytes).await;
    let passage = Passage {
        method: http::Method::PUT,
        path: "/embeddings?x=1",
        headers: &headers("content-type: multipart/form-data; boundary=b\ncookie: a=b"),
        body: Bytes::from_static(b"--b--"),
    };
    let upstreams = upstreams([&server.url]);
    let passed: pass::Passed = upstreams.pass(0, &passage).await.unwrap();
    assert_eq!(passed.status, 418);
    let body = passed.body.collect(9, || unreachable!()).await.unwrap();
    assert_eq!(body, "<p>");
    let (head, body) = server.request().await;
    assert!(
        head.starts_with("PUT /v1/embeddings?x=1 HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains("boundary=b\r\n") && !head.contains("cookie"),
        "{head}"
    );
    assert_eq!(body, "--b--");
}
