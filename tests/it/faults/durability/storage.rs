//! S01 and S02 against the whole gateway: no room, errors of the disk, a database that is locked, damaged or cut off.

use std::fs;
use std::os::unix::fs::FileExt;

use rusqlite::Connection;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::PATIENCE;
use crate::support::{Answer, FakeUpstream, Setup, TestGateway, chat, eventually, say};

const MODELS: &str = "/api/v1/models";
/// How many write at once to a database that is locked.
const WRITERS: usize = 4;

fn setup(upstream: &FakeUpstream) -> Setup {
    TestGateway::setup().upstream("fake", &upstream.base_url())
}

fn model(number: u64) -> Value {
    json!({
        "id": "preset", "name": "P", "base_model_id": "echo", "params": {"seed": number},
        "meta": {"number": number, "filler": "x".repeat(20_000)}, "access_grants": null,
    })
}

async fn create(gateway: &TestGateway) {
    let path = format!("{MODELS}/create");
    gateway.admin().post(&path, &model(0)).await.expect(200);
}

async fn update(gateway: &TestGateway, number: u64) -> Answer {
    let path = format!("{MODELS}/model/update");
    gateway.admin().post(&path, &model(number)).await
}

async fn number(gateway: &TestGateway) -> u64 {
    let path = format!("{MODELS}/model?id=preset");
    let shown = gateway.admin().get(&path).await.expect(200).json();
    assert_eq!(shown["meta"]["number"], shown["params"]["seed"]);
    shown["meta"]["number"].as_u64().unwrap()
}

/// Requests run on what was installed before.
async fn serves(gateway: &TestGateway) {
    let answer = gateway.user().chat(&chat("preset", "hi")).await.expect(200);
    assert_eq!(answer.content(), "echo: hi");
}

fn id_of(gateway: &TestGateway) -> Pid {
    Pid::from_raw(i32::try_from(gateway.process().0).unwrap()).unwrap()
}

#[tokio::test]
async fn s01_writes_over_a_limit_of_files_are_refused_and_work_again_without_it() {
    let upstream = FakeUpstream::echo().await;
    let mut gateway = setup(&upstream).start().await;
    create(&gateway).await;
    let usual = getrlimit(Resource::Fsize);
    let log = fs::metadata(gateway.data_dir().join("sluicegate.db-wal")).unwrap();
    let full = Rlimit {
        current: Some(log.len() + 5000),
        maximum: usual.maximum,
    };
    prlimit(Some(id_of(&gateway)), Resource::Fsize, full).unwrap();
    for round in 1..=3 {
        let refused = update(&gateway, round).await;
        assert!(matches!(refused.status, 503 | 507), "{}", refused.text());
        serves(&gateway).await;
        assert_eq!(number(&gateway).await, 0);
    }
    prlimit(Some(id_of(&gateway)), Resource::Fsize, usual).unwrap();
    update(&gateway, 4).await.expect(200);
    gateway.kill().await;
    gateway = setup(&upstream).home_of(&gateway).start().await;
    assert_eq!(number(&gateway).await, 4);
}

/// Runs the gateway so that every write to the log of the database ends with this error.
fn failing(setup: Setup, gateway: &TestGateway, error: &str) -> Setup {
    let log = gateway.data_dir().join("sluicegate.db-wal");
    let inject = format!("inject=pwrite64,fdatasync:error={error}");
    // `-I 2`: it can be ended.
    let options = [
        "-I",
        "2",
        "-D",
        "-f",
        "-qqq",
        "-o",
        "/dev/null",
        "-P",
        log.to_str().unwrap(),
    ];
    let injection = ["-e", "trace=pwrite64,fdatasync", "-e", &inject];
    setup.under("strace", options.iter().chain(&injection))
}

/// Ends who injects the errors.
async fn mend(gateway: &TestGateway) {
    let path = format!("/proc/{}/status", gateway.process().0);
    let tracer = || {
        let status = fs::read_to_string(&path).unwrap();
        let mut lines = status.lines();
        let tracer = lines.find_map(|line| line.strip_prefix("TracerPid:"));
        tracer.unwrap().trim().parse::<i32>().unwrap()
    };
    let strace = Pid::from_raw(tracer()).expect("it is traced");
    kill_process(strace, Signal::TERM).unwrap();
    let look = async || (tracer() == 0).then_some(());
    eventually(PATIENCE, "the disk to work again", look).await;
}

