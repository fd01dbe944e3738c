//! Ollama's dialect, there and back.

use super::fake::{Fake, Step, answer, chunk, json};
use super::*;
use crate::error::Kind;

const LINES: [&str; 3] = [
    r#"{"model":"m","message":{"role":"assistant","content":"He"},"done":false}"#,
    r#"{"model":"m","message":{"role":"assistant","content":"llo"},"done":false}"#,
    r#"{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","eval_count":2}"#,
];

const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";

fn ollama(server: &Fake) -> Upstreams {
    let mut config = config("pool", &[server.url.replace("/v1", "")]);
    config.kind = UpstreamKind::Ollama;
    config.api_key = None;
    Upstreams::new(directory(&[config]))
}

fn lines(lines: &[&str]) -> String {
    let chunks = lines.iter().map(|line| chunk(&format!("{line}\n")));
    [HEAD.to_owned()].into_iter().chain(chunks).collect()
}

#[tokio::test]
async fn a_request_is_sent_in_ollama_s_words() {
    let mut server = Fake::answering(json(LINES[2])).await;
    let request = Request {
        body: r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0.2}"#,
        ..Request::default()
    };
    request.whole(&ollama(&server)).await;
    let (head, body) = server.request().await;
    assert!(head.starts_with("POST /api/chat HTTP/1.1\r\n"), "{head}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["model"], "m:latest");
    assert_eq!(body["stream"], false);
    assert_eq!(body["options"]["temperature"].to_string(), "0.2");
}

#[tokio::test]
async fn a_whole_reply_is_a_completion() {
    let server = Fake::answering(json(&LINES[0].replace("false", "true"))).await;
    let upstreams = ollama(&server);
    for (contract, id) in [
        (Contract::OpenAi, "chatcmpl-1"),
        (Contract::OpenWebUi, "m-1"),
    ] {
        let answer = Request::on(contract).whole(&upstreams).await;
        assert_eq!(answer.headers["content-type"], "application/json");
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["id"], id);
        assert_eq!(body["created"].to_string(), "5");
        assert_eq!(body["choices"][0]["message"]["content"], "He");
    }
}

#[tokio::test]
async fn a_stream_of_lines_is_a_stream_of_events() {
    let mut server = Fake::answering([lines(&LINES), chunk("")].concat()).await;
    let upstreams = ollama(&server);
    for _ in 0..3 {
        let answer = Request::streamed().stream(&upstreams).await;
        assert_eq!(answer.headers["content-type"], "text/event-stream");
        let (text, end) = drain(answer).await;
        end.unwrap();
        let events: Vec<_> = text.split_terminator("\n\n").collect();
        assert_eq!(events.len(), 4, "{text}");
        assert!(
            events[0].contains(r#""content":"He","role":"assistant""#),
            "{text}"
        );
        assert!(events[2].contains(r#""finish_reason":"stop""#), "{text}");
        assert_eq!(events[3], "data: [DONE]");
    }
    assert_eq!(server.counts(), (1, 3));
}

#[tokio::test]
async fn a_stream_that_is_cut_or_unfinished_ends_in_an_error() {
    let endings = [
        vec![Step::Send(lines(&LINES[..2])), Step::Close],
        vec![Step::Send([lines(&LINES[..2]), chunk("")].concat())],
    ];
    for ending in endings {
        let server = Fake::scripted(move |_| ending.clone()).await;
        let (text, end) = drain(Request::streamed().stream(&ollama(&server)).await).await;
        assert_eq!(text.matches("data: ").count(), 2);
        assert_eq!(end.unwrap_err().kind(), Kind::UpstreamCut);
    }
}

#[tokio::test]
async fn an_error_line_ends_the_stream_in_ollama_s_words() {
    let server = Fake::answering(lines(&[LINES[0], r#"{"error":"out of memory"}"#])).await;
    let (_, end) = drain(Request::streamed().stream(&ollama(&server)).await).await;
    let error = end.unwrap_err();
    assert_eq!(error.kind(), Kind::UpstreamRefused);
    assert_eq!(error.message(), "out of memory");
}

#[tokio::test]
async fn a_refusal_keeps_status_and_text() {
    let refusal = answer("404 Not Found", "", r#"{"error":"model 'm' not found"}"#);
    let server = Fake::answering(refusal).await;
    let error = Request::streamed().error(&ollama(&server)).await;
    assert_eq!(error.kind(), Kind::UpstreamRefused);
    assert_eq!(error.status(), 404);
    assert_eq!(error.message(), "model 'm' not found");
}

#[tokio::test]
async fn what_ollama_has_no_words_for_is_the_caller_s_mistake() {
    let mut server = Fake::answering(json("{}")).await;
    let request = Request {
        body: r#"{"model":"m","messages":"hi"}"#,
        ..Request::default()
    };
    let error = request.error(&ollama(&server)).await;
    assert_eq!(
        (error.kind(), error.param()),
        (Kind::InvalidRequest, Some("messages"))
    );
    assert_eq!(server.counts(), (0, 0));
}

#[tokio::test]
async fn something_else_than_ollama_is_invalid() {
    let server = Fake::answering(json("[1]")).await;
    let error = Request::default().error(&ollama(&server)).await;
    assert_eq!(error.kind(), Kind::UpstreamInvalid);
}
