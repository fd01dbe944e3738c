//! P14: generators that do not end, say nothing, say too much, or do not let go.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::PATIENCE;
use crate::faults::rig::Rig;
use crate::support::{
    Events, FakeUpstream, Process, TestGateway, Witness, chat, eventually, say, source_with,
    streamed_chat,
};

/// The promise is 100 ms where a generator ends as it is told, and a second more where its process has to; the rest is
/// for a busy machine, and the figure is printed.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

async fn rig(witness: &Witness) -> Rig {
    let port = witness.port.to_string();
    let code = source_with("ungoverned", &[("WITNESS", &port)]);
    let setup = TestGateway::setup().python().function("ungoverned", &code);
    Rig::with(setup, FakeUpstream::echo().await).await
}

/// A stream of a generator that somebody listens to.
struct Listening {
    stream: Events,
    process: Process,
}

impl Listening {
    /// Begins it, and hears its first words.
    async fn begin(rig: &Rig, way: &str) -> Self {
        let body = streamed_chat(&format!("ungoverned.{way}"), "hi");
        let mut stream = rig.gateway.user().stream(&body).await;
        let first: Value = serde_json::from_str(&stream.next().await.unwrap()).unwrap();
        let words = first["choices"][0]["delta"]["content"].as_str().unwrap();
        let processes = rig.gateway.process().descendants();
        let called = |process: &Process| process.own_name().as_deref() == Some(words.trim());
        let process = processes.into_iter().find(called);
        let process = process.unwrap_or_else(|| panic!("no process {words}"));
        Self { stream, process }
    }

    /// Leaves: the process it ran in, and when that was.
    fn leave(self) -> (Process, Instant) {
        drop(self.stream);
        (self.process, Instant::now())
    }
}

fn report(way: &str, left: Instant) {
    let took = left.elapsed();
    say(&format!("faults: p14: `{way}` was stopped after {took:?}"));
    assert!(took < STOPPED_WITHIN, "{way}: {took:?}");
}

async fn is_served(rig: &Rig) {
    let answer = rig
        .gateway
        .user()
        .chat(&chat("ungoverned.plain", "nothing"))
        .await;
    assert_eq!(answer.expect(200).content(), "fine");
}

#[tokio::test]
async fn p14_generators_that_end_as_they_are_told_keep_their_process() {
    let mut witness = Witness::start().await;
    let rig = rig(&witness).await;
    let mut processes = Vec::new();
    for (way, word) in [
        ("plain", "plain ended"),
        ("flood", "flood ended"),
        ("deaf", "deaf was told"),
    ] {
        let (process, left) = Listening::begin(&rig, way).await.leave();
        witness.expect(word).await;
        report(way, left);
        processes.push(process);
    }
    processes.dedup();
    assert_eq!(processes.len(), 1, "one process has served all of them");
    is_served(&rig).await;
    rig.leaves_nothing_but_processes("p14").await;
}

#[tokio::test]
async fn p14_generators_that_do_not_let_go_cost_their_process() {
    let mut witness = Witness::start().await;
    let rig = rig(&witness).await;
    for way in ["deaf_async", "finally", "blocked", "nested"] {
        let listening = Listening::begin(&rig, way).await;
        // At its first words it can still be ended, and often is where the worker gets no turn until we leave.
        witness.expect(&format!("{way} is deaf")).await;
        let (process, left) = listening.leave();
        let path = format!("/proc/{}", process.0);
        let look = async || (!Path::new(&path).exists()).then_some(());
        eventually(PATIENCE, way, look).await;
        report(way, left);
        is_served(&rig).await;
    }
    rig.leaves_nothing_but_processes("p14").await;
}

#[tokio::test]
async fn p14_generators_that_say_nothing_give_an_empty_answer() {
    let witness = Witness::start().await;
    let rig = rig(&witness).await;
    for way in ["empty", "async_empty"] {
        let model = format!("ungoverned.{way}");
        let answer = rig
            .gateway
            .user()
            .chat(&chat(&model, "hi"))
            .await
            .expect(200);
        assert_eq!(answer.content(), "");
        let answer = rig
            .gateway
            .user()
            .chat(&streamed_chat(&model, "hi"))
            .await
            .expect(200);
        assert_eq!(answer.streamed_content(), "");
        assert!(answer.text().contains("\"finish_reason\":\"stop\""));
    }
    rig.ends_unharmed("p14").await;
}
