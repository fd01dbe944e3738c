//! R04: a new process takes over while clients ask and streams are open.

mod broken;
mod connections;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::task::JoinSet;

use crate::PATIENCE;
use crate::faults::rig::{Raw, get_request};
use crate::support::{
    Answer, Client, Events, FakeUpstream, Gate, Process, Recorded, Script, Setup, Step,
    TestGateway, answer_of, chat, event, events_of, eventually, free_port, head_of_stream, say,
    source_with, streamed_chat, tail_of_stream,
};

/// How many upgrades; the catalogue asks for 100.
const VARIABLE: &str = "SLUICEGATE_UPGRADES";
const USUAL: u64 = 20;
/// Clients that make a connection for each request.
const CALLERS: usize = 4;
/// Streams that are open from before the first upgrade until after the last.
const STREAMS: usize = 32;

/// A model server whose streams stand after their first event: those of `long` until the one gate opens, others
/// until the other does.
async fn model_server(long: &Gate, short: &Gate) -> FakeUpstream {
    let (long, short) = (long.clone(), short.clone());
    let respond = move |request: &Recorded| -> Script {
        if !request.is_streamed() {
            return answer_of("fine");
        }
        let gate = match request.last_text().as_str() {
            "long" => &long,
            _ => &short,
        };
        let mut events = events_of(&["before", "after"]).into_iter().map(event);
        let mut script = vec![head_of_stream()];
        script.extend(events.next());
        script.push(Step::Wait(gate.clone()));
        script.extend(events);
        script.push(tail_of_stream());
        script
    };
    FakeUpstream::start(respond).await
}

fn setup(upstream: &FakeUpstream) -> Setup {
    TestGateway::setup()
        .python()
        .settings("drain_seconds = 600\nthreads = 2")
        .upstream("fake", &upstream.base_url())
        // Some streams stand from the first upgrade to the last.
        .tables("[upstream]\nidle_seconds = 600")
}

/// A gateway with the filter `stamp`, as small as it can be.
async fn stamped(upstream: &FakeUpstream) -> TestGateway {
    let gateway = setup(upstream).start().await;
    let code = source_with("stamp", &[]);
    gateway.management().install_filter("stamp", &code).await;
    gateway
}

async fn set_number(gateway: &TestGateway, number: u64) -> Answer {
    let management = gateway.management();
    management
        .set_valves("stamp", &json!({"number": number}))
        .await
}

async fn number_of(gateway: &TestGateway) -> u64 {
    let valves = gateway.management().get("stamp", "valves").await;
    valves.expect(200).json()["number"].as_u64().unwrap()
}

/// It answers, with its function, and takes changes.
async fn serves(gateway: &TestGateway, number: u64) {
    set_number(gateway, number).await.expect(200);
    let answer = gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    assert_eq!(
        answer.content(),
        format!("fine outlet=0:{number} 0:{number}")
    );
}

async fn open_stream(gateway: &TestGateway, text: &str) -> Events {
    let mut stream = gateway.user().stream(&streamed_chat("echo", text)).await;
    assert_eq!(stream.status, 200);
    let first = stream.next().await.expect("the first event");
    assert!(first.contains("before"), "{first}");
    stream
}

/// Reads to the end, which must be a good one.
async fn finish(mut stream: Events) {
    let rest = stream.rest().await;
    assert_eq!(rest.last().map(String::as_str), Some("[DONE]"), "{rest:?}");
    assert!(!stream.is_broken);
}

fn signal(process: Process, signal: Signal) {
    let id = Pid::from_raw(i32::try_from(process.0).unwrap()).unwrap();
    kill_process(id, signal).unwrap();
}

/// Asks on a new connection again and again: how often. Whatever is no good answer fails.
async fn call_on(client: Client, is_over: Arc<AtomicBool>) -> usize {
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        let answer = client.chat(&chat("echo", "hi")).await.expect(200);
        assert!(answer.is_whole);
        assert!(answer.content().starts_with("fine outlet="));
        count += 1;
    }
    count
}

/// Sets valves again and again, one number after the other, and keeps the last that was acknowledged: it must be there
/// at once, whichever process is asked.
async fn change_on(
    client: Client,
    acknowledged: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
) -> usize {
    let path = "/api/v1/functions/id/stamp/valves/update";
    let (mut number, mut refused) = (0, 0);
    while !is_over.load(Ordering::Relaxed) {
        number += 1;
        let answer = client.post(path, &json!({"number": number})).await;
        if answer.status == 503 {
            assert_eq!(answer.header("retry-after"), "1", "{}", answer.text());
            refused += 1;
            continue;
        }
        answer.expect(200);
        acknowledged.store(number, Ordering::Relaxed);
        let found = client.get("/api/v1/functions/id/stamp/valves").await;
        assert_eq!(found.expect(200).json()["number"], number);
    }
    refused
}

