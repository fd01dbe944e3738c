//! A client that leaves stops everything that was done for it.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use crate::support::{
    FakeUpstream, Gate, Step, TestGateway, Witness, chat, event, events_of, head_of_stream, say,
    source_with, streamed_chat,
};

/// The promise is 100 ms; the rest is for a busy machine, and the figure is printed.
const NOTICED_WITHIN: Duration = Duration::from_secs(1);

fn report(what: &str, left: Instant, noticed: Instant) {
    let took = noticed.saturating_duration_since(left);
    say(&format!("leaving: {what} was stopped after {took:?}"));
    assert!(took < NOTICED_WITHIN, "{what} took {took:?}");
}

#[tokio::test]
async fn leaving_before_the_first_byte_stops_the_model_server() {
    let mut upstream = FakeUpstream::start(|_| vec![Step::Wait(Gate::new())]).await;
    let gateway = TestGateway::setup()
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    for body in [chat("echo", "hi"), streamed_chat("echo", "hi")] {
        let client = gateway.user().send_chat(&body).await;
        upstream.request().await;
        let left = Instant::now();
        drop(client);
        report(
            "a call whose answer has not begun",
            left,
            upstream.departure().await,
        );
    }
}

#[tokio::test]
async fn leaving_in_mid_stream_stops_the_model_server() {
    let mut upstream = FakeUpstream::start(|_| {
        let first = events_of(&["first"]).swap_remove(0);
        vec![head_of_stream(), event(first), Step::Wait(Gate::new())]
    })
    .await;
    let gateway = TestGateway::setup()
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    let mut stream = gateway.user().stream(&streamed_chat("echo", "hi")).await;
    assert!(stream.next().await.unwrap().contains("first"));
    let left = Instant::now();
    drop(stream);
    report("a call in mid-stream", left, upstream.departure().await);
}

#[tokio::test]
async fn leaving_in_mid_stream_stops_the_model_server_behind_a_filter() {
    let mut upstream = FakeUpstream::start(|_| {
        let first = events_of(&["first"]).swap_remove(0);
        vec![head_of_stream(), event(first), Step::Wait(Gate::new())]
    })
    .await;
    let setup = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url());
    let gateway = setup
        .function("calm", &crate::support::source("calm"))
        .start()
        .await;
    let mut stream = gateway.user().stream(&streamed_chat("echo", "hi")).await;
    assert!(stream.next().await.unwrap().contains("calm"));
    let left = Instant::now();
    drop(stream);
    report(
        "a call behind a stream filter",
        left,
        upstream.departure().await,
    );
}

#[tokio::test]
async fn leaving_while_inlet_waits_cancels_it_and_nothing_reaches_the_model_server() {
    let mut witness = Witness::start().await;
    let upstream = FakeUpstream::echo().await;
    let port = witness.port.to_string();
    let setup = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url());
    let gateway = setup
        .function("leaving", &source_with("leaving", &[("WITNESS", &port)]))
        .start()
        .await;
    let client = gateway.user().send_chat(&chat("echo", "wait")).await;
    witness.expect("inlet began").await;
    let left = Instant::now();
    drop(client);
    report("inlet", left, witness.expect("inlet ended").await);
    gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    assert_eq!(
        upstream.request_count(),
        1,
        "only the one who stayed was served"
    );
}

#[tokio::test]
async fn leaving_while_a_pipe_generates_ends_its_generator() {
    let mut witness = Witness::start().await;
    let port = witness.port.to_string();
    let code = source_with("endless", &[("WITNESS", &port)]);
    let gateway = TestGateway::setup()
        .python()
        .function("endless", &code)
        .start()
        .await;
    for model in ["endless.plain", "endless.async"] {
        let mut stream = gateway.user().stream(&streamed_chat(model, "hi")).await;
        assert!(stream.next().await.unwrap().contains("tick"), "{model}");
        let left = Instant::now();
        drop(stream);
        report(model, left, witness.expect("generator ended").await);
    }
}

#[tokio::test]
async fn closing_only_the_sending_side_counts_as_leaving_unless_it_is_to_be_served() {
    for (mode, is_served) in [("leave", false), ("serve", true)] {
        let gate = Gate::new();
        let held = gate.clone();
        let mut upstream = FakeUpstream::start(move |_| {
            let mut script = vec![Step::Wait(held.clone())];
            script.extend(crate::support::answer_of("late"));
            script
        })
        .await;
        let setup = TestGateway::setup().settings(&format!("half_close = \"{mode}\""));
        let gateway = setup.upstream("fake", &upstream.base_url()).start().await;
        let client = gateway.user().send_chat(&chat("echo", "hi")).await;
        upstream.request().await;
        let (mut read, write) = client.into_split();
        drop(write);
        if !is_served {
            upstream.departure().await;
        }
        gate.open();
        let mut answer = String::new();
        // A connection that was dropped may be reset.
        let _ = crate::support::within(
            crate::PATIENCE,
            "the end of the connection",
            read.read_to_string(&mut answer),
        )
        .await;
        assert_eq!(answer.contains("late"), is_served, "{mode}: {answer}");
    }
}
