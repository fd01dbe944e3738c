//! Functions that loop, die, hoard or hang hurt their own calls and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::PATIENCE;
use crate::support::{
    Answer, FakeUpstream, Gate, Step, TestGateway, answer_of, chat, event, events_of, eventually,
    head_of_stream, say, source, streamed_chat, tail_of_stream, within,
};

/// What the hostile functions are allowed.
const LIMIT: Duration = Duration::from_secs(1);
/// What the promise adds to it is 250 ms; the rest is for a busy machine, and the figure is printed.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

/// The functions; the hostile one has so much time.
fn tables(limit: Duration) -> String {
    TABLES.replace("SECONDS", &limit.as_secs().to_string())
}

const TABLES: &str = "
[function.hostile]
global = false
models = [\"danger\"]
timeout = SECONDS
memory_mib = 512
[function.stubborn]
global = false
models = [\"danger\"]
timeout = 1
[function.calm]
global = false
models = [\"calm\"]
";

/// A gateway with one bad function and one good one beside it, whose streams never pause.
struct Scene {
    gateway: TestGateway,
    _upstream: FakeUpstream,
    beside: JoinSet<usize>,
    done: Arc<AtomicBool>,
}

impl Scene {
    async fn with(function: &str) -> Self {
        Self::with_limit(function, LIMIT).await
    }

    /// The same, where the bad one has so much time.
    async fn with_limit(function: &str, limit: Duration) -> Self {
        let upstream = FakeUpstream::start(|request| {
            if request.is_streamed() {
                slow_stream()
            } else {
                answer_of("fine")
            }
        })
        .await;
        let setup = TestGateway::setup()
            .python()
            .upstream("fake", &upstream.base_url())
            .tables(&tables(limit));
        let setup = setup
            .function(function, &source(function))
            .function("calm", &source("calm"));
        let mut scene = Self {
            gateway: setup.start().await,
            _upstream: upstream,
            beside: JoinSet::new(),
            done: Arc::default(),
        };
        scene.ask("nothing").await.expect(200);
        for _ in 0..4 {
            let (client, done) = (scene.gateway.user(), Arc::clone(&scene.done));
            scene.beside.spawn(async move {
                let mut count = 0;
                while !done.load(Ordering::Relaxed) {
                    expect_calm(&client.chat(&streamed_chat("calm", "hi")).await.expect(200));
                    count += 1;
                }
                count
            });
        }
        scene
    }

    /// Has the bad function do something.
    async fn ask(&self, deed: &str) -> Answer {
        self.gateway.user().chat(&chat("danger", deed)).await
    }

    fn ask_beside(&self, deed: &'static str) -> JoinHandle<Answer> {
        let client = self.gateway.user();
        tokio::spawn(async move { client.chat(&chat("danger", deed)).await })
    }

    /// Has it do something bad: who asks gets this status within the limit.
    async fn suffer(&self, deed: &str, status: u16, code: &str) {
        let began = Instant::now();
        let answer = self.ask(deed).await.expect(status);
        report(deed, began.elapsed());
        assert_eq!(answer.json()["error"]["code"], code, "{deed}");
    }

    /// The next call is answered, and no stream beside has noticed anything.
    async fn comes_back(mut self) {
        let next = within(LIMIT * 5, "an answer of the next call", self.ask("nothing")).await;
        next.expect(200);
        self.done.store(true, Ordering::Relaxed);
        let count: usize = std::mem::take(&mut self.beside)
            .join_all()
            .await
            .into_iter()
            .sum();
        assert!(count > 0, "streams ran beside it");
    }
}

fn report(deed: &str, took: Duration) {
    say(&format!(
        "hostile: `{deed}` was answered after {took:?}, with a limit of {LIMIT:?}"
    ));
    assert!(took < ANSWERED_WITHIN, "`{deed}` took {took:?}");
}

fn slow_stream() -> Vec<Step> {
    let mut script = vec![head_of_stream()];
    for piece in events_of(&["a", "b", "c", "d"]) {
        script.push(event(piece));
        script.push(Step::Pause(Duration::from_millis(10)));
    }
    script.push(tail_of_stream());
    script
}

fn expect_calm(answer: &Answer) {
    let mut events = answer.events();
    assert_eq!(events.pop().as_deref(), Some("[DONE]"), "{}", answer.text());
    for event in events {
        let event: Value = serde_json::from_str(&event).unwrap();
        assert_eq!(event["calm"], true, "{event}");
    }
}

#[tokio::test]
async fn a_function_that_loops_is_killed_and_comes_back() {
    let scene = Scene::with("hostile").await;
    scene.suffer("loop", 504, "function_timeout").await;
    scene.comes_back().await;
}

#[tokio::test]
async fn a_function_that_hangs_in_c_is_killed_and_comes_back() {
    let scene = Scene::with("hostile").await;
    scene.suffer("regex", 504, "function_timeout").await;
    scene.comes_back().await;
}

#[tokio::test]
async fn a_function_that_ends_its_process_fails_its_call_and_comes_back() {
    let scene = Scene::with("hostile").await;
    scene.suffer("exit", 502, "function_crashed").await;
    scene.comes_back().await;
}

#[tokio::test]
async fn a_function_that_hoards_memory_fails_within_its_limit_and_comes_back() {
    // How soon the memory is full depends on what else the machine does.
    let scene = Scene::with_limit("hostile", PATIENCE).await;
    let before = scene.gateway.process().rss_kib();
    let answer = scene.ask("hoard").await.expect(500);
    assert_eq!(answer.json()["error"]["code"], "function_error");
    let after = scene.gateway.process().rss_kib();
    assert!(
        after < before + 64 * 1024,
        "{before} KiB grew to {after} KiB"
    );
    scene.comes_back().await;
}

#[tokio::test]
async fn a_call_that_waits_for_ever_does_not_hold_up_the_calls_beside_it() {
    let scene = Scene::with("hostile").await;
    let began = Instant::now();
    let stuck = scene.ask_beside("wait");
    let beside: JoinSet<Answer> = (0..8)
        .map(|_| unwrapped(scene.ask_beside("nothing")))
        .collect();
    for answer in beside.join_all().await {
        answer.expect(200);
    }
    assert!(
        !stuck.is_finished(),
        "they were answered while it was stuck"
    );
    stuck.await.unwrap().expect(504);
    report("wait", began.elapsed());
    scene.comes_back().await;
}

#[tokio::test]
async fn a_function_that_loops_in_a_thread_is_replaced() {
    let scene = Scene::with("stubborn").await;
    scene.suffer("loop", 504, "function_timeout").await;
    scene.comes_back().await;
}

/// Between two events a stream has no call under way. Its filter's state is in the process all the same.
#[tokio::test]
async fn a_stream_that_waits_for_its_next_event_keeps_its_process() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = FakeUpstream::start(move |request| match request.is_streamed() {
        true => held_stream(&held),
        false => answer_of("fine"),
    })
    .await;
    let setup = TestGateway::setup().python().tables(&tables(LIMIT));
    let setup = setup.function("stubborn", &source("stubborn"));
    let gateway = setup.upstream("fake", &upstream.base_url()).start().await;
    let user = gateway.user();
    // The first call is slow, so that the next one has a thread of its own and can be stuck there.
    user.chat(&chat("danger", "nothing")).await.expect(200);
    let mut stream = user.stream(&streamed_chat("danger", "nothing")).await;
    let mut seen = vec![stream.next().await.expect("the first event")];
    let old = gateway.process().descendants();
    user.chat(&chat("danger", "loop")).await.expect(504);
    gateway.logged("its process is replaced").await;
    // Another process serves who comes now.
    user.chat(&chat("danger", "nothing")).await.expect(200);
    gate.open();
    seen.extend(stream.rest().await);
    assert!(!stream.is_broken, "{seen:?}");
    assert!(seen[0].contains("before!"), "{seen:?}");
    assert!(
        seen.iter().any(|event| event.contains("after!")),
        "{seen:?}"
    );
    let ends = async || {
        old.iter()
            .any(|process| !process.is_running())
            .then_some(())
    };
    eventually(PATIENCE, "the end of the process that nobody needs", ends).await;
}

/// A stream that stands after its first event until the gate opens.
fn held_stream(gate: &Gate) -> Vec<Step> {
    let mut events = events_of(&["before", "after"]).into_iter().map(event);
    let mut script = vec![head_of_stream()];
    script.extend(events.next());
    script.push(Step::Wait(gate.clone()));
    script.extend(events);
    script.push(tail_of_stream());
    script
}

async fn unwrapped(answer: JoinHandle<Answer>) -> Answer {
    answer.await.unwrap()
}