#[tokio::test]
async fn s01_a_full_or_broken_disk_refuses_writes_and_harms_no_request() {
    if std::process::Command::new("strace")
        .arg("-V")
        .output()
        .is_err()
    {
        say("skipped: there is no strace: s01 with errors of the disk");
        return;
    }
    let upstream = FakeUpstream::echo().await;
    let mut gateway = setup(&upstream).start().await;
    create(&gateway).await;
    for (round, error, status) in [(1, "ENOSPC", 507), (2, "EIO", 503), (3, "EROFS", 503)] {
        gateway.kill().await;
        let failing = failing(setup(&upstream).home_of(&gateway), &gateway, error);
        gateway = failing.start().await;
        let refused = update(&gateway, 100 + round).await;
        assert_eq!(refused.status, status, "{error}: {}", refused.text());
        serves(&gateway).await;
        assert_eq!(number(&gateway).await, round - 1, "{error}");
        mend(&gateway).await;
        update(&gateway, round).await.expect(200);
        assert_eq!(number(&gateway).await, round);
    }
}

#[tokio::test]
async fn s02_a_database_that_is_locked_is_waited_for_and_then_refused() {
    let upstream = FakeUpstream::echo().await;
    let gateway = setup(&upstream).start().await;
    create(&gateway).await;
    let other = Connection::open(gateway.data_dir().join("sluicegate.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let (client, path) = (gateway.admin(), format!("{MODELS}/model/update"));
        writers.spawn(async move { client.post(&path, &model(number as u64)).await });
    }
    serves(&gateway).await;
    for refused in writers.join_all().await {
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert!(refused.text().contains("locked"), "{}", refused.text());
    }
    // Five seconds, and not five for each of them.
    assert!(
        began.elapsed().as_secs() < 5 * WRITERS as u64 - 5,
        "{:?}",
        began.elapsed()
    );
    let (client, path) = (gateway.admin(), format!("{MODELS}/model/update"));
    other.execute_batch("COMMIT").unwrap();
    update(&gateway, 1).await.expect(200);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting = tokio::spawn(async move { client.post(&path, &model(7)).await });
    serves(&gateway).await;
    other.execute_batch("COMMIT").unwrap();
    waiting.await.unwrap().expect(200);
    assert_eq!(number(&gateway).await, 7);
}

/// Damages the database file.
type Damage = fn(&fs::File);

#[tokio::test]
async fn s02_a_damaged_database_is_replaced_by_the_last_good_copy_and_said() {
    let upstream = FakeUpstream::echo().await;
    let damages: [(&str, Damage); 3] = [
        ("a page of noise", |file| {
            file.write_all_at(&[0x5a; 4096], 4096).unwrap()
        }),
        ("a cut off end", |file| {
            file.set_len(file.metadata().unwrap().len() / 2).unwrap()
        }),
        ("an empty file", |file| file.set_len(0).unwrap()),
    ];
    for (what, damage) in damages {
        let mut gateway = setup(&upstream).start().await;
        create(&gateway).await;
        gateway.kill().await;
        // Its start copies what it has found good.
        gateway = setup(&upstream).home_of(&gateway).start().await;
        gateway.kill().await;
        let path = gateway.data_dir().join("sluicegate.db");
        Connection::open(&path)
            .unwrap()
            .pragma_update(None, "wal_checkpoint", "truncate")
            .unwrap();
        damage(&fs::OpenOptions::new().write(true).open(&path).unwrap());
        gateway = setup(&upstream).home_of(&gateway).start().await;
        assert!(gateway.log().contains("database was damaged"), "{what}");
        serves(&gateway).await;
        update(&gateway, 1).await.expect(200);
        gateway.kill().await;
        for name in ["sluicegate.db", "sluicegate.db.good"] {
            let path = gateway.data_dir().join(name);
            damage(&fs::OpenOptions::new().write(true).open(&path).unwrap());
        }
        let (status, log) = setup(&upstream).home_of(&gateway).run_to_end().await;
        assert!(
            !status.success() && log.contains("damaged"),
            "{what}: {log}"
        );
    }
}
