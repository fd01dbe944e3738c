//! R05: what the gateway does when its memory runs short.

use std::time::Duration;

use crate::PATIENCE;
use crate::faults::rig::http2::{HEADERS, Http2, WINDOW_UPDATE, frame, post};
use crate::faults::rig::{Raw, Rig, SLACK_KIB, authorized, chat_request, get_request};
use crate::support::{
    Gate, Step, answer_of, chat, event, eventually, head_of_stream, say, streamed_chat,
};

/// What the gateway may have for itself.
const MEMORY_MIB: u64 = 32;
/// How far a flood may pass that until the slowest are let go.
const OVER_MIB: u64 = 8;
/// How many events the streams beside a flood may be behind: two seconds' worth, for a busy machine.
const BEHIND: usize = 20;
/// How many read nothing of fast streams. Waiting, they fit in; what is read ahead for all of them does not.
const SLOW_READERS: usize = 250;
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
    let number = line.unwrap_or_else(|| panic!("no {name} in {metrics}"));
    number.trim().parse().unwrap()
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
    let room = async || {
        let answer = rig.gateway.user().chat(&chat("echo", "small")).await;
        (answer.status == 200).then_some(())
    };
    eventually(PATIENCE, "room for a chat", room).await;
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
