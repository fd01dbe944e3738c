//! What lies beside the project in `../shared`: the recorded cases and their model servers. A clone alone lacks it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::ports::free_port;
use super::python::python;
use super::say::say;
use super::wait::within;
use crate::PATIENCE;

/// A path below `../shared`.
pub(crate) fn shared(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared")
        .join(path)
}

/// Whether it is there. Says that a test is skipped if it is not; in CI it must be.
pub(crate) fn is_shared_there() -> bool {
    let is_there = shared("conformance").is_dir();
    let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(is_there || !is_ci, "../shared must be there in CI");
    if !is_there {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        say(&format!("skipped: ../shared is not there: {test}"));
    }
    is_there
}

/// The model servers whose answers were recorded: one of OpenAI's kind, one of Ollama's.
#[derive(Debug)]
pub(crate) struct RecordedUpstream {
    _child: Child,
    pub(crate) openai_port: u16,
    pub(crate) ollama_port: u16,
}

impl RecordedUpstream {
    /// Starts both and waits until they listen.
    pub(crate) async fn start() -> Self {
        let (openai_port, ollama_port) = (free_port(), free_port());
        let mut command = Command::new(python());
        command.arg(shared("conformance/fake_upstream.py"));
        command.args(["--openai-port", &openai_port.to_string()]);
        command.args(["--ollama-port", &ollama_port.to_string()]);
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().expect("standard output is piped");
        let mut lines = BufReader::new(stdout).lines();
        let ready = within(PATIENCE, "the recorded model servers", lines.next_line()).await;
        assert!(ready.unwrap().is_some_and(|line| line.contains("ready")));
        Self {
            _child: child,
            openai_port,
            ollama_port,
        }
    }

    pub(crate) fn openai_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.openai_port)
    }
}
