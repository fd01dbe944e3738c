//! Making an environment: aside, by `uv`, and renamed into place, so that one that is there is whole.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::Instant;
use tracing::{info, warn};

use super::super::interpreter::Interpreter;

/// How long one step may take: a network that stalls must not hold up all other environments.
const STEP_LIMIT: Duration = Duration::from_secs(600);

/// How much of a failed step's last words is kept.
const LAST_WORDS_BYTES: usize = 2_000;

/// What environments are made with.
pub(super) struct Builder<'a> {
    pub(super) interpreter: &'a Interpreter,
    pub(super) data_dir: &'a Path,
    /// A `uv` to use; empty to find or install one.
    pub(super) uv: &'a str,
}

impl Builder<'_> {
    /// Makes an environment with these contents, and says so at both ends.
    pub(super) async fn build(&self, folder: &Path, contents: &[String]) -> io::Result<()> {
        let list = contents.join(", ");
        progress(&format!("making a Python environment, once: {list}"));
        info!(folder = %folder.display(), contents = list, "making a Python environment");
        let began = Instant::now();
        let made = self.make(folder, contents).await;
        let seconds = began.elapsed().as_secs_f64();
        match &made {
            Ok(()) => {
                progress(&format!("the environment is ready after {seconds:.1} s"));
                info!(folder = %folder.display(), seconds, "Python environment is ready");
            }
            Err(error) => {
                warn!(folder = %folder.display(), seconds, %error, "Python environment cannot be made");
            }
        }
        made
    }

    async fn make(&self, folder: &Path, contents: &[String]) -> io::Result<()> {
        let uv = self.find_uv().await?;
        let aside = folder.with_extension(format!("aside-{}", std::process::id()));
        let made = self.fill(&uv, &aside, contents).await;
        if made.is_err() {
            // What was made so far is of no use; that it could not be removed is not the news.
            let _ = std::fs::remove_dir_all(&aside);
        }
        made?;
        match std::fs::rename(&aside, folder) {
            // Another process was faster.
            Err(_) if folder.is_dir() => std::fs::remove_dir_all(&aside),
            renamed => renamed,
        }
    }

    async fn fill(&self, uv: &Path, aside: &Path, contents: &[String]) -> io::Result<()> {
        let mut make = self.command(uv);
        make.args(["venv", "--quiet", "--relocatable", "--python"])
            .arg(&self.interpreter.path)
            .arg(aside);
        run(&mut make).await?;
        let online = run(&mut self.install(uv, aside, contents, &[])).await;
        let Err(error) = online else { return Ok(()) };
        // Without a network the cache may have all of it from an earlier build.
        let offline = run(&mut self.install(uv, aside, contents, &["--offline"])).await;
        if offline.is_ok() {
            info!("Python environment is made from the cache");
            return Ok(());
        }
        let contents = contents.join("`, `");
        Err(io::Error::other(format!(
            "`{contents}` cannot be installed: {error}"
        )))
    }

    fn install(&self, uv: &Path, aside: &Path, contents: &[String], flags: &[&str]) -> Command {
        let mut install = self.command(uv);
        install
            .args(["pip", "install", "--quiet"])
            .args(flags)
            .arg("--python")
            .arg(aside.join("bin/python"))
            .arg("--")
            .args(contents);
        use_pips_certificates(&mut install);
        install
    }

    /// A command of `uv`, whose cache is ours unless the operator has named another.
    fn command(&self, uv: &Path) -> Command {
        let mut command = Command::new(uv);
        if std::env::var_os("UV_CACHE_DIR").is_none() {
            command.env("UV_CACHE_DIR", self.data_dir.join("python/cache"));
        }
        command
    }

    /// A `uv`: the configured one, one on the path, or one installed beside the environments.
    async fn find_uv(&self) -> io::Result<PathBuf> {
        if !self.uv.is_empty() {
            return Ok(PathBuf::from(self.uv));
        }
        let found = Command::new("uv")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await;
        if found.is_ok_and(|status| status.success()) {
            return Ok(PathBuf::from("uv"));
        }
        let tools = self.data_dir.join("python/tools");
        let uv = tools.join("bin/uv");
        if !uv.exists() {
            progress("installing uv");
            let mut pip = Command::new(&self.interpreter.path);
            pip.args(["-m", "pip", "install", "--quiet", "--target"])
                .arg(&tools)
                .arg("uv");
            run(&mut pip).await.map_err(|error| {
                let hint =
                    "hint: install Python's pip or uv, or set `python.uv` to a uv that is there";
                io::Error::other(format!("uv cannot be installed: {error}; {hint}"))
            })?;
        }
        Ok(uv)
    }
}

/// pip's own setting names a certificate file that uv does not know of.
fn use_pips_certificates(command: &mut Command) {
    if let (Some(file), None) = (
        std::env::var_os("PIP_CERT"),
        std::env::var_os("SSL_CERT_FILE"),
    ) {
        command.env("SSL_CERT_FILE", file);
    }
}

/// Runs a command; a failure holds its last words.
async fn run(command: &mut Command) -> io::Result<()> {
    let program = command.as_std().get_program().to_string_lossy();
    let program = program.into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let output = command.stderr(Stdio::piped()).kill_on_drop(true).output();
    let output = match tokio::time::timeout(STEP_LIMIT, output).await {
        Ok(output) => output.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("`{program}` cannot be started: {error}"),
            )
        })?,
        Err(_) => {
            let limit = STEP_LIMIT.as_secs();
            return Err(io::Error::other(format!(
                "`{program}` took longer than {limit} s"
            )));
        }
    };
    if output.status.success() {
        return Ok(());
    }
    let words = last_words(&output.stderr);
    Err(io::Error::other(if words.is_empty() {
        format!("`{program}` failed: {}", output.status)
    } else {
        words
    }))
}

/// The end of what a command said, in whole lines.
fn last_words(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let mut kept = 0;
    let lines = said.trim().lines().rev().take_while(|line| {
        kept += line.len() + 1;
        kept <= LAST_WORDS_BYTES
    });
    let mut lines: Vec<&str> = lines.collect();
    lines.reverse();
    lines.join("\n")
}

/// Tells the person at the terminal, whatever the log level is.
#[expect(
    clippy::print_stderr,
    reason = "progress is for the terminal, not for the log"
)]
pub(super) fn progress(message: &str) {
    eprintln!("sluicegate: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_whole_lines_of_the_end() {
        assert_eq!(last_words(b"one\ntwo\n\n"), "one\ntwo");
        let long = format!("{}\nthe end", "x".repeat(LAST_WORDS_BYTES));
        assert_eq!(last_words(long.as_bytes()), "the end");
    }

    #[tokio::test]
    async fn a_failed_command_says_why() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'no such thing' >&2; exit 3"]);
        assert_eq!(
            run(&mut command).await.unwrap_err().to_string(),
            "no such thing"
        );
        let error = run(&mut Command::new("/nonexistent/uv")).await.unwrap_err();
        assert!(error.to_string().contains("`/nonexistent/uv`"), "{error}");
    }
}
