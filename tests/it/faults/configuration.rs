//! G and S: configuration and clocks that are not what they should be.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::PATIENCE;
use crate::faults::rig::Rig;
use crate::support::{
    FakeUpstream, TestGateway, answer_of, eventually, source, source_with, streamed_chat, within,
};

/// Where the gateway says how it is.
const STATUS: &str = "/api/v1/status";

/// Every so manieth byte is damaged. The catalogue asks for every one.
const STEP: usize = 37;

/// Who says when something was made.
const STAMPS: &[&str] = &["host/scratch.rs", "server/routes.rs", "store/ids.rs"];

fn configuration_of(gateway: &TestGateway) -> PathBuf {
    let port = gateway.address.port();
    gateway.home().join(format!("sluicegate-{port}.toml"))
}

/// Puts another text in the place of a file, all at once: the reload before may be reading it.
fn replace(path: &Path, text: impl AsRef<[u8]>) {
    let aside = path.with_extension("new");
    fs::write(&aside, text).unwrap();
    fs::rename(aside, path).unwrap();
}

fn reload(gateway: &TestGateway) {
    let id = Pid::from_raw(i32::try_from(gateway.process().0).unwrap()).unwrap();
    kill_process(id, Signal::HUP).unwrap();
}

#[tokio::test]
async fn g01_a_damaged_configuration_changes_nothing_and_is_named() {
    let rig = Rig::new(|_| answer_of("fine")).await;
    let path = configuration_of(&rig.gateway);
    let good = fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(STEP) {
        let mut bad = good.clone();
        bad[at] = b'\x01';
        replace(&path, &bad);
        reload(&rig.gateway);
        rig.chat().await.expect(200);
    }
    replace(&path, "no_such_setting = 1\nlisten = \"nowhere\"");
    reload(&rig.gateway);
    rig.gateway.logged("no_such_setting").await;
    rig.chat().await.expect(200);
    fs::remove_file(&path).unwrap();
    reload(&rig.gateway);
    rig.chat().await.expect(200);
    replace(&path, &good);
    reload(&rig.gateway);
    rig.chat().await.expect(200);
    rig.ends_unharmed("g01").await;
}

#[tokio::test]
async fn g01_the_status_names_the_mistakes_of_the_last_reload_to_administrators() {
    let gateway = TestGateway::setup().start().await;
    let status = async || gateway.admin().get(STATUS).await.expect(200).json();
    let health = async || gateway.stranger().get("/healthz").await.expect(200).json();
    assert_eq!(status().await["reload"]["state"], "none");
    assert_eq!(health().await, json!({"status": true}));
    assert!(counts(&gateway, "sluicegate_last_reload_successful 1").await);
    let path = configuration_of(&gateway);
    let good = fs::read(&path).unwrap();
    let bad = [b"no_such_setting = 1\n", &good[..]].concat();
    replace(&path, bad);
    reload(&gateway);
    let has_failed = async || {
        let status = status().await;
        (status["reload"]["state"] == "failed").then_some(status)
    };
    let failed = eventually(PATIENCE, "the failed reload to be shown", has_failed).await;
    let mistakes = failed["reload"]["mistakes"].to_string();
    assert!(mistakes.contains("no_such_setting"), "{mistakes}");
    let degraded = json!({"status": true, "degraded": ["reload"]});
    assert_eq!(health().await, degraded);
    gateway.stranger().get("/readyz").await.expect(200);
    assert!(counts(&gateway, "sluicegate_last_reload_successful 0").await);
    gateway.user().get(STATUS).await.expect(401);
    gateway.stranger().get(STATUS).await.expect(401);
    replace(&path, &good);
    reload(&gateway);
    let is_mended = async || (status().await["reload"]["state"] == "ok").then_some(());
    eventually(PATIENCE, "the reload that works to be shown", is_mended).await;
    assert_eq!(health().await, json!({"status": true}));
    assert!(counts(&gateway, "sluicegate_last_reload_successful 1").await);
}