#[tokio::test]
async fn r04_upgrades_under_load_refuse_nobody_cut_nothing_and_lose_no_change() {
    let (long, short) = (Gate::new(), Gate::new());
    let upstream = model_server(&long, &short).await;
    let mut gateway = stamped(&upstream).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(call_on(gateway.user(), Arc::clone(&is_over)));
    }
    let (last, over) = (Arc::clone(&acknowledged), Arc::clone(&is_over));
    let changer = tokio::spawn(change_on(gateway.admin(), last, over));
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(open_stream(&gateway, "long").await);
    }
    let first = upgrade_often(&mut gateway, &short, &acknowledged).await;
    is_over.store(true, Ordering::Relaxed);
    let calls: usize = callers.join_all().await.into_iter().sum();
    let refused = changer.await.unwrap();
    let changes = acknowledged.load(Ordering::Relaxed);
    assert_eq!(number_of(&gateway).await, changes);
    streams.iter().for_each(|_| long.open());
    for stream in streams {
        finish(stream).await;
    }
    let mut first = first.expect("there was an upgrade");
    assert_eq!(first.ended().await.code(), Some(0));
    say(&format!(
        "faults: r04: {calls} calls, {changes} changes ({refused} told to try again), {STREAMS} streams"
    ));
}

/// The upgrades, each with a stream across it and a look at what was changed before: the first gateway of all.
async fn upgrade_often(
    gateway: &mut TestGateway,
    short: &Gate,
    acknowledged: &AtomicU64,
) -> Option<TestGateway> {
    let count = std::env::var(VARIABLE).ok();
    let count = count.and_then(|text| text.parse().ok()).unwrap_or(USUAL);
    let mut first = None;
    for round in 0..count {
        let stream = open_stream(gateway, "short").await;
        if round % 4 == 0 {
            // Code, while everything else goes on.
            let code = source_with("stamp", &[("CODE", &round.to_string())]);
            let updated = gateway.management().update("stamp", &code).await;
            assert!([200, 503].contains(&updated.status), "{}", updated.text());
        }
        let known = acknowledged.load(Ordering::Relaxed);
        let mut before = std::mem::replace(gateway, gateway.upgrade().await);
        let found = number_of(gateway).await;
        assert!(found >= known, "{known} was acknowledged, {found} is there");
        short.open();
        finish(stream).await;
        if first.is_none() {
            first = Some(before);
        } else {
            assert_eq!(before.ended().await.code(), Some(0));
        }
    }
    first
}

#[tokio::test]
async fn r04_who_is_connected_gets_to_ask_the_process_that_was_there() {
    let upstream = FakeUpstream::echo().await;
    let mut gateway = stamped(&upstream).await;
    let mut fresh = Vec::new();
    for _ in 0..16 {
        fresh.push(Raw::connect(gateway.address).await);
    }
    // Answered, so those before it have been accepted.
    gateway.stranger().get("/healthz").await.expect(200);
    let successor = gateway.upgrade().await;
    gateway.logged("has taken over").await;
    for mut raw in fresh {
        raw.send(&get_request("/healthz", "")).await;
        let reply = raw.reply().await;
        assert_eq!(reply.status(), 200, "{}", reply.text());
        assert!(
            reply.text().contains("connection: close"),
            "{}",
            reply.text()
        );
    }
    assert_eq!(gateway.ended().await.code(), Some(0));
    successor.stranger().get("/readyz").await.expect(200);
}

#[tokio::test]
async fn r04_another_address_is_bound_anew_and_the_old_one_is_closed() {
    let upstream = FakeUpstream::echo().await;
    let mut gateway = setup(&upstream).start().await;
    let port = free_port();
    let (before, after) = (gateway.address, ([127, 0, 0, 1], port).into());
    let change = |text: String| text.replace(&before.to_string(), &format!("127.0.0.1:{port}"));
    let successor = gateway.successor(change);
    successor.logged("listening").await;
    assert_eq!(gateway.ended().await.code(), Some(0));
    Client::new(after).get("/readyz").await.expect(200);
    tokio::net::TcpStream::connect(before).await.unwrap_err();
}

#[tokio::test]
async fn r04_a_signal_starts_the_new_process() {
    let (long, short) = (Gate::new(), Gate::new());
    let upstream = model_server(&long, &short).await;
    let mut gateway = stamped(&upstream).await;
    let stream = open_stream(&gateway, "long").await;
    gateway.signal(Signal::USR2);
    gateway.logged("has taken over").await;
    let successor = successor_in(&gateway.log());
    gateway.stranger().get("/readyz").await.expect(200);
    serves(&gateway, 7).await;
    // The first signal after it lets requests finish too.
    gateway.terminate();
    gateway.logged("stopping").await;
    long.open();
    finish(stream).await;
    assert_eq!(gateway.ended().await.code(), Some(0));
    serves(&gateway, 8).await;
    signal(successor, Signal::TERM);
    let gone = async || (!successor.is_running()).then_some(());
    eventually(PATIENCE, "the end of the successor", gone).await;
}

/// The process that the log names as the successor.
fn successor_in(log: &str) -> Process {
    let (_, after) = log.split_once("successor=").expect("a successor is named");
    let digits = |text: &str| {
        text.chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
    };
    let word = after.split_whitespace().next().unwrap();
    Process(digits(word).parse().unwrap())
}

#[tokio::test]
async fn r04_a_signal_that_starts_nothing_good_changes_nothing() {
    let upstream = model_server(&Gate::new(), &Gate::new()).await;
    let gateway = stamped(&upstream).await;
    std::fs::write(gateway.configuration(), "no_such_setting = 1").unwrap();
    gateway.signal(Signal::USR2);
    gateway.logged("the new process ended").await;
    assert!(gateway.log().contains("no_such_setting"));
    serves(&gateway, 1).await;
}
