//! R05: what the gateway does when its memory runs short.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::PATIENCE;
use crate::faults::rig::http2::{HEADERS, Http2, WINDOW_UPDATE, frame, post};
use crate::faults::rig::{Raw, Rig, SLACK_KIB, authorized, chat_request, get_request};
use crate::support::{
    FakeUpstream, Gate, Step, TestGateway, answer_of, event, events_of, eventually, head_of_stream,
    say, streamed_chat, tail_of_stream,
};

/// What the gateway may have for itself.
const MEMORY_MIB: u64 = 32;
/// How far a flood may pass that until the slowest are let go.
const OVER_MIB: u64 = 8;
/// How many events the streams beside a flood may be behind: two seconds' worth, for a busy machine.
const BEHIND: usize = 20;
/// How many read nothing of fast streams. Waiting, they fit in; what is read ahead for all of them does not.
const SLOW_READERS: usize = 250;
/// How many read nothing of streams that were held back, how many are held back at once, and how long those are. In the
/// sockets is room for a sixth; while filters look at one it takes several times its length.
const HOLDING_READERS: usize = 60;
const OUTLETS: &str =
    "sluicegate_function_calls_total{function=\"holding\",hook=\"outlet\",outcome=\"passed\"}";
const HELD_TOGETHER: usize = 24;
const HELD_EVENTS: usize = 12;
const HELD_EVENT_BYTES: usize = 64 << 10;
/// How many of them are on one connection of HTTP/2.
const STREAMS: usize = 10;
const CHAT: &str = "/v1/chat/completions";
/// The setting of the window of new streams.
const INITIAL_WINDOW_SIZE: u16 = 4;
/// How many send long bodies, of which two would be too much.
const LONG_BODIES: usize = 24;
const BODY_BYTES: usize = 16_000_000;
/// How many connections are open at once and then gone: what they took is several times what may be left.
const CONNECTIONS: usize = 3_000;
const LOOK: Duration = Duration::from_millis(10);

/// A number of the metrics.
async fn metric(rig: &Rig, name: &str) -> u64 {
    let metrics = rig.gateway.admin().get("/metrics").await.expect(200).text();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |number| number.trim().parse().unwrap())
}

/// Streams that stand after their first event until the gate opens, and then never end. Other chats are answered.
async fn rig(gate: &Gate) -> Rig {
    let gate = gate.clone();
    Rig::configured(
        &format!("[limits]\nmemory_mib = {MEMORY_MIB}"),
        move |request| {
            if !request.is_streamed() {
                return answer_of("fine");
            }
            let event = event(format!("data: {{\"x\":\"{}\"}}\n\n", "x".repeat(8000)));
            let Step::Send(bytes) = event.clone() else {
                unreachable!("events are sent")
            };
            let wait = Step::Wait(gate.clone());
            vec![head_of_stream(), event, wait, Step::Flood(bytes)]
        },
    )
    .await
}

async fn slow_readers(rig: &mut Rig) -> Vec<Raw> {
    let mut readers = Vec::new();
    for _ in 0..SLOW_READERS {
        let mut raw = Raw::connect_narrow(rig.gateway.address).await;
        raw.send(chat_request("", &streamed_chat("echo", "hi")))
            .await;
        raw.read_until("200 OK").await;
        readers.push(raw);
    }
    readers
}

#[tokio::test]
async fn r05_slow_readers_are_let_go_before_memory_runs_out_and_nobody_else_is() {
    let gate = Gate::new();
    let mut rig = rig(&gate).await;
    let lookout = rig.lookout();
    let readers = slow_readers(&mut rig).await;
    let waiting_mib = lookout.most_mib();
    assert_eq!(metric(&rig, "sluicegate_memory_level").await, 0);
    // Who calls now may be refused; who streams goes on.
    rig.stop_calling().await;
    (0..SLOW_READERS).for_each(|_| gate.open());
    rig.gateway.logged("new chats are refused").await;
    rig.gateway.logged("slow readers were let go").await;
    let gone = metric(&rig, "sluicegate_readers_let_go_total").await;
    let (mib, behind) = (lookout.most_mib(), lookout.most_behind());
    let asked = lookout.end().await;
    say(&format!(
        "faults: r05: {gone} of {SLOW_READERS} were let go, {waiting_mib} MiB before and {mib} of {MEMORY_MIB} at most, \
         {behind} events behind, {asked} questions answered"
    ));
    assert!(mib <= MEMORY_MIB + OVER_MIB, "{mib} MiB");
    assert!(behind <= BEHIND, "{behind} events behind");
    assert!(gone < SLOW_READERS as u64, "those that need not go stay");
    readers.into_iter().for_each(Raw::reset);
    rig.gateway.logged("memory is ample again").await;
    rig.chat().await.expect(200);
    rig.ends_unharmed_within("r05", 32 * 1024).await;
}

