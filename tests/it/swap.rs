//! Code and valves change while requests and streams run: none fails, none sees two versions, nothing is left over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{
    Client, FakeUpstream, Process, Recorded, Script, Step, TestGateway, answer_of, chat, event,
    eventually, head_of_stream, say, source_with, streamed_chat, tail_of_stream,
};

/// How many times code and valves are changed.
const SWAPS: usize = 500;
/// How many clients call meanwhile; every second one streams.
const CLIENTS: usize = 16;
/// How much more memory than before the gateway may hold: what its allocator keeps, not what 500 versions would take.
const SLACK_KIB: u64 = 12 * 1024;
/// How long old versions may take to go.
const SETTLED_WITHIN: Duration = Duration::from_secs(40);

/// What a gateway has of the things that leak.
#[derive(Clone, Copy, Debug)]
struct Holdings {
    processes: usize,
    descriptors: usize,
    rss_kib: u64,
}

impl Holdings {
    fn of(gateway: Process, upstream: &FakeUpstream) -> Self {
        Self {
            processes: gateway.descendants().len(),
            // Connections to the model server are kept for the next requests, and as many as ran at once.
            descriptors: gateway
                .descriptors()
                .saturating_sub(upstream.open_connection_count()),
            rss_kib: gateway.rss_kib(),
        }
    }

    /// What it has once that is near what it had, or when it has had time enough to come back to it.
    async fn once_near(gateway: Process, upstream: &FakeUpstream, before: Self) -> Self {
        let mut last = before;
        let look = async || {
            last = Self::of(gateway, upstream);
            last.is_near(before).then_some(())
        };
        // Whether it came is for the caller to judge, who has both in hand.
        let _ = timeout(
            SETTLED_WITHIN,
            eventually(2 * SETTLED_WITHIN, "an end", look),
        )
        .await;
        last
    }

    fn is_near(self, before: Self) -> bool {
        self.processes == before.processes
            && self.descriptors <= before.descriptors + 4
            && self.rss_kib <= before.rss_kib + SLACK_KIB
    }
}

/// The stamp that inlet left in the request, repeated by the model server.
fn repeat_stamp(request: &Recorded) -> Script {
    let seen = request.json()["stamp"]
        .as_str()
        .unwrap_or("none")
        .to_owned();
    if !request.is_streamed() {
        return answer_of(&seen);
    }
    let mut script = vec![head_of_stream()];
    for turn in 0..6 {
        let finish = if turn == 5 {
            json!("stop")
        } else {
            Value::Null
        };
        let choice = json!({"index": 0, "delta": {"content": "x"}, "finish_reason": finish});
        let chunk = json!({"object": "chat.completion.chunk", "seen": seen, "choices": [choice]});
        script.push(event(format!("data: {chunk}\n\n")));
        script.push(Step::Pause(Duration::from_millis(5)));
    }
    script.push(event("data: [DONE]\n\n"));
    script.push(tail_of_stream());
    script
}

/// One request; which version it saw, everywhere.
async fn ask(client: &Client, is_streamed: bool) -> String {
    if is_streamed {
        let answer = client.chat(&streamed_chat("echo", "hi")).await.expect(200);
        return version_of_stream(answer.events());
    }
    let answer = client.chat(&chat("echo", "hi")).await.expect(200);
    let content = answer.content();
    let (inlet, outlet) = content
        .split_once(" outlet=")
        .expect("outlet has left its stamp");
    assert_eq!(inlet, outlet, "inlet and outlet are of one version");
    single(inlet)
}

fn version_of_stream(mut events: Vec<String>) -> String {
    assert_eq!(events.pop().as_deref(), Some("[DONE]"), "{events:?}");
    assert_eq!(events.len(), 6, "{events:?}");
    let mut stamps: Vec<String> = Vec::new();
    for event in &events {
        let event: Value = serde_json::from_str(event).unwrap();
        stamps.extend(["seen", "stamp"].map(|key| {
            event[key]
                .as_str()
                .expect("every event is stamped")
                .to_owned()
        }));
    }
    assert!(stamps.iter().all(|stamp| *stamp == stamps[0]), "{stamps:?}");
    single(&stamps[0])
}

/// A stamp is taken twice, with other calls in between.
fn single(stamp: &str) -> String {
    let (before, after) = stamp.split_once(' ').expect("a stamp is taken twice");
    assert_eq!(before, after, "valves do not change within a call");
    before.to_owned()
}

/// Calls until told to end; how many requests it were.
async fn call_on(
    client: Client,
    is_streamed: bool,
    done: Arc<AtomicBool>,
    versions: Arc<AtomicUsize>,
) -> usize {
    let (mut count, mut last) = (0, String::new());
    while !done.load(Ordering::Relaxed) {
        let version = ask(&client, is_streamed).await;
        if version != last {
            versions.fetch_add(1, Ordering::Relaxed);
        }
        last = version;
        count += 1;
    }
    count
}

