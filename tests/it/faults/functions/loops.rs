//! P04: code that does not come back, in Python, in C and in a thread, in every place.

use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{ANSWERED_WITHIN, LIMIT, table};
use crate::faults::rig::Rig;
use crate::support::{FakeUpstream, TestGateway, chat, say, streamed_chat};

/// Ways not to come back: what stands at the head of the file, and a call of it.
const WAYS: [(&str, &str); 4] = [
    ("a loop", "def stick():\n    while True:\n        pass\n"),
    (
        "an expression",
        "import re\n\n\ndef stick():\n    re.match(r\"(a+)+$\", \"a\" * 64 + \"b\")\n",
    ),
    ("a power", "def stick():\n    return 7 ** 10 ** 10\n"),
    (
        "a thread",
        "import threading\n\n\ndef turn():\n    while True:\n        pass\n\n\ndef stick():\n    thread = threading.Thread(target=turn, daemon=True)\n    thread.start()\n    thread.join()\n",
    ),
];

/// The places, with the model whose requests come there.
const HOOKS: [(&str, &str, &str); 3] = [
    ("inlet", "echo", "body"),
    ("stream", "calm", "event"),
    ("outlet", "danger", "body"),
];

async fn rig(way: &str) -> Rig {
    let mut setup = TestGateway::setup()
        .python()
        .tables("[functions]\nload_seconds = 1\npipe_first_seconds = 1");
    for (hook, model, argument) in HOOKS {
        let id = format!("of_{hook}");
        let code = format!(
            "{way}\n\nclass Filter:\n    def {hook}(self, {argument}):\n        stick()\n        return {argument}\n"
        );
        setup = setup.tables(&table(&id, model)).function(&id, &code);
    }
    let pipe =
        format!("{way}\n\nclass Pipe:\n    def pipe(self, body):\n        return str(stick())\n");
    let setup = setup
        .function("of_pipe", &pipe)
        .function("of_streamed_pipe", &pipe);
    Rig::with(setup, FakeUpstream::echo().await).await
}

/// Asks, and is told in time that the function takes too long.
async fn overrun(rig: &Rig, name: &str) {
    let places: [(&str, Value); 5] = [
        ("inlet", chat("echo", "hi")),
        ("stream", streamed_chat("calm", "hi")),
        ("outlet", chat("danger", "hi")),
        ("pipe", chat("of_pipe", "hi")),
        ("pipe, streamed", streamed_chat("of_streamed_pipe", "hi")),
    ];
    let mut asked = JoinSet::new();
    for (place, body) in places {
        let client = rig.gateway.user();
        let what = format!("{name} in {place}");
        asked.spawn(async move {
            let began = Instant::now();
            let answer = client.chat(&body).await;
            (what, answer, began.elapsed())
        });
    }
    for (what, answer, took) in asked.join_all().await {
        assert_eq!(answer.status, 504, "{what}: {}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "function_timeout", "{what}");
        say(&format!(
            "faults: p04: {what} was answered after {took:?}, with a limit of {LIMIT:?}"
        ));
        assert!(took < 2 * ANSWERED_WITHIN, "{what}: {took:?}");
    }
}

/// Code that sticks as it is loaded is refused.
async fn refuse(rig: &Rig, name: &str, way: &str) {
    let loads = [
        format!("{way}\n\nstick()\n"),
        format!(
            "{way}\n\nclass Filter:\n    def __init__(self):\n        stick()\n\n    def inlet(self, body):\n        return body\n"
        ),
    ];
    for code in loads {
        let began = Instant::now();
        let answer = rig.gateway.management().create("of_load", &code).await;
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
        let took: Duration = began.elapsed();
        assert!(took < ANSWERED_WITHIN, "{name}: {took:?}");
    }
}

async fn come_back(name: &str) {
    let (_, way) = WAYS.iter().find(|(known, _)| *known == name).unwrap();
    let rig = rig(way).await;
    overrun(&rig, name).await;
    refuse(&rig, name, way).await;
    rig.leaves_nothing_but_processes("p04").await;
}

#[tokio::test]
async fn p04_endless_loops_end_at_the_limit_wherever_they_are() {
    come_back("a loop").await;
}

#[tokio::test]
async fn p04_endless_expressions_end_at_the_limit_wherever_they_are() {
    come_back("an expression").await;
}

#[tokio::test]
async fn p04_endless_powers_end_at_the_limit_wherever_they_are() {
    come_back("a power").await;
}

#[tokio::test]
async fn p04_endless_threads_end_at_the_limit_wherever_they_are() {
    come_back("a thread").await;
}
