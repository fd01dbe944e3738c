//! R: what happens to the process itself.

use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::PATIENCE;
use crate::faults::rig::{Raw, Rig, authorized, get_request};
use crate::support::{
    Door, FakeUpstream, Gate, Process, Step, TestGateway, answer_of, chat, event, events_of,
    eventually, head_of_stream, say, source, source_with, streamed_chat, tail_of_stream,
    usual_or_long,
};

/// How many streams are open at a signal, in a usual run and in a long one.
const STREAMS: [usize; 2] = [200, 1000];
/// How often a gateway is killed.
const KILLS: [usize; 2] = [5, 100];

/// One that has ended meanwhile gets no signal.
fn send(process: Process, signal: Signal) {
    let id = Pid::from_raw(i32::try_from(process.0).unwrap()).unwrap();
    if let Err(error) = kill_process(id, signal) {
        assert!(!process.is_running(), "{error}");
    }
}

/// A server whose streams stand after their first event until the gate opens.
async fn waiting_server(gate: &Gate) -> FakeUpstream {
    let gate = gate.clone();
    FakeUpstream::start(move |_| {
        let mut events = events_of(&["before", "after"]).into_iter().map(event);
        let mut script = vec![head_of_stream()];
        script.extend(events.next());
        script.push(Step::Wait(gate.clone()));
        script.extend(events);
        script.push(tail_of_stream());
        script
    })
    .await
}