/// Streams of HTTP/2 that have had their first event and may send nothing of it.
async fn http2_streams(rig: &Rig) -> Vec<Http2> {
    let body = streamed_chat("echo", "hi").to_string();
    let mut clients = Vec::new();
    for _ in 0..SLOW_READERS / STREAMS {
        let mut client = Http2::connect(rig.gateway.address, &[(INITIAL_WINDOW_SIZE, 0)]).await;
        for number in 0..STREAMS as u32 {
            client
                .send(post(2 * number + 1, CHAT, body.as_bytes()))
                .await;
            let head = client.until(HEADERS).await.expect("an answer");
            assert_eq!(head.status(), 200);
        }
        clients.push(client);
    }
    clients
}

#[tokio::test]
async fn r05_streams_of_http2_without_a_window_wait_and_cost_next_to_nothing() {
    let gate = Gate::new();
    let rig = rig(&gate).await;
    let lookout = rig.lookout();
    let mut clients = http2_streams(&rig).await;
    let waiting_mib = lookout.most_mib();
    (0..SLOW_READERS).for_each(|_| gate.open());
    rig.held_up().await;
    let (mib, behind) = (lookout.most_mib(), lookout.most_behind());
    lookout.end().await;
    say(&format!(
        "faults: r05: {waiting_mib} MiB with {SLOW_READERS} waiting streams of HTTP/2, {mib} without a window, \
         {behind} events behind"
    ));
    assert!(mib <= waiting_mib + OVER_MIB, "{mib} MiB");
    assert!(behind <= BEHIND, "{behind} events behind");
    assert_eq!(metric(&rig, "sluicegate_readers_let_go_total").await, 0);
    // Who makes room gets what has waited.
    let room = frame(WINDOW_UPDATE, 0, 1, &4096_u32.to_be_bytes());
    for client in &mut clients {
        client.send(&room).await;
        assert!(client.until_data_of(1).await.starts_with(b"data: "));
    }
    drop(clients);
    rig.ends_unharmed_within("r05 http2", 32 * 1024).await;
}

/// A gateway that holds streams back for an outlet. They wait at the gate, then come at once.
async fn holding_rig(gate: &Gate) -> Rig {
    let outlet = "class Filter:\n    def outlet(self, body):\n        return body\n";
    let setup = TestGateway::setup().python().function("holding", outlet);
    let setup = setup.tables(&format!(
        "[limits]\nmemory_mib = {MEMORY_MIB}\n\n[function.holding]\nglobal = false\nmodels = [\"echo\"]\n\
         stream_outlet = \"hold\"\n"
    ));
    let gate = gate.clone();
    let upstream = FakeUpstream::start(move |request| {
        if !request.is_streamed() {
            return answer_of("fine");
        }
        let text = "x".repeat(HELD_EVENT_BYTES);
        let events = events_of(&[text.as_str(); HELD_EVENTS]);
        let mut script = vec![head_of_stream(), Step::Wait(gate.clone())];
        script.extend(events.into_iter().map(event));
        script.push(tail_of_stream());
        script
    });
    Rig::with(setup, upstream.await).await
}

#[tokio::test]
async fn r05_slow_readers_of_streams_that_were_held_back_are_let_go() {
    let gate = Gate::new();
    let mut rig = holding_rig(&gate).await;
    let lookout = rig.lookout();
    let mut readers = Vec::new();
    for _ in 0..HOLDING_READERS {
        let mut raw = Raw::connect_narrow(rig.gateway.address).await;
        raw.send(chat_request("", &streamed_chat("echo", "hi")))
            .await;
        readers.push(raw);
    }
    // Who calls now may be refused; who streams goes on.
    rig.stop_calling().await;
    let (mut sent, mut gone) = (0, 0);
    // One after the other: what is held back for all of them together is another matter.
    while gone == 0 && sent < HOLDING_READERS as u64 {
        gate.open();
        sent += 1;
        let passed = async || {
            gone = metric(&rig, "sluicegate_readers_let_go_total").await;
            (gone > 0 || metric(&rig, OUTLETS).await >= sent).then_some(())
        };
        eventually(PATIENCE, "a stream that was held back", passed).await;
    }
    let (mib, behind) = (lookout.most_mib(), lookout.most_behind());
    lookout.end().await;
    say(&format!(
        "faults: r05: {gone} of {sent} readers of held streams were let go, {mib} of {MEMORY_MIB} MiB at most, \
         {behind} events behind"
    ));
    assert!(mib <= MEMORY_MIB + OVER_MIB, "{mib} MiB");
    assert!(0 < gone && gone < sent, "those that need not go stay");
    readers.into_iter().for_each(Raw::reset);
    room_for_a_chat(&rig).await;
    rig.leaves_nothing_but_processes("r05 held").await;
}

