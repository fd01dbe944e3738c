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
async fn filters_answer_as_recorded() {
    replay(&[
        "f001", "f002", "f003", "f004", "f005", "f011", "f012", "f013", "f014", "f015", "f016",
        "f017", "f019", "f020", "f021", "f025", "f030", "f031", "f033", "f034", "f037", "f050",
    ])
    .await;
}

#[tokio::test]
async fn management_answers_as_recorded() {
    replay(&[
        "a001", "a002", "a003", "a005", "a010", "a011", "a012", "f024", "f026", "f027", "f028",
        "f035", "p021",
    ])
    .await;
}

#[tokio::test]
async fn streams_answer_as_recorded() {
    replay(&[
        "s005", "s006", "s007", "s008", "s009", "s010", "s011", "s012", "s013", "s017", "s019",
        "s020",
    ])
    .await;
}

#[tokio::test]
async fn pipes_and_upstreams_answer_as_recorded() {
    replay(&[
        "p001", "p002", "p003", "p004", "p005", "p016", "p025", "u001", "u002", "u003", "u004",
        "u006", "u012", "u013", "u014", "u016", "u017", "ol001", "ol002",
    ])
    .await;
}

#[tokio::test]
async fn actions_answer_as_recorded() {
    replay(&["x001", "x002", "x003"]).await;
}

#[tokio::test]
async fn tools_answer_as_recorded() {
    replay(&["t001", "t002", "t003", "t004"]).await;
}

/// Replays cases against a gateway of their own, set up as the recorded product was.
async fn replay(cases: &[&str]) {
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
    command.args(cases.iter().map(|case| folder_of(case)));
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = within(GROUP_LIMIT, "the end of the cases", output)
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let expected = format!("{} passed, 0 failed", cases.len());
    let verdict = said.lines().last().unwrap_or_default();
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

/// The folder of a case, whose name begins with its number.
fn folder_of(case: &str) -> PathBuf {
    let folders = std::fs::read_dir(shared("conformance/cases")).unwrap();
    let mut folders = folders.map(|folder| folder.unwrap().path());
    let prefix = format!("{case}_");
    let is_case = |folder: &PathBuf| {
        folder
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
    };
    folders
        .find(is_case)
        .unwrap_or_else(|| panic!("there is no case `{case}`"))
}
