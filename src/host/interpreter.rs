//! The Python interpreter that environments are made from.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use sha2::{Digest, Sha256};
use tokio::process::Command;

/// The oldest Python that the worker's extension loads in.
const OLDEST: (u32, u32) = (3, 11);

/// A Python that is there and new enough.
pub(super) struct Interpreter {
    pub(super) path: PathBuf,
    version: String,
}

impl Interpreter {
    pub(super) async fn find(name: &str) -> io::Result<Self> {
        let script = "import sys; print(sys.executable); print('%d.%d.%d' % sys.version_info[:3])";
        let output = Command::new(name)
            .args(["-c", script])
            .stdin(Stdio::null())
            .output()
            .await;
        let output = output.map_err(|error| {
            let hint = "hint: set `python.interpreter` to a Python of 3.11 or later";
            io::Error::new(
                error.kind(),
                format!("Python interpreter `{name}` cannot be started: {error}; {hint}"),
            )
        })?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = text.lines();
        let (Some(path), Some(version)) = (lines.next(), lines.next()) else {
            return Err(io::Error::other(format!(
                "`{name}` is no Python interpreter"
            )));
        };
        if version_numbers(version) < OLDEST {
            let message =
                format!("Python {version} (`{name}`) is too old: functions need 3.11 or later");
            return Err(io::Error::other(message));
        }
        Ok(Self {
            path: PathBuf::from(path),
            version: version.to_owned(),
        })
    }

    /// Names an environment by all that it depends on.
    pub(super) fn key(&self, requirements: &[String]) -> String {
        let mut digest = Sha256::new();
        digest.update(self.path.as_os_str().as_encoded_bytes());
        digest.update(&self.version);
        for requirement in requirements {
            digest.update([0]);
            digest.update(requirement);
        }
        digest.finalize()[..6]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

fn version_numbers(version: &str) -> (u32, u32) {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