#[tokio::test]
async fn r01_open_streams_finish_after_the_signal() {
    let gate = Gate::new();
    let upstream = waiting_server(&gate).await;
    let mut gateway = TestGateway::setup()
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    let mut streams = Vec::new();
    for _ in 0..usual_or_long(STREAMS[0], STREAMS[1]) {
        let mut stream = gateway.user().stream(&streamed_chat("echo", "hi")).await;
        stream.next().await.expect("the first event");
        streams.push(stream);
    }
    gateway.terminate();
    gateway.logged("stopping").await;
    let turned_away = async || {
        TcpStream::connect(gateway.address)
            .await
            .is_err()
            .then_some(())
    };
    eventually(PATIENCE, "the listener to be closed", turned_away).await;
    for _ in 0..usual_or_long(STREAMS[0], STREAMS[1]) {
        gate.open();
    }
    for mut stream in streams {
        let rest = stream.rest().await;
        assert_eq!(rest.last().map(String::as_str), Some("[DONE]"), "{rest:?}");
        assert!(!stream.is_broken);
    }
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn r01_streams_that_outlast_the_limit_get_an_error_event_each() {
    let upstream = waiting_server(&Gate::new()).await;
    let setup = TestGateway::setup().settings("drain_seconds = 0.5");
    let mut gateway = setup.upstream("fake", &upstream.base_url()).start().await;
    let mut streams = Vec::new();
    for _ in 0..usual_or_long(STREAMS[0], STREAMS[1]) {
        let mut stream = gateway.user().stream(&streamed_chat("echo", "hi")).await;
        stream.next().await.expect("the first event");
        streams.push(stream);
    }
    gateway.terminate();
    for mut stream in streams {
        let rest = stream.rest().await;
        assert!(
            rest.len() == 1 && rest[0].contains("shutting_down"),
            "{rest:?}"
        );
        assert!(stream.is_broken);
    }
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn r02_a_second_signal_ends_at_once_whichever_they_are() {
    for (first, second) in [
        (Signal::TERM, Signal::INT),
        (Signal::INT, Signal::TERM),
        (Signal::INT, Signal::INT),
    ] {
        let upstream = waiting_server(&Gate::new()).await;
        let mut gateway = TestGateway::setup()
            .upstream("fake", &upstream.base_url())
            .start()
            .await;
        let mut stream = gateway.user().stream(&streamed_chat("echo", "hi")).await;
        stream.next().await.expect("the first event");
        send(gateway.process(), first);
        gateway.logged("stopping").await;
        let began = Instant::now();
        send(gateway.process(), second);
        assert_eq!(gateway.ended().await.code(), Some(0));
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
    }
}

#[tokio::test]
async fn r02_hangups_reload_and_harm_nobody() {
    let rig = Rig::new(|_| answer_of("fine")).await;
    for _ in 0..20 {
        send(rig.gateway.process(), Signal::HUP);
        rig.chat().await.expect(200);
    }
    rig.ends_unharmed("r02 hangup").await;
}

/// Waits at a door while it is loaded.
const SLOW: &str = r#"
import socket

with socket.create_connection(("127.0.0.1", PORT)) as door:
    door.sendall(b"loading\n")
    door.recv(1)


class Filter:
    def inlet(self, body):
        return body
"#;

#[tokio::test]
async fn r02_a_hangup_while_it_starts_ends_nothing_and_reloads_once_it_can() {
    let door = Door::start().await;
    let code = SLOW.replace("PORT", &door.port.to_string());
    let setup = TestGateway::setup().python().function("slow", &code);
    let gateway = setup.begin();
    let waiting = door.expect("loading").await;
    gateway.signal(Signal::HUP);
    drop(waiting);
    gateway.logged("listening").await;
    gateway.logged(" reloaded ").await;
    gateway.stranger().get("/readyz").await.expect(200);
}

#[tokio::test]
async fn r03_killed_gateways_come_back_with_all_that_was_acknowledged_and_leave_no_python() {
    let upstream = FakeUpstream::echo().await;
    let setup = || {
        TestGateway::setup()
            .python()
            .upstream("fake", &upstream.base_url())
    };
    let mut gateway = setup().start().await;
    gateway
        .management()
        .install_filter("stamp", &source_with("stamp", &[]))
        .await;
    for round in 1..=usual_or_long(KILLS[0], KILLS[1]) {
        gateway
            .management()
            .set_valves("stamp", &json!({"number": round}))
            .await
            .expect(200);
        let workers = gateway.process().descendants();
        assert!(!workers.is_empty());
        send(gateway.process(), Signal::KILL);
        gateway.ended().await;
        let gone = async || {
            workers
                .iter()
                .all(|worker| !worker.is_running())
                .then_some(())
        };
        eventually(PATIENCE, "the end of every worker", gone).await;
        let began = Instant::now();
        gateway = setup().home_of(&gateway).start().await;
        say(&format!(
            "faults: r03: ready {:?} after a kill, one function",
            began.elapsed()
        ));
        let valves = gateway
            .admin()
            .get("/api/v1/functions/id/stamp/valves")
            .await
            .expect(200);
        assert_eq!(valves.json()["number"], round);
        gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    }
}

#[tokio::test]
async fn r05_request_bodies_together_are_bounded_and_health_and_management_answer() {
    let rig = Rig::configured("[limits]\nbodies_mib = 32", |_| answer_of("fine")).await;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\n{}Content-Length: 8000000\r\n\r\n",
        authorized()
    );
    // All but the last bytes, so that it is held; who is refused takes no more.
    let (most, rest) = (vec![b' '; 7_900_000], vec![b' '; 100_000]);
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut raw = Raw::connect(rig.gateway.address).await;
        raw.send(&head).await;
        raw.send(&most).await;
        raw.taken().await;
        held.push(raw);
    }
    for _ in 0..4 {
        let mut raw = Raw::connect(rig.gateway.address).await;
        raw.send(&head).await;
        raw.send(&most).await;
        let said = raw.read_until("overloaded").await;
        assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
        assert!(said.to_lowercase().contains("retry-after"), "{said}");
    }
    assert!(rig.growth_kib() < 64 * 1024, "{} KiB", rig.growth_kib());
    rig.gateway.stranger().get("/healthz").await.expect(200);
    rig.gateway
        .admin()
        .get("/api/v1/functions/list")
        .await
        .expect(200);
    rig.gateway
        .user()
        .chat(&chat("echo", "small"))
        .await
        .expect(200);
    // Those were held all the while: one of them ends as a request that is read, the others are given up.
    let mut one = held.pop().expect("four are held");
    one.send(&rest).await;
    let said = one.read_until("invalid_json").await;
    assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
    held.into_iter().for_each(Raw::reset);
    let long = "x".repeat(7_000_000);
    let room = async || {
        let answer = rig.gateway.user().chat(&chat("echo", &long)).await;
        (answer.status == 200).then_some(())
    };
    eventually(PATIENCE, "room for a long body", room).await;
    rig.ends_unharmed_within("r05", 64 * 1024).await;
}

