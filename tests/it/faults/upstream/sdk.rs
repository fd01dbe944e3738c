//! U08 as OpenAI's own clients see it: an answer that breaks off anywhere raises, every time.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::cuts::{end_marker_at, recorded_stream};
use crate::faults::rig::Rig;
use crate::support::{
    FakeUpstream, Step, TestGateway, USER_KEY, answer_of, node, python, sdk_packages, source,
    within,
};

/// Every so manieth byte. `SLUICEGATE_FAULT_STEP=1` takes them all.
const STEP: usize = 7;
const LIMIT: Duration = Duration::from_secs(120);

/// Runs a program against a gateway without a filter, then against one with.
async fn raises_every_time(row: &str, program: impl Fn() -> Command) {
    let step = std::env::var("SLUICEGATE_FAULT_STEP").ok();
    let step = step.and_then(|step| step.parse().ok()).unwrap_or(STEP);
    for with_filter in [false, true] {
        let bytes = recorded_stream();
        let length = end_marker_at(&bytes);
        let upstream =
            FakeUpstream::start(move |request| match request.last_text().parse::<usize>() {
                Ok(at) if at < length => vec![Step::Send(bytes[..at].to_vec()), Step::Close],
                Ok(_) => vec![Step::Send(bytes.clone())],
                Err(_) => answer_of("fine"),
            })
            .await;
        let setup = match with_filter {
            true => TestGateway::setup()
                .python()
                .function("calm", &source("calm")),
            false => TestGateway::setup(),
        };
        let rig = Rig::with(setup, upstream).await;
        let mut command = program();
        command
            .env("BASE_URL", format!("http://{}/v1", rig.gateway.address))
            .env("API_KEY", USER_KEY)
            .env("LENGTH", length.to_string())
            .env("STEP", step.to_string());
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = within(LIMIT, "the end of the SDK's program", output)
            .await
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&said)
        );
        rig.ends_unharmed(row).await;
    }
}

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/sdk")
        .join(name)
}

#[tokio::test]
async fn u08_the_python_sdk_raises_wherever_an_answer_is_cut() {
    let packages = sdk_packages();
    raises_every_time("u08 python sdk", || {
        let mut command = Command::new(python());
        command
            .arg(script("openai_python_cut.py"))
            .env("PYTHONPATH", &packages);
        command
    })
    .await;
}

#[tokio::test]
async fn u08_the_node_sdk_throws_wherever_an_answer_is_cut() {
    let (node, folder) = node();
    // Node looks for packages beside the script.
    let copy = folder.join("openai_node_cut.mjs");
    std::fs::copy(script("openai_node_cut.mjs"), &copy).unwrap();
    raises_every_time("u08 node sdk", || {
        let mut command = Command::new(&node);
        command.arg(&copy);
        command
    })
    .await;
}
