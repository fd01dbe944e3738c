//! The Python environments that functions run in.
//!
//! The base environment holds what most functions import. It is made on first need, aside, and renamed into place;
//! `uv` makes it, which itself comes from its wheel by the interpreter's own pip. Without a network functions run on
//! the bare interpreter, with what its standard library has.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sha2::{Digest, Sha256};
use tokio::process::Command;
use tokio::sync::OnceCell;
use tracing::{info, warn};

use super::runtime;
use super::zygote::Launch;

/// What the base environment holds, by the imports of community functions.
const BASE: &[&str] = &["pydantic>=2,<3", "fastapi", "httpx", "requests", "aiohttp"];

/// The oldest Python that the worker's extension loads in.
const OLDEST: (u32, u32) = (3, 11);

/// Variables that every Python may see; others must be named in `python.pass_env`.
const PASSED: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// How Python is set up.
#[derive(Clone, Debug)]
pub struct PythonSettings {
    /// The interpreter: a path, or a name to look up.
    pub interpreter: String,
    /// Where environments and the worker's files are kept.
    pub data_dir: PathBuf,
    /// A `uv` to use; empty to find or install one.
    pub uv: String,
    /// Whether to make the base environment, or to use the interpreter as it is.
    pub base: bool,
    /// Further variables that functions may see.
    pub pass_env: Vec<String>,
    /// Whether what functions print goes to the gateway's log.
    pub log_prints: bool,
}

/// The environments of one data folder.
#[derive(Debug)]
pub(super) struct Environments {
    settings: PythonSettings,
    launch: OnceCell<Launch>,
}

impl Environments {
    pub(super) fn new(settings: PythonSettings) -> Self {
        Self {
            settings,
            launch: OnceCell::new(),
        }
    }

    /// How to start a zygote in the base environment, which is made if it is not there.
    pub(super) async fn launch(&self) -> io::Result<Launch> {
        self.launch
            .get_or_try_init(|| self.prepare())
            .await
            .cloned()
    }

    async fn prepare(&self) -> io::Result<Launch> {
        let data_dir = std::path::absolute(&self.settings.data_dir)?;
        let interpreter = Interpreter::find(&self.settings.interpreter).await?;
        let runtime = runtime::unpack(&data_dir)?;
        let python = match self.settings.base {
            true => self.base(&interpreter, &data_dir).await,
            false => interpreter.path.clone(),
        };
        let scratch = data_dir.join("python/scratch");
        // What an earlier process left; nobody else has this data folder.
        let _ = std::fs::remove_dir_all(&scratch);
        std::fs::create_dir_all(&scratch)?;
        Ok(Launch {
            python,
            runtime,
            scratch,
            variables: self.variables(),
        })
    }

    /// The base environment's Python, or the bare interpreter where it cannot be made.
    async fn base(&self, interpreter: &Interpreter, data_dir: &Path) -> PathBuf {
        let folder = data_dir
            .join("python/environments")
            .join(format!("base-{}", interpreter.key(BASE)));
        let python = folder.join("bin/python");
        if python.exists() {
            return python;
        }
        progress(
            "making the Python base environment (pydantic, fastapi, httpx, requests, aiohttp), once",
        );
        match self.build(interpreter, data_dir, &folder).await {
            Ok(()) => {
                info!(folder = %folder.display(), "Python base environment is ready");
                python
            }
            Err(error) => {
                progress(
                    "the base environment could not be made; functions have Python's standard library only",
                );
                warn!(%error, "Python base environment could not be made, functions have the standard library only");
                interpreter.path.clone()
            }
        }
    }

    /// Makes an environment aside and renames it into place, so that one that is there is whole.
    async fn build(
        &self,
        interpreter: &Interpreter,
        data_dir: &Path,
        folder: &Path,
    ) -> io::Result<()> {
        let uv = self.uv(interpreter, data_dir).await?;
        let aside = folder.with_extension(format!("aside-{}", std::process::id()));
        let mut make = Command::new(&uv);
        make.args(["venv", "--quiet", "--relocatable", "--python"])
            .arg(&interpreter.path)
            .arg(&aside);
        run(&mut make).await?;
        let mut install = Command::new(&uv);
        install
            .args(["pip", "install", "--python"])
            .arg(aside.join("bin/python"))
            .args(BASE);
        use_pips_certificates(&mut install);
        run(&mut install).await?;
        match std::fs::rename(&aside, folder) {
            // Another process was faster.
            Err(_) if folder.is_dir() => std::fs::remove_dir_all(&aside),
            renamed => renamed,
        }
    }

    /// A `uv`: the configured one, one on the path, or one installed beside the environments.
    async fn uv(&self, interpreter: &Interpreter, data_dir: &Path) -> io::Result<PathBuf> {
        if !self.settings.uv.is_empty() {
            return Ok(PathBuf::from(&self.settings.uv));
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
        let tools = data_dir.join("python/tools");
        let uv = tools.join("bin/uv");
        if !uv.exists() {
            progress("installing uv");
            let mut pip = Command::new(&interpreter.path);
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

    fn variables(&self) -> Vec<(OsString, OsString)> {
        let configured = self.settings.pass_env.iter().map(String::as_str);
        let names = PASSED.iter().copied().chain(configured);
        names
            .filter_map(|name| Some((name.into(), std::env::var_os(name)?)))
            .collect()
    }
}

/// A Python that is there and new enough.
struct Interpreter {
    path: PathBuf,
    version: String,
}

impl Interpreter {
    async fn find(name: &str) -> io::Result<Self> {
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
    fn key(&self, requirements: &[&str]) -> String {
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

/// pip's own setting names a certificate file that uv does not know of.
fn use_pips_certificates(command: &mut Command) {
    if let (Some(file), None) = (
        std::env::var_os("PIP_CERT"),
        std::env::var_os("SSL_CERT_FILE"),
    ) {
        command.env("SSL_CERT_FILE", file);
    }
}

/// Runs a command with its messages on our standard error.
async fn run(command: &mut Command) -> io::Result<()> {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .status()
        .await?;
    if status.success() {
        return Ok(());
    }
    let program = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    Err(io::Error::other(format!("`{program}` failed: {status}")))
}

/// Tells the person at the terminal, whatever the log level is.
#[expect(
    clippy::print_stderr,
    reason = "progress is for the terminal, not for the log"
)]
fn progress(message: &str) {
    eprintln!("sluicegate: {message}");
}
