//! Answers that are early, or fail.

use std::task::{Context, Waker};

use futures_util::FutureExt;
use http::Version;

use super::super::answer::Answer;
use super::*;
use crate::server::drain::LastCall;
use crate::server::guard::Activity;

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_still_sends() {
    let gateway = start(&settings());
    let mut stream = gateway.connect().await;
    let head = "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 33554432\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; 33_554_432]).await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "));
    gateway.end().await;
}

#[tokio::test]
async fn a_failing_body_is_cut_after_everything_before_it() {
    let gateway = start(&settings());
    for (path, length) in [("/fail", 5), ("/fail-big", 8 << 20), ("/fail-at-once", 0)] {
        let mut stream = gateway.connect().await;
        ask(&mut stream, path).await;
        let answer = read_all(&mut stream).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "));
        assert!(!body.ends_with("0\r\n\r\n"), "no end of the framing");
        assert!(body.len() >= length, "{path}: {}", body.len());
    }
    gateway.end().await;
}

#[tokio::test]
async fn a_panic_is_answered_500_and_the_connection_goes_on() {
    let gateway = start(&settings());
    let mut stream = gateway.connect().await;
    ask(&mut stream, "/panic").await;
    let answer = read_until(&mut stream, "internal_error").await;
    assert!(answer.starts_with("HTTP/1.1 500 "));
    ask(&mut stream, "/hello").await;
    read_until(&mut stream, "hello").await;
    gateway.end().await;
}

#[tokio::test]
async fn a_batch_of_an_answer_leaves_before_the_next_is_made() {
    let activity = Rc::new(Activity::new(
        Pressure::default().readers().enter(),
        LastCall::default(),
    ));
    let (events, _events) = mpsc::unbounded_channel();
    let body = endless(Stage::new(events));
    let limit = Duration::from_secs(60);
    let mut answer = Answer::new(body, Version::HTTP_11, activity.begin(), limit);
    let mut batch = || {
        let ready = std::iter::from_fn(|| answer.frame().now_or_never());
        ready.take(1000).count()
    };
    assert_eq!([batch(), batch()], [16, 0]);
    activity.note_flushed();
    assert_eq!([batch(), batch()], [16, 0]);
    // A client that keeps up is given more at once, until its socket is full.
    activity.note_written(1 << 20);
    activity.note_flushed();
    assert_eq!([batch(), batch()], [64, 0]);
    activity.note_blocked(&Context::from_waker(Waker::noop()));
    activity.note_flushed();
    assert_eq!([batch(), batch()], [16, 0]);
}