#[tokio::test]
async fn r05_streams_that_are_held_back_together_are_refused_before_memory_runs_out() {
    let gate = Gate::new();
    let mut rig = holding_rig(&gate).await;
    let lookout = rig.lookout();
    let mut clients = JoinSet::new();
    for _ in 0..HELD_TOGETHER {
        let client = rig.gateway.user();
        clients.spawn(async move { client.chat(&streamed_chat("echo", "hi")).await });
    }
    let asked = async || (rig.upstream.request_count() >= HELD_TOGETHER).then_some(());
    eventually(PATIENCE, "all of them to be asked", asked).await;
    rig.stop_calling().await;
    (0..HELD_TOGETHER).for_each(|_| gate.open());
    let mut refused = 0;
    for answer in clients.join_all().await {
        if answer.status != 200 {
            assert_eq!(answer.status, 503, "{}", answer.text());
            assert_eq!(answer.json()["error"]["code"], "overloaded");
            assert!(!answer.header("retry-after").is_empty());
            refused += 1;
        }
    }
    let (mib, behind) = (lookout.most_mib(), lookout.most_behind());
    lookout.end().await;
    say(&format!(
        "faults: r05: {refused} of {HELD_TOGETHER} held streams were refused, {mib} of {MEMORY_MIB} MiB at most, \
         {behind} events behind"
    ));
    assert!(mib <= MEMORY_MIB + OVER_MIB, "{mib} MiB");
    room_for_a_chat(&rig).await;
    rig.leaves_nothing_but_processes("r05 held").await;
}

async fn room_for_a_chat(rig: &Rig) {
    let room = async || (rig.chat().await.status == 200).then_some(());
    eventually(PATIENCE, "room for a chat", room).await;
}

#[tokio::test]
async fn r05_long_bodies_are_refused_before_memory_runs_out() {
    let rig = rig(&Gate::new()).await;
    let lookout = rig.lookout();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\n{}Content-Length: {BODY_BYTES}\r\n\r\n",
        authorized()
    );
    let mut refused = 0;
    let mut held = Vec::new();
    for _ in 0..LONG_BODIES {
        let mut raw = Raw::connect(rig.gateway.address).await;
        raw.send(&head).await;
        raw.send(vec![b' '; BODY_BYTES - 10]).await;
        match raw.reads_within(LOOK * 10).await {
            Some(mut said) => {
                if !said.contains("overloaded") {
                    said += &raw.read_until("overloaded").await;
                }
                assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
                assert!(said.to_lowercase().contains("retry-after"), "{said}");
                refused += 1;
            }
            None => held.push(raw),
        }
    }
    say(&format!(
        "faults: r05: {refused} of {LONG_BODIES} bodies refused, {} MiB of {MEMORY_MIB} at most",
        lookout.most_mib()
    ));
    assert!(
        lookout.most_mib() < MEMORY_MIB,
        "{} MiB",
        lookout.most_mib()
    );
    lookout.end().await;
    assert!(refused >= LONG_BODIES - 2, "{refused} were refused");
    rig.gateway.stranger().get("/healthz").await.expect(200);
    held.into_iter().for_each(Raw::reset);
    room_for_a_chat(&rig).await;
    rig.ends_unharmed_within("r05 bodies", 32 * 1024).await;
}

#[tokio::test]
async fn r05_memory_goes_back_to_the_system_when_the_load_has_gone() {
    let rig = Rig::configured("", |_| answer_of("fine")).await;
    let request = get_request("/healthz", "").replace("close", "keep-alive");
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut raw = Raw::connect(rig.gateway.address).await;
        raw.send(&request).await;
        raw.read_until("true").await;
        held.push(raw);
    }
    let grown = rig.growth_kib();
    assert!(grown > 2 * SLACK_KIB, "{grown} KiB is too little to tell");
    drop(held);
    rig.ends_unharmed("r05 load").await;
}