#[tokio::test]
async fn r06_killed_workers_and_their_parent_are_replaced() {
    let upstream = FakeUpstream::echo().await;
    let setup = TestGateway::setup()
        .python()
        .function("calm", &source("calm"));
    let setup = setup.tables("[function.calm]\nglobal = false\nmodels = [\"echo\"]");
    let rig = Rig::with(setup, upstream).await;
    rig.gateway
        .user()
        .chat(&streamed_chat("echo", "hi"))
        .await
        .expect(200);
    // The parent is the first; the workers that it leaves behind serve on, until they are killed too.
    let processes = rig.gateway.process().descendants();
    // A worker and the one that guards it end together: `isolation` kills those.
    let victims = processes.into_iter().filter(|process| !process.is_guard());
    let victims: Vec<Process> = victims.collect();
    assert!(victims.len() > 1, "functions run in processes");
    for victim in victims {
        send(victim, Signal::KILL);
        let look = async || (!victim.is_running()).then_some(());
        eventually(PATIENCE, "the end of a process", look).await;
        let began = Instant::now();
        let answered = async || {
            let answer = rig.gateway.user().chat(&streamed_chat("echo", "hi")).await;
            assert!(
                matches!(answer.status, 200 | 502 | 503),
                "{}",
                answer.text()
            );
            (answer.status == 200).then_some(())
        };
        eventually(PATIENCE, "an answer after a kill", answered).await;
        say(&format!(
            "faults: r06: answered {:?} after a process was killed",
            began.elapsed()
        ));
    }
    // A worker alone, twice.
    for _ in 0..2 {
        let worker = *rig
            .gateway
            .process()
            .descendants()
            .last()
            .expect("a worker");
        send(worker, Signal::KILL);
        let look = async || (!worker.is_running()).then_some(());
        eventually(PATIENCE, "the end of a process", look).await;
        let answered = async || {
            let answer = rig.gateway.user().chat(&streamed_chat("echo", "hi")).await;
            (answer.status == 200).then_some(())
        };
        eventually(PATIENCE, "an answer after a kill", answered).await;
    }
    rig.ends_unharmed("r06").await;
}

#[tokio::test]
async fn r07_without_descriptors_accepting_waits_and_goes_on() {
    let rig = Rig::new(|_| answer_of("fine")).await;
    let process = rig.gateway.process();
    let id = Pid::from_raw(i32::try_from(process.0).unwrap()).unwrap();
    let usual = getrlimit(Resource::Nofile);
    let limit = process.descriptors() as u64 + 20;
    prlimit(
        Some(id),
        Resource::Nofile,
        Rlimit {
            current: Some(limit),
            maximum: usual.maximum,
        },
    )
    .unwrap();
    let mut held = Vec::new();
    for _ in 0..100 {
        // The system takes the connection; the gateway cannot.
        held.push(Raw::connect(rig.gateway.address).await);
    }
    rig.gateway.logged("Accepting connections paused").await;
    let before = process.cpu_ticks();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ticks = process.cpu_ticks() - before;
    assert!(
        ticks < 60,
        "{ticks} hundredths of a second of work in one second of waiting"
    );
    drop(held);
    let served = async || {
        let raw = Raw::connect(rig.gateway.address).await;
        (raw.asks(&get_request("/healthz", "")).await.status() == 200).then_some(())
    };
    eventually(PATIENCE, "a connection", served).await;
    prlimit(Some(id), Resource::Nofile, usual).unwrap();
    let answer = rig.chat().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // The callers among the neighbours waited for descriptors too.
    rig.leaves_nothing("r07").await;
}

#[test]
fn r08_a_panic_ends_a_request_and_not_the_process() {
    // `server::listen::tests::a_panic_is_answered_500_and_the_connection_goes_on` shows it; it holds only as long as
    // panics unwind.
    let manifest =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    assert!(
        !manifest.contains("panic ="),
        "panics must unwind in every profile"
    );
}

#[tokio::test]
async fn s07_requests_go_on_while_nobody_reads_the_log() {
    let upstream = FakeUpstream::echo().await;
    let setup = TestGateway::setup().tables("[log]\nlevel = \"debug\"");
    let rig = Rig::with(setup, upstream).await;
    let reading = rig.gateway.stop_reading();
    // Each leaves lines of a kilobyte and more; a pipe holds 64 of them.
    let path = format!("/v1/{}", "x".repeat(2000));
    for _ in 0..5000 / 20 {
        for _ in 0..20 {
            rig.gateway.user().get(&path).await.expect(404);
        }
    }
    rig.chat().await.expect(200);
    drop(reading);
    rig.gateway.logged("lines of the log were dropped").await;
    rig.chat().await.expect(200);
    let mut gateway = rig.ends_unharmed_within("s07", 16 * 1024).await;
    gateway.terminate();
    assert_eq!(gateway.ended().await.code(), Some(0));
}
