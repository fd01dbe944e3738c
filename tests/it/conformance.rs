//! The recorded cases: the gateway answers as the real product did, or as the list of differences says.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::support::{
    ADMIN_KEY, RecordedUpstream, TestGateway, USER_KEY, is_shared_there, python, shared, within,
};

/// How long one group of cases may take; some replay slow streams.
const GROUP_LIMIT: Duration = Duration::from_secs(180);

#[tokio::test]
async fn management_answers_as_recorded() {
    replay("a").await;
}

#[tokio::test]
async fn filters_answer_as_recorded() {
    replay("f").await;
}

#[tokio::test]
async fn outlets_and_ollama_answer_as_recorded() {
    replay("o").await;
}

#[tokio::test]
async fn pipes_answer_as_recorded() {
    replay("p").await;
}

#[tokio::test]
async fn streams_answer_as_recorded() {
    replay("s").await;
}

#[tokio::test]
async fn tools_answer_as_recorded() {
    replay("t").await;
}

#[tokio::test]
async fn upstreams_answer_as_recorded() {
    replay("u").await;
}

#[tokio::test]
async fn actions_answer_as_recorded() {
    replay("x").await;
}

/// Replays every case of a group, whose names begin with the same letter, against a gateway of its own, set up as the
/// recorded product was.
async fn replay(group: &str) {
    if !is_shared_there() {
        return;
    }
    let upstream = RecordedUpstream::start().await;
    let ollama = format!(
        "[[upstreams]]\nname = \"ofake\"\nkind = \"ollama\"\nbase_url = \"http://127.0.0.1:{}\"\n[models]\naccess = \"granted\"",
        upstream.ollama_port
    );
    let setup = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.openai_url());
    let gateway = setup.tables(&ollama).start().await;
    let mut command = Command::new(python());
    command.arg(shared("conformance/run_case.py"));
    command.args(["--base-url", &format!("http://{}", gateway.address)]);
    command.args(["--api-key", ADMIN_KEY, "--user-api-key", USER_KEY]);
    command.args([
        "--upstream-log",
        &format!("http://127.0.0.1:{}", upstream.openai_port),
    ]);
    command
        .args(["--skip-tags", "ui,owui-internals"])
        .arg("--differences")
        .arg(differences());
    let cases = folders_of(group);
    command.args(&cases);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = within(GROUP_LIMIT, "the end of the cases", output)
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let verdict = said.lines().last().unwrap_or_default();
    let skipped = said
        .lines()
        .find_map(|line| line.strip_suffix(" skipped by tag"));
    let skipped: usize = skipped.map_or(0, |number| number.trim().parse().unwrap());
    let expected = format!("{} passed, 0 failed", cases.len() - skipped);
    assert_eq!(
        verdict,
        expected,
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn differences() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/differences.json")
}

/// The folders of a group's cases.
fn folders_of(group: &str) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(shared("conformance/cases")).unwrap();
    let folders = folders.map(|folder| folder.unwrap().path());
    let is_of_group = |folder: &PathBuf| {
        let name = folder.file_name().unwrap().to_string_lossy();
        folder.is_dir() && name.starts_with(group)
    };
    let mut found: Vec<PathBuf> = folders.filter(is_of_group).collect();
    found.sort();
    assert!(!found.is_empty(), "there is no case of group `{group}`");
    found
}
