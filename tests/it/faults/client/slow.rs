//! Clients that are slow, or too many.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::PATIENCE;
use crate::faults::rig::{Raw, Rig, authorized, chat_request, exchange, get_request};
use crate::support::{
    Step, answer_of, chat, event, eventually, head_of_stream, say, streamed_chat, usual_or_long,
};

/// How many read nothing, in a usual run and in a long one.
const SLOW_READERS: [usize; 2] = [100, 1000];
/// How many send slowly.
const SLOW_SENDERS: [usize; 2] = [100, 5000];
/// How many connections are allowed, and idle. The catalogue asks for 20,000, which is as many descriptors as machines of
/// tests have for the tests themselves and all else.
const IDLE: [usize; 2] = [200, 15_000];
/// What each may cost beside what the system buffers.
const COST_KIB: u64 = 128;
const PACE: Duration = Duration::from_millis(20);

#[tokio::test]
async fn c01_clients_that_read_nothing_stop_the_model_server_and_are_given_up() {
    let mut rig = Rig::configured("[limits]\nwrite_seconds = 3", |_| {
        let piece = format!("data: {{\"x\":\"{}\"}}\n\n", "x".repeat(8000));
        let Step::Send(bytes) = event(piece) else {
            unreachable!("events are sent")
        };
        vec![head_of_stream(), Step::Flood(bytes)]
    })
    .await;
    let idle = rig.upstream.open_connection_count();
    let count = usual_or_long(SLOW_READERS[0], SLOW_READERS[1]);
    let mut readers = Vec::new();
    for _ in 0..count {
        let mut raw = Raw::connect_narrow(rig.gateway.address).await;
        raw.send(chat_request("", &streamed_chat("echo", "hi")))
            .await;
        readers.push(raw);
        rig.upstream.request().await;
    }
    rig.held_up().await;
    let growth = rig.growth_kib();
    assert!(growth < count as u64 * COST_KIB + 8 * 1024, "{growth} KiB");
    say(&format!(
        "faults: c01: {growth} KiB for {count} slow readers"
    ));
    eventually(PATIENCE, "all slow readers to be given up", async || {
        (rig.upstream.open_connection_count() <= idle).then_some(())
    })
    .await;
    drop(readers);
    rig.ends_unharmed_within("c01", 32 * 1024).await;
}

#[tokio::test]
async fn c06_slow_heads_and_bodies_are_answered_408_and_closed() {
    let rig = Rig::configured("[limits]\nhead_seconds = 1\nbody_seconds = 1", |_| {
        answer_of("fine")
    })
    .await;
    let request = chat_request("", &chat("echo", "hi"));
    let mut slow = JoinSet::new();
    for number in 0..usual_or_long(SLOW_SENDERS[0], SLOW_SENDERS[1]) {
        let (address, request) = (rig.gateway.address, request.clone());
        slow.spawn(async move {
            let mut raw = Raw::connect(address).await;
            if number % 2 == 0 {
                raw.send(&request[..30]).await;
            } else {
                raw.send(&request[..request.len() - 3]).await;
            }
            raw.reply().await
        });
    }
    for reply in slow.join_all().await {
        assert_eq!(
            (reply.status(), reply.code()),
            (408, "request_timeout".to_owned()),
            "{}",
            reply.text()
        );
        assert!(reply.is_whole());
    }
    // A head that trickles gains no time; a body that does, does.
    let mut trickling = Raw::connect(rig.gateway.address).await;
    trickling.trickle(&request[..100], PACE).await;
    assert_eq!(trickling.reply().await.status(), 408);
    assert_eq!(rig.upstream.request_count(), 0);
    let mut raw = Raw::connect(rig.gateway.address).await;
    let closing =
        String::from_utf8(chat_request("Connection: close\r\n", &chat("echo", "hi"))).unwrap();
    let (head, body) = closing.split_once("\r\n\r\n").unwrap();
    raw.send(format!("{head}\r\n\r\n")).await;
    raw.trickle(body.as_bytes(), PACE).await;
    assert_eq!(raw.reply().await.status(), 200);
    rig.ends_unharmed("c06").await;
}

#[tokio::test]
async fn c06_connections_are_counted_by_address() {
    let rig = Rig::configured("[limits]\nconnections_per_address = 100", |_| {
        answer_of("fine")
    })
    .await;
    // 64 neighbours and a caller come from 127.0.0.1.
    let mut held = Vec::new();
    let refused = loop {
        let mut raw = Raw::connect(rig.gateway.address).await;
        raw.send(get_request("/healthz", "").replace("close", "keep-alive"))
            .await;
        let said = raw.read_until("\r\n\r\n").await;
        if said.starts_with("HTTP/1.1 503") {
            break said;
        }
        held.push(raw);
        assert!(held.len() <= 100, "nobody was refused");
    };
    assert!(refused.to_lowercase().contains("retry-after"), "{refused}");
    assert!(held.len() >= 30, "{} were served first", held.len());
    // Others are not concerned.
    let other = Raw::connect_from("127.0.0.2", rig.gateway.address).await;
    assert_eq!(other.asks(&get_request("/healthz", "")).await.status(), 200);
    drop(held);
    eventually(PATIENCE, "room for more", async || {
        let reply = exchange(rig.gateway.address, get_request("/healthz", "")).await;
        (reply.status() == 200).then_some(())
    })
    .await;
    // The neighbours' caller may have been refused meanwhile, so only what is left is looked at.
    rig.leaves_nothing("c06 address").await;
}

#[tokio::test]
async fn c15_idle_connections_above_the_cap_are_refused_and_those_below_stay() {
    let allowed = usual_or_long(IDLE[0], IDLE[1]);
    let limit = format!("[limits]\nconnections = {allowed}");
    let mut rig = Rig::configured(&limit, |_| answer_of("fine")).await;
    // Whoever asks anew is refused at the cap, by rights.
    rig.stop_calling().await;
    let mut idle = Vec::new();
    let mut refused = 0;
    for _ in 0..allowed + 50 {
        let mut raw = Raw::connect(rig.gateway.address).await;
        raw.send(format!("GET /healthz HTTP/1.1\r\n{}\r\n", authorized()))
            .await;
        let said = raw.read_until("\r\n\r\n").await;
        match said.starts_with("HTTP/1.1 503") {
            true => refused += 1,
            false => idle.push(raw),
        }
    }
    assert!(refused >= 100, "{refused} were refused");
    // Those that were let in are served as before.
    for raw in &mut idle {
        raw.send(format!("GET /healthz HTTP/1.1\r\n{}\r\n", authorized()))
            .await;
        raw.read_until("true").await;
    }
    drop(idle);
    eventually(PATIENCE, "room for more", async || {
        let reply = exchange(rig.gateway.address, get_request("/healthz", "")).await;
        (reply.status() == 200).then_some(())
    })
    .await;
    rig.leaves_nothing("c15").await;
}