#[tokio::test]
async fn no_request_fails_or_sees_two_versions_while_code_and_valves_change() {
    let upstream = FakeUpstream::start(repeat_stamp).await;
    let gateway = TestGateway::setup()
        .python()
        .settings("threads = 2")
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    let management = gateway.management();
    management
        .install_filter("stamp", &source_with("stamp", &[]))
        .await;
    for turn in 0..2 * CLIENTS {
        ask(&gateway.user(), turn % 2 == 0).await;
    }
    let process = gateway.process();
    let before = Holdings::of(process, &upstream);

    let (done, versions) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut callers = JoinSet::new();
    for number in 0..CLIENTS {
        let (done, versions) = (Arc::clone(&done), Arc::clone(&versions));
        callers.spawn(call_on(gateway.user(), number % 2 == 0, done, versions));
    }
    for number in 1..=SWAPS {
        let text = number.to_string();
        management
            .update("stamp", &source_with("stamp", &[("CODE", &text)]))
            .await
            .expect(200);
        management
            .set_valves("stamp", &json!({"number": number}))
            .await
            .expect(200);
    }
    done.store(true, Ordering::Relaxed);
    let count: usize = callers.join_all().await.into_iter().sum();
    let versions = versions.load(Ordering::Relaxed);
    say(&format!(
        "hot swap: {SWAPS} of code and valves each, {count} requests, {versions} changes of version seen"
    ));
    assert!(versions > CLIENTS, "the changes reached requests");
    assert_eq!(ask(&gateway.user(), true).await, format!("{SWAPS}:{SWAPS}"));

    let after = Holdings::once_near(process, &upstream, before).await;
    say(&format!("hot swap: {before:?} before, {after:?} after"));
    assert!(after.is_near(before), "{before:?} before, {after:?} after");
}

#[tokio::test]
async fn a_stream_ends_in_the_version_in_which_it_began_even_if_its_function_is_deleted() {
    let gate = crate::support::Gate::new();
    let held = gate.clone();
    let mut upstream = FakeUpstream::start(move |request| {
        let mut script = repeat_stamp(request);
        script.insert(3, Step::Wait(held.clone()));
        script
    })
    .await;
    let gateway = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    let management = gateway.management();
    management
        .install_filter("stamp", &source_with("stamp", &[("CODE", "7")]))
        .await;
    let mut stream = gateway.user().stream(&streamed_chat("echo", "hi")).await;
    upstream.request().await;
    let mut events = vec![stream.next().await.expect("the first event has come")];
    management
        .update("stamp", &source_with("stamp", &[("CODE", "8")]))
        .await
        .expect(200);
    management.delete("stamp").await.expect(200);
    gate.open();
    events.extend(stream.rest().await);
    assert_eq!(version_of_stream(events), "7:0");
}

/// How many versions there are before one goes back.
const UPLOADS: usize = 12;

#[tokio::test]
async fn g07_one_call_goes_back_one_version_or_ten_with_its_valves_and_no_request_fails() {
    let upstream = FakeUpstream::start(repeat_stamp).await;
    let setup = TestGateway::setup().python();
    let gateway = setup.upstream("fake", &upstream.base_url()).start().await;
    let management = gateway.management();
    let code = |number: usize| source_with("stamp", &[("CODE", &number.to_string())]);
    management.install_filter("stamp", &code(1)).await;
    for number in 1..=UPLOADS {
        if number > 1 {
            management.update("stamp", &code(number)).await.expect(200);
        }
        let valves = json!({"number": number});
        management.set_valves("stamp", &valves).await.expect(200);
    }
    let history = management.get("stamp", "history").await.expect(200).json();
    let done = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let versions = Arc::new(AtomicUsize::new(0));
        let (user, done) = (gateway.user(), Arc::clone(&done));
        clients.spawn(call_on(user, client % 2 == 0, done, versions));
    }
    for back in [1, 10] {
        let version = json!({"version_id": history[back]["id"]});
        let began = tokio::time::Instant::now();
        let restored = management.post("stamp", "update/version", &version).await;
        let took = began.elapsed();
        restored.expect(200);
        // The answer leaves once it serves.
        let seen = ask(&gateway.user(), false).await;
        let number = UPLOADS - back;
        assert_eq!(seen, format!("{number}:{number}"));
        say(&format!(
            "swap: g07: {back} versions back under load in {took:?}"
        ));
    }
    done.store(true, Ordering::Relaxed);
    let counts = clients.join_all().await;
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}