/// Whether the metrics have this line.
async fn counts(gateway: &TestGateway, line: &str) -> bool {
    let metrics = gateway.admin().get("/metrics").await.expect(200);
    metrics.text().lines().any(|counted| counted == line)
}

#[tokio::test]
async fn a_table_for_a_function_that_is_not_there_is_named_at_start_and_by_check() {
    let setup = TestGateway::setup()
        .python()
        .function("calm", &source("calm"));
    let tables = "[function.calmn]\non_error = \"open\"\n[function.stored]\nactive = true\n";
    let gateway = setup.tables(tables).start().await;
    gateway.logged("did you mean `calm`?").await;
    assert!(gateway.log().contains("`[function.stored]`"));
    gateway
        .management()
        .create("stored", &source("calm"))
        .await
        .expect(200);
    let mut check = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    let check = check
        .args(["check", "--config"])
        .arg(configuration_of(&gateway));
    let output = within(PATIENCE, "the check", check.output()).await.unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.contains("did you mean `calm`?"), "{said}");
    assert!(!said.contains("[function.stored]"), "{said}");
}

#[tokio::test]
async fn g02_a_function_file_that_is_written_in_pieces_counts_once_it_is_whole() {
    let upstream = FakeUpstream::echo().await;
    let setup = TestGateway::setup()
        .python()
        .function("calm", &source("calm"));
    let rig = Rig::with(setup, upstream).await;
    let path = rig.gateway.data_dir().join("functions/calm.py");
    let whole = source("calm").replace("\"calm\"", "\"calmer\"");
    let ask = async || {
        let answer = rig
            .gateway
            .user()
            .chat(&streamed_chat("echo", "hi"))
            .await
            .expect(200);
        answer.events()[0].clone()
    };
    for end in (0..whole.len()).step_by(5) {
        fs::write(&path, &whole[..end]).unwrap();
        // Half a file may be a function that does less, never an error for who asks.
        assert!(ask().await.contains("echo"));
    }
    fs::write(&path, &whole).unwrap();
    let look = async || ask().await.contains("\"calmer\"").then_some(());
    eventually(PATIENCE, "the whole file to serve", look).await;
    rig.ends_unharmed("g02").await;
}

#[tokio::test]
async fn g05_writers_at_once_leave_one_whole_version() {
    let upstream = FakeUpstream::echo().await;
    let setup = TestGateway::setup()
        .python()
        .function("calm", &source("calm"))
        .tables("[function.calm]\nglobal = false\nmodels = [\"echo\"]");
    let rig = Rig::with(setup, upstream).await;
    let gateway = &rig.gateway;
    gateway
        .management()
        .install("stamp", &source_with("stamp", &[]))
        .await;
    let mut writers = JoinSet::new();
    for number in 0..16 {
        let management = gateway.management();
        writers.spawn(async move {
            let code = source_with("stamp", &[("CODE", &number.to_string())]);
            management.update("stamp", &code).await.expect(200);
            management
                .set_valves("stamp", &json!({"number": number}))
                .await
                .expect(200);
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    let stored = gateway
        .admin()
        .get("/api/v1/functions/id/stamp")
        .await
        .expect(200)
        .json();
    let code = stored["content"].as_str().unwrap();
    let whole = (0..16).map(|number| source_with("stamp", &[("CODE", &number.to_string())]));
    assert!(whole.into_iter().any(|whole| whole == code), "{code}");
    rig.leaves_nothing_but_processes("g05").await;
}

#[test]
fn s06_the_wall_clock_is_read_for_stamps_only() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut readers = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read_to_string(&path)
                .unwrap()
                .contains("SystemTime::now")
            {
                readers.push(path.strip_prefix(&root).unwrap().display().to_string());
            }
        }
    }
    readers.sort();
    assert_eq!(
        readers, STAMPS,
        "time limits come from `tokio::time::Instant`"
    );
}
