//! Servers that refuse, lie, hang, break or are not there.

use super::fake::{Fake, Step, answer, chunk, closed_url, json, stream_head};
use super::*;
use crate::error::Kind;

const HTML: &str = "content-type: text/html\r\n";
const JSON: &str = "content-type: application/json\r\n";

async fn error_for(bytes: String, request: Request) -> Error {
    let server = Fake::answering(bytes).await;
    request.error(&upstreams([&server.url])).await
}

#[tokio::test]
async fn a_refusal_is_passed_on_unchanged() {
    let extra =
        "retry-after: 7\r\nx-ratelimit-remaining-requests: 0\r\nwww-authenticate: Bearer\r\n";
    let bytes = answer("429 Too Many", &[JSON, extra].concat(), r#"{"error":1}"#);
    for request in [Request::default(), Request::streamed()] {
        let error = error_for(bytes.clone(), request).await;
        assert_eq!(error.kind(), Kind::UpstreamRefused);
        assert_eq!(error.status(), 429);
        let passed = error.passed().unwrap();
        assert_eq!(passed.body, r#"{"error":1}"#);
        assert_eq!(passed.headers["retry-after"], "7");
        assert_eq!(passed.headers["x-ratelimit-remaining-requests"], "0");
        assert!(!passed.headers.contains_key("www-authenticate"));
    }
}

#[tokio::test]
async fn a_page_of_html_is_no_answer_to_a_program() {
    let refused = answer("502 Bad Gateway", HTML, "<h1>secret</h1>");
    let error = error_for(refused.clone(), Request::default()).await;
    assert_eq!(
        (error.kind(), error.status().as_u16()),
        (Kind::UpstreamRefused, 502)
    );
    assert!(error.passed().is_none());

    let error = error_for(refused, Request::on(Contract::OpenWebUi)).await;
    let passed = error.passed().unwrap();
    assert_eq!(passed.headers["content-type"], "text/plain; charset=utf-8");

    let error = error_for(answer("200 OK", HTML, "<h1>"), Request::default()).await;
    assert_eq!(error.kind(), Kind::UpstreamInvalid);
}

#[tokio::test]
async fn what_is_no_answer_is_invalid() {
    for bytes in [
        answer("302 Found", "location: http://127.0.0.1:1/\r\n", ""),
        answer("304 Not Modified", "", ""),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        answer(
            "200 OK",
            &[JSON, "content-encoding: gzip\r\n"].concat(),
            "x",
        ),
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_owned(),
        "SSH-2.0-OpenSSH_9.2\r\n".to_owned(),
        answer(
            "200 OK",
            &format!("x-long: {}\r\n", "x".repeat(200 << 10)),
            "",
        ),
    ] {
        let error = error_for(bytes.clone(), Request::default()).await;
        assert_eq!(error.kind(), Kind::UpstreamInvalid, "{bytes}");
    }
}

#[tokio::test]
async fn a_refusal_that_cannot_be_read_keeps_its_status() {
    let gzip = [JSON, "content-encoding: gzip\r\nretry-after: 3\r\n"].concat();
    let error = error_for(answer("503 Unavailable", &gzip, "x"), Request::default()).await;
    assert_eq!(error.status(), 503);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
    assert!(error.passed().is_none());

    let long = "x".repeat((1 << 20) + 1);
    let error = error_for(answer("400 Bad", JSON, &long), Request::default()).await;
    assert_eq!(error.status(), 400);
    assert!(error.passed().is_none());
}

#[tokio::test]
async fn a_closed_port_is_unreachable_and_its_address_is_not_told() {
    let url = closed_url().await;
    let error = Request::default().error(&upstreams(&[url])).await;
    assert_eq!(error.kind(), Kind::UpstreamUnreachable);
    assert!(error.is_retryable());
    assert_eq!(error.message(), "upstream `pool` cannot be reached");
}

#[tokio::test]
async fn a_server_that_closes_without_an_answer_is_cut_and_not_asked_again() {
    let mut server = Fake::scripted(|_| vec![Step::Close]).await;
    let error = Request::default().error(&upstreams([&server.url])).await;
    assert_eq!(error.kind(), Kind::UpstreamCut);
    assert!(!error.is_retryable());
    assert_eq!(server.counts(), (1, 1));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_late_and_told_so() {
    let mut server = Fake::scripted(|_| vec![Step::Hang]).await;
    let upstreams = with_settings(&server.url, |settings| {
        settings.head = Duration::from_millis(50);
    });
    let error = Request::default().error(&upstreams).await;
    assert_eq!(error.kind(), Kind::UpstreamTimeout);
    server.gone().await;
}

#[tokio::test]
async fn a_stream_that_falls_silent_ends_in_an_error_after_what_came() {
    let mut server = Fake::scripted(|_| {
        let begin = [stream_head(), chunk("data: 1\n\n")].concat();
        vec![Step::Send(begin), Step::Hang]
    })
    .await;
    let upstreams = with_settings(&server.url, |settings| {
        settings.idle = Duration::from_millis(50);
    });
    let (text, end) = drain(Request::streamed().stream(&upstreams).await).await;
    assert_eq!(text, "data: 1\n\n");
    assert_eq!(end.unwrap_err().kind(), Kind::UpstreamTimeout);
    server.gone().await;
}

#[tokio::test]
async fn a_stream_that_is_cut_ends_in_an_error_wherever_it_is_cut() {
    let all = [chunk("data: 1\n\n"), chunk("data: [DONE]\n\n"), chunk("")].concat();
    for length in 0..all.len() {
        let bytes = [&stream_head(), &all[..length]].concat();
        let server = Fake::scripted(move |_| vec![Step::Send(bytes.clone()), Step::Close]).await;
        let stream = Request::streamed().stream(&upstreams([&server.url])).await;
        let (_, end) = drain(stream).await;
        let error = end.expect_err("a cut is no end");
        assert_eq!(error.kind(), Kind::UpstreamCut, "cut at {length}");
    }
}

#[tokio::test]
async fn a_whole_answer_that_is_cut_is_an_error() {
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"id\":";
    let server = Fake::scripted(|_| vec![Step::Send(short.to_owned()), Step::Close]).await;
    let error = Request::default().error(&upstreams([&server.url])).await;
    assert_eq!(error.kind(), Kind::UpstreamCut);
}

#[tokio::test]
async fn dropping_a_stream_closes_the_connection() {
    let mut server = Fake::scripted(|_| {
        let begin = [stream_head(), chunk("data: 1\n\n")].concat();
        vec![Step::Send(begin), Step::Hang]
    })
    .await;
    let upstreams = upstreams([&server.url]);
    let mut answer = Request::streamed().stream(&upstreams).await;
    answer.body.next().await.unwrap().unwrap();
    drop(answer);
    server.gone().await;
}

#[tokio::test]
async fn dropping_a_request_closes_the_connection() {
    let mut server = Fake::scripted(|_| vec![Step::Hang]).await;
    let upstreams = upstreams([&server.url]);
    let request = Request::default();
    tokio::select! {
        _ = request.send(&upstreams, "m") => panic!("nobody answers"),
        _ = server.request() => {}
    }
    server.gone().await;
}

#[tokio::test]
async fn an_answer_before_the_body_was_read_is_an_answer() {
    let body = "x".repeat(4 << 20);
    let text = format!(r#"{{"model":"m","pad":"{body}"}}"#);
    let server = Fake::answering(json("{}")).await;
    let request = Request {
        body: text.leak(),
        ..Request::default()
    };
    let answer = request.whole(&upstreams([&server.url])).await;
    assert_eq!(answer.status, 200);
}
