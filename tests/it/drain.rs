//! The end: requests in flight finish, nothing new begins.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::PATIENCE;
use crate::support::{
    FakeUpstream, Gate, Step, TestGateway, event, events_of, head_of_stream, source, streamed_chat,
    tail_of_stream, within,
};

/// Starts a stream that waits in the middle.
async fn upstream_that_waits(gate: &Gate) -> FakeUpstream {
    let gate = gate.clone();
    FakeUpstream::start(move |_| {
        let mut events = events_of(&["before ", "after"]).into_iter().map(event);
        let mut script = vec![head_of_stream()];
        script.extend(events.next());
        script.push(Step::Wait(gate.clone()));
        script.extend(events);
        script.push(tail_of_stream());
        script
    })
    .await
}

/// Whether somebody new gets no connection, or is told that the gateway is not ready.
async fn is_turned_away(gateway: &TestGateway) -> bool {
    let Ok(mut stream) = TcpStream::connect(gateway.address).await else {
        return true;
    };
    let mut answer = String::new();
    let request = b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    // A listener that closes now resets the connection.
    if stream.write_all(request).await.is_ok() {
        let _ = within(
            PATIENCE,
            "an answer about readiness",
            stream.read_to_string(&mut answer),
        )
        .await;
    }
    answer.is_empty() || answer.starts_with("HTTP/1.1 503")
}

#[tokio::test]
async fn a_running_stream_finishes_after_the_signal_and_nothing_new_begins() {
    let gate = Gate::new();
    let upstream = upstream_that_waits(&gate).await;
    // More workers than threads: some are looked after by threads that have no connection left to wait for.
    let setup = TestGateway::setup()
        .python()
        .settings("threads = 2")
        .upstream("fake", &upstream.base_url());
    let setup = ["calm_a", "calm_b", "calm_c", "calm_d"]
        .iter()
        .fold(setup, |setup, id| setup.function(id, &source("calm")));
    let mut gateway = setup.start().await;
    let mut stream = gateway.user().stream(&streamed_chat("echo", "hi")).await;
    assert!(stream.next().await.unwrap().contains("before"));
    gateway.terminate();
    gateway.logged("stopping").await;
    assert!(is_turned_away(&gateway).await);
    gate.open();
    let rest = stream.rest().await;
    assert!(rest[0].contains("after"), "{rest:?}");
    assert_eq!(rest.last().map(String::as_str), Some("[DONE]"));
    assert!(!stream.is_broken);
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_stream_that_outlasts_the_drain_ends_with_an_error_event() {
    let upstream = upstream_that_waits(&Gate::new()).await;
    let setup = TestGateway::setup().settings("drain_seconds = 1");
    let mut gateway = setup.upstream("fake", &upstream.base_url()).start().await;
    let mut stream = gateway.user().stream(&streamed_chat("echo", "hi")).await;
    assert!(stream.next().await.unwrap().contains("before"));
    gateway.terminate();
    let rest = stream.rest().await;
    assert!(rest.len() == 1 && rest[0].contains("\"error\""), "{rest:?}");
    assert!(stream.is_broken);
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let upstream = upstream_that_waits(&Gate::new()).await;
    let mut gateway = TestGateway::setup()
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    let mut stream = gateway.user().stream(&streamed_chat("echo", "hi")).await;
    stream.next().await.unwrap();
    gateway.terminate();
    gateway.logged("stopping").await;
    gateway.terminate();
    assert_eq!(gateway.ended().await.code(), Some(0));
    assert!(
        stream
            .next()
            .await
            .is_none_or(|event| event.contains("\"error\""))
    );
}

#[tokio::test]
async fn no_python_outlives_the_gateway() {
    let upstream = FakeUpstream::echo().await;
    let setup = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url());
    let mut gateway = setup.function("calm", &source("calm")).start().await;
    let workers = gateway.process().descendants();
    assert!(!workers.is_empty());
    gateway.terminate();
    gateway.ended().await;
    let look = async || {
        workers
            .iter()
            .all(|worker| !worker.is_running())
            .then_some(())
    };
    crate::support::eventually(PATIENCE, "the end of every worker", look).await;
}
