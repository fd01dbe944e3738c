//! S05: what was acknowledged is there after a kill at any moment, what was not is there whole or not at all.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::PATIENCE;
use crate::faults::rig::Random;
use crate::support::{ADMIN_KEY, Client, Setup, TestGateway, say, within};

/// How often the gateway is killed; this variable says otherwise.
const ROUNDS: usize = 50;
const VARIABLE: &str = "SLUICEGATE_KILL_ROUNDS";
/// How many of the system calls of writes are the last one; this variable says otherwise.
const CALLS: usize = 12;
const CALLS_VARIABLE: &str = "SLUICEGATE_KILL_CALLS";
/// How many write at once, each its own model.
const WRITERS: usize = 4;
/// A gateway is killed after so many acknowledged writes at most.
const WRITES: usize = 12;

const MODELS: &str = "/api/v1/models";

fn number_of(variable: &str, usual: usize) -> usize {
    let number = std::env::var(variable).ok();
    number.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// A model whose every part says the same number.
fn model(writer: usize, number: u64) -> Value {
    json!({
        "id": format!("m{writer}"), "name": number.to_string(), "base_model_id": number.to_string(),
        "params": {"seed": number}, "meta": {"number": number, "filler": "x".repeat(2000)},
    })
}

/// The number that a whole model says.
fn number_in(model: &Value) -> u64 {
    let number = model["meta"]["number"].as_u64().unwrap();
    assert_eq!(model["params"]["seed"], number, "{model}");
    assert_eq!(model["name"], number.to_string(), "{model}");
    assert_eq!(model["base_model_id"], number.to_string(), "{model}");
    number
}

/// What one writer has done to its model.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    /// The last number that was acknowledged; 0 for none.
    acknowledged: u64,
    /// The last one that was sent.
    sent: u64,
}

/// Writes one number after the other until the gateway is gone.
async fn write(client: Client, writer: usize, mut done: Done, count: Arc<Count>) -> (usize, Done) {
    let client = client.with("content-type", "application/json");
    loop {
        let number = done.sent + 1;
        let route = if done.acknowledged == 0 {
            "create"
        } else {
            "model/update"
        };
        let path = format!("{MODELS}/{route}");
        let body = model(writer, number).to_string().into();
        done.sent = number;
        match client.attempt(Method::POST, &path, body).await {
            Ok(answer) => {
                assert_eq!(answer.status, 200, "{}", answer.text());
                done.acknowledged = number;
                count.up();
            }
            Err(_) => return (writer, done),
        }
    }
}

/// Acknowledged writes.
#[derive(Default)]
struct Count {
    writes: AtomicUsize,
    risen: Notify,
}

impl Count {
    fn up(&self) {
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.risen.notify_one();
    }

    async fn reaches(&self, writes: usize) {
        while self.writes.load(Ordering::SeqCst) < writes {
            within(PATIENCE, "the next write", self.risen.notified()).await;
        }
    }
}

/// Every model is whole, and as it was acknowledged or as it was sent after that. What is found counts from now on.
async fn check(gateway: &TestGateway, all: &mut [Done; WRITERS]) {
    let export = gateway.admin().get(&format!("{MODELS}/export")).await;
    let models = export.expect(200).json();
    for (writer, done) in all.iter_mut().enumerate() {
        let id = format!("m{writer}");
        let mut models = models.as_array().unwrap().iter();
        let found = models.find(|model| model["id"] == id).map_or(0, number_in);
        let is_kept = (done.acknowledged..=done.sent).contains(&found);
        assert!(is_kept, "{id} says {found}: {done:?}");
        done.acknowledged = found;
    }
}

/// Starts the writers; what they have done is known when the gateway is gone.
fn start_writers(
    gateway: &TestGateway,
    all: &[Done; WRITERS],
    count: &Arc<Count>,
) -> JoinSet<(usize, Done)> {
    let mut writers = JoinSet::new();
    for (writer, done) in all.iter().enumerate() {
        let client = Client::new(gateway.address).with_key(ADMIN_KEY);
        writers.spawn(write(client, writer, *done, Arc::clone(count)));
    }
    writers
}

#[tokio::test]
async fn s05_acknowledged_changes_outlive_kills() {
    let rounds = number_of(VARIABLE, ROUNDS);
    let mut random = Random::seeded();
    let mut all = [Done::default(); WRITERS];
    let mut gateway = TestGateway::setup().start().await;
    let mut writes = 0;
    for _ in 0..rounds {
        let count = Arc::new(Count::default());
        let mut writers = start_writers(&gateway, &all, &count);
        count.reaches(random.below(WRITES)).await;
        // Somewhere within a write, not at its end only.
        for _ in 0..random.below(200) {
            tokio::task::yield_now().await;
        }
        gateway.kill().await;
        while let Some(ended) = writers.join_next().await {
            let (writer, done) = ended.unwrap();
            all[writer] = done;
        }
        writes += count.writes.load(Ordering::SeqCst);
        gateway = TestGateway::setup().home_of(&gateway).start().await;
        check(&gateway, &mut all).await;
    }
    let copies = std::fs::read_dir(gateway.data_dir()).unwrap();
    let names: Vec<String> = copies
        .map(|it| it.unwrap().file_name().display().to_string())
        .collect();
    assert!(
        !names.iter().any(|name| name.contains("damaged")),
        "{names:?}"
    );
    say(&format!(
        "faults: s05: {writes} acknowledged writes over {rounds} kills, none lost"
    ));
}

/// Runs the gateway so that the kernel kills it as it enters the system call of this number on the log of the database.
fn killed_at(setup: Setup, home: &Path, call: usize) -> Setup {
    let log = home.join("data/sluicegate.db-wal");
    let calls = "pwrite64,write,fdatasync,fsync,ftruncate";
    let inject = format!("inject={calls}:signal=KILL:when={call}");
    let options = [
        "-D",
        "-f",
        "-qqq",
        "-o",
        "/dev/null",
        "-P",
        log.to_str().unwrap(),
    ];
    let trace = format!("trace={calls}");
    let injection = ["-e", &trace, "-e", &inject];
    setup.under("strace", options.iter().chain(&injection))
}

#[tokio::test]
async fn s05_a_kill_before_any_system_call_of_a_write_leaves_it_whole_or_absent() {
    if std::process::Command::new("strace")
        .arg("-V")
        .output()
        .is_err()
    {
        say("skipped: there is no strace: s05 at system calls");
        return;
    }
    let mut all = [Done::default(); WRITERS];
    let mut gateway = TestGateway::setup().start().await;
    let calls = number_of(CALLS_VARIABLE, CALLS);
    for call in 1..=calls {
        gateway.kill().await;
        let setup = TestGateway::setup().home_of(&gateway);
        let home = gateway.home().to_owned();
        gateway = killed_at(setup, &home, call).start().await;
        let count = Arc::new(Count::default());
        let mut writers = start_writers(&gateway, &all, &count);
        let status = gateway.ended().await;
        assert!(!status.success());
        while let Some(ended) = writers.join_next().await {
            let (writer, done) = ended.unwrap();
            all[writer] = done;
        }
        gateway = TestGateway::setup().home_of(&gateway).start().await;
        check(&gateway, &mut all).await;
    }
    say(&format!(
        "faults: s05: killed at the first to the {calls}th system call on the log, no write lost or torn"
    ));
}
