//! OpenAI's own clients, unmodified, through the gateway: streamed and not, tools included, with filters and without.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::support::{
    RecordedUpstream, TestGateway, USER_KEY, is_shared_there, node, python, sdk_packages, source,
    within,
};

const SDK_LIMIT: Duration = Duration::from_secs(60);

/// Runs a program against a gateway without filters, then against one with them.
async fn run(program: impl Fn() -> Command) {
    let upstream = RecordedUpstream::start().await;
    for filters in ["off", "on"] {
        let mut setup = TestGateway::setup()
            .python()
            .upstream("openai", &upstream.openai_url());
        if filters == "on" {
            setup = setup
                .function("mark", &source("mark"))
                .function("calm", &source("calm"));
            setup = setup.function("withholding", &source("withholding"));
        }
        let gateway = setup.start().await;
        let mut command = program();
        command.env("BASE_URL", format!("http://{}/v1", gateway.address));
        command.env("API_KEY", USER_KEY).env("FILTERS", filters);
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = within(SDK_LIMIT, "the end of the SDK's program", output)
            .await
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success(),
            "filters {filters}: {}",
            String::from_utf8_lossy(&said)
        );
    }
}

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/sdk")
        .join(name)
}

#[tokio::test]
async fn the_python_sdk_works_with_filters_and_without() {
    if !is_shared_there() {
        return;
    }
    let packages = sdk_packages();
    run(|| {
        let mut command = Command::new(python());
        command
            .arg(script("openai_python.py"))
            .env("PYTHONPATH", &packages);
        command
    })
    .await;
}

#[tokio::test]
async fn the_node_sdk_works_with_filters_and_without() {
    if !is_shared_there() {
        return;
    }
    let (node, folder) = node();
    // Node looks for packages beside the script.
    let copy = folder.join("openai_node.mjs");
    std::fs::copy(script("openai_node.mjs"), &copy).unwrap();
    run(|| {
        let mut command = Command::new(&node);
        command.arg(&copy);
        command
    })
    .await;
}
