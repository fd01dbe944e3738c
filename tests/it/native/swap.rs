//! Valves that change while streams run: each request keeps those with which it began.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;
use tokio::task::JoinSet;

use super::{native, setup};
use crate::support::{Client, FakeUpstream, Step, streamed, streamed_chat};

/// How many times the valves are changed.
const CHANGES: usize = 60;
/// How many clients ask meanwhile.
const CLIENTS: usize = 6;

/// Asks until told to stop; how often it was answered.
async fn ask(client: Client, is_over: Arc<AtomicBool>, answered: Arc<AtomicUsize>) {
    let body = streamed_chat("echo", "ann@example.com");
    while !is_over.load(Ordering::Relaxed) {
        let text = client.chat(&body).await.expect(200).streamed_content();
        let marks: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(marks.len(), 4, "{text}");
        assert!(
            marks.iter().all(|mark| *mark == marks[0]),
            "two versions in one request: {text}"
        );
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn no_request_sees_two_versions_of_valves_and_none_fails() {
    let upstream = FakeUpstream::start(|request| {
        let asked = request.last_text();
        let piece = |text: &str| crate::support::events_of(&[text]).remove(0);
        let mut events = vec![piece(&format!("{asked} "))];
        events.extend((0..3).map(|_| piece("bob@example.com ")));
        events.extend(crate::support::events_of(&[]));
        let mut script = streamed(events);
        // Others get their turn, and may change the valves.
        script.insert(3, Step::Pause(std::time::Duration::from_millis(2)));
        script
    });
    let upstream = upstream.await;
    let gateway = setup(&upstream).start().await;
    let management = gateway.management();
    management.install_filter("pii", &native("redact")).await;
    management
        .set_valves("pii", &json!({"replacement": "v0"}))
        .await
        .expect(200);
    let (is_over, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(ask(
            gateway.user(),
            Arc::clone(&is_over),
            Arc::clone(&answered),
        ));
    }
    for number in 1..=CHANGES {
        let valves = json!({"replacement": format!("v{number}"), "priority": number});
        management.set_valves("pii", &valves).await.expect(200);
    }
    is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    assert!(answered.load(Ordering::Relaxed) >= CLIENTS);
    assert!(gateway.process().descendants().is_empty(), "no zygote");
}
