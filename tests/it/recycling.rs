//! Processes that have worn are replaced, and no request notices (rows P05 and P09 of the failure catalogue).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

use crate::PATIENCE;
use crate::support::{Door, Process, TestGateway, chat, eventually, say, source, source_with};

/// How many calls leak; more of them if the variable says so.
const CALLS: usize = 2_000;
const VARIABLE: &str = "SLUICEGATE_LEAKING_CALLS";

/// Callers at a time.
const CALLERS: usize = 4;

/// What the gateway may grow by while functions leak.
const GROWTH_KIB: u64 = 16 * 1024;

const TABLES: &str = "
[function.threads]
memory_mib = 1024
[function.memory]
memory_mib = 1024
[function.descriptors]
recycle_percent = 5
[function.lingering]
recycle_calls = 20
[function.one]
group = \"pair\"
recycle_calls = 20
[function.other]
group = \"pair\"
[function.swelling]
subprocesses = true
memory_mib = 600
";

/// Asks `function` so often, several callers at a time; the instances that answered.
async fn call(gateway: &TestGateway, function: &str, calls: usize) -> BTreeSet<String> {
    let asked = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (client, asked, function) = (gateway.user(), Arc::clone(&asked), function.to_owned());
        callers.spawn(async move {
            let mut names = BTreeSet::new();
            while asked.fetch_add(1, Ordering::Relaxed) < calls {
                let answer = client.chat(&chat(&function, "hi")).await;
                names.insert(answer.expect(200).content());
            }
            names
        });
    }
    callers.join_all().await.into_iter().flatten().collect()
}

async fn metrics(gateway: &TestGateway) -> String {
    gateway.admin().get("/metrics").await.expect(200).text()
}

fn leaking(what: &str) -> String {
    source_with("leaking", &[("LEAK", &format!("\"{what}\""))])
}

#[tokio::test]
async fn p09_functions_that_leak_are_replaced_and_no_call_fails() {
    let calls = std::env::var(VARIABLE).ok();
    let calls = calls.and_then(|text| text.parse().ok()).unwrap_or(CALLS);
    let setup = TestGateway::setup().python().tables(TABLES);
    let setup = setup
        .function("threads", &leaking("thread"))
        .function("memory", &leaking("memory"))
        .function("descriptors", &leaking("descriptor"));
    let gateway = setup.start().await;
    let mut sizes = Vec::new();
    for function in ["threads", "memory", "descriptors"] {
        call(&gateway, function, 100).await;
    }
    let before = gateway.process().rss_kib();
    for function in ["threads", "memory", "descriptors"] {
        let instances = call(&gateway, function, calls / 3).await.len();
        sizes.push(gateway.process().rss_kib());
        say(&format!(
            "recycling: {function}: {} calls, {instances} processes",
            calls / 3
        ));
        assert!(instances > 1, "{function} was never replaced");
    }
    say(&format!(
        "recycling: the gateway had {before} KiB, then {sizes:?}"
    ));
    let most = sizes.iter().max().copied().unwrap_or_default();
    assert!(most < before + GROWTH_KIB, "{before} KiB grew to {sizes:?}");
    let counted = metrics(&gateway).await;
    for reason in ["memory", "descriptors"] {
        let line = format!("sluicegate_workers_recycled_total{{reason=\"{reason}\"}}");
        assert!(counted.contains(&line), "{counted}");
    }
    assert!(
        !counted.contains("sluicegate_worker_failures_total{"),
        "{counted}"
    );
}

#[tokio::test]
async fn p09_what_has_begun_in_a_worn_process_ends_there() {
    let setup = TestGateway::setup().python().tables(TABLES);
    let setup = setup.function("lingering", &source("lingering"));
    let gateway = setup.start().await;
    let first = call(&gateway, "lingering", 1).await;
    let door = Door::start().await;
    let (client, port) = (gateway.user(), door.port.to_string());
    let waiting = tokio::spawn(async move { client.chat(&chat("lingering", &port)).await });
    let held = door.expect("lingering").await;
    let replaced = async || {
        let names = call(&gateway, "lingering", 1).await;
        (names != first).then_some(())
    };
    eventually(PATIENCE, "another process", replaced).await;
    drop(held);
    let answer = waiting.await.unwrap().expect(200).content();
    assert!(
        first.contains(&answer),
        "it was answered where it had begun"
    );
    let counted = metrics(&gateway).await;
    assert!(
        counted.contains("sluicegate_workers_recycled_total{reason=\"calls\"}"),
        "{counted}"
    );
}

#[tokio::test]
async fn p09_a_group_moves_to_its_next_process_together() {
    let setup = TestGateway::setup().python().tables(TABLES);
    let setup = setup
        .function("one", &source("grouped"))
        .function("other", &source("grouped"));
    let gateway = setup.start().await;
    let first = call(&gateway, "one", 1).await;
    assert_eq!(call(&gateway, "other", 1).await, first);
    let replaced = async || {
        let now = call(&gateway, "one", 1).await;
        (now != first).then_some(())
    };
    eventually(PATIENCE, "another process", replaced).await;
    // Neither is about to be replaced again: these are the first calls of the next process.
    let now = call(&gateway, "one", 1).await;
    assert_eq!(call(&gateway, "other", 10).await, now);
    assert_eq!(call(&gateway, "one", 1).await, now);
}

#[tokio::test]
async fn p09_calls_of_one_member_of_a_group_are_not_counted_as_calls_of_the_others() {
    let setup = TestGateway::setup().python().tables(TABLES);
    let setup = setup
        .function("one", &source("grouped"))
        .function("other", &source("grouped"));
    let gateway = setup.start().await;
    let first = call(&gateway, "one", 1).await;
    assert_eq!(call(&gateway, "other", 200).await, first);
    // Fewer than twenty together with those for a list of models, which asks for its pipes now and then.
    assert_eq!(call(&gateway, "one", 12).await, first);
}

#[tokio::test]
async fn p05_a_function_is_held_to_its_memory_together_with_its_programs() {
    let setup = TestGateway::setup().python().tables(TABLES);
    let setup = setup.function("swelling", &source("swelling"));
    let gateway = setup.start().await;
    let ask = async |what: &str| gateway.user().chat(&chat("swelling", what)).await;
    assert_eq!(ask("nothing").await.expect(200).content(), "calm");
    let answer = ask("swell").await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(answer.json()["error"]["code"], "function_crashed");
    assert_eq!(ask("nothing").await.expect(200).content(), "calm");
    let is_large =
        |process: &Process| process.is_running() && process.command_line().contains("kept =");
    eventually(PATIENCE, "the end of its programs", async || {
        let left = gateway.process().descendants();
        (!left.iter().any(is_large)).then_some(())
    })
    .await;
}
