//! The Python environments that functions run in.
//!
//! The base environment holds what most functions import. It is made on first need, aside, and renamed into place;
//! `uv` makes it, which itself comes from its wheel by the interpreter's own pip. Without a network functions run on
//! the bare interpreter, with what its standard library has.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use super::interpreter::Interpreter;
use super::isolation::IsolationSettings;
use super::requirements::{self, Requirement};
use super::zygote::Launch;
use super::{runtime, scratch};
use crate::config::Requirements;

/// What the base environment holds, by the imports of community functions.
const BASE: &[&str] = &[
    "pydantic>=2,<3",
    "fastapi",
    "httpx",
    "requests",
    "aiohttp",
    "packaging",
];

/// How long the bare interpreter stands in for a base environment that could not be made.
const RETRY: Duration = Duration::from_secs(60);

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
    /// Whether what functions require beyond that may be installed.
    pub requirements: Requirements,
    /// The names that may be, by the operator's leave.
    pub approved: Vec<String>,
    /// Further variables that functions may see.
    pub pass_env: Vec<String>,
    /// How functions are isolated.
    pub isolation: IsolationSettings,
    /// Whether what functions print goes to the gateway's log.
    pub log_prints: bool,
}

/// The environments of one data folder.
#[derive(Debug)]
pub(super) struct Environments {
    settings: PythonSettings,
    /// How to start in the base environment, and until when that stands. Held while it is made, so that one start
    /// serves everybody.
    base: Mutex<Option<(Launch, Option<Instant>)>>,
    /// Held while an environment is made, so that one is made at a time.
    making: Mutex<()>,
}

impl Environments {
    pub(super) fn new(settings: PythonSettings) -> Self {
        Self {
            settings,
            base: Mutex::default(),
            making: Mutex::default(),
        }
    }

    /// How to start a zygote in an environment that has `wanted`, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// If a requirement is none, or nobody approved it, or the environment cannot be made.
    pub(super) async fn launch(&self, wanted: &[String]) -> io::Result<Launch> {
        let base = self.base_launch().await?;
        let wanted = requirements::parse(wanted)?;
        let missing = requirements::missing(&base.python, &wanted).await?;
        if missing.is_empty() {
            return Ok(base);
        }
        requirements::check_approved(
            &missing,
            self.settings.requirements,
            &self.settings.approved,
        )?;
        let python = self.with_requirements(&wanted).await?;
        Ok(Launch { python, ..base })
    }

    async fn base_launch(&self) -> io::Result<Launch> {
        let mut base = self.base.lock().await;
        if let Some((launch, until)) = &*base
            && until.is_none_or(|until| Instant::now() < until)
        {
            return Ok(launch.clone());
        }
        let (launch, is_whole) = self.prepare().await?;
        // A network that was away may come back.
        let until = (!is_whole).then(|| Instant::now() + RETRY);
        *base = Some((launch.clone(), until));
        Ok(launch)
    }

    /// How to start in the base environment, and whether it is that, not the bare interpreter.
    async fn prepare(&self) -> io::Result<(Launch, bool)> {
        let data_dir = std::path::absolute(&self.settings.data_dir)?;
        let interpreter = Interpreter::find(&self.settings.interpreter).await?;
        let runtime = runtime::unpack(&data_dir)?;
        let base = if self.settings.base {
            self.base(&interpreter).await
        } else {
            Some(interpreter.path.clone())
        };
        let is_whole = base.is_some();
        let python = base.unwrap_or_else(|| interpreter.path.clone());
        let scratch = scratch::make(&data_dir.join("python/scratch"))?;
        Ok((
            Launch {
                python,
                runtime,
                scratch,
                variables: self.variables(),
            },
            is_whole,
        ))
    }

    /// The base environment's Python, `None` where it cannot be made.
    async fn base(&self, interpreter: &Interpreter) -> Option<PathBuf> {
        let contents: Vec<String> = BASE.iter().map(|name| (*name).to_owned()).collect();
        match self.ensure(interpreter, "base", &contents).await {
            Ok(python) => Some(python),
            Err(error) => {
                progress(
                    "the base environment could not be made; functions have Python's standard library only",
                );
                warn!(%error, "Python base environment could not be made, functions have the standard library only");
                None
            }
        }
    }

    /// The Python of an environment that has what functions usually import, and `wanted`.
    async fn with_requirements(&self, wanted: &[Requirement]) -> io::Result<PathBuf> {
        let interpreter = Interpreter::find(&self.settings.interpreter).await?;
        let mut contents: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        contents.sort();
        let free = BASE
            .iter()
            .filter(|name| !wanted.iter().any(|wanted| wanted.is_for(name)));
        contents.extend(free.map(|name| (*name).to_owned()));
        self.ensure(&interpreter, "set", &contents).await
    }

    /// The Python of an environment with these contents, made if it is not there.
    async fn ensure(
        &self,
        interpreter: &Interpreter,
        kind: &str,
        contents: &[String],
    ) -> io::Result<PathBuf> {
        let data_dir = std::path::absolute(&self.settings.data_dir)?;
        let folder = data_dir
            .join("python/environments")
            .join(format!("{kind}-{}", interpreter.key(contents)));
        let python = folder.join("bin/python");
        let _making = self.making.lock().await;
        if !python.exists() {
            progress(&format!(
                "making a Python environment, once: {}",
                contents.join(", ")
            ));
            self.build(interpreter, &data_dir, &folder, contents)
                .await?;
            info!(folder = %folder.display(), "Python environment is ready");
        }
        Ok(python)
    }

    /// Makes an environment aside and renames it into place, so that one that is there is whole.
    async fn build(
        &self,
        interpreter: &Interpreter,
        data_dir: &Path,
        folder: &Path,
        contents: &[String],
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
            .args(["pip", "install", "--quiet", "--python"])
            .arg(aside.join("bin/python"))
            .arg("--")
            .args(contents);
        use_pips_certificates(&mut install);
        let installed = run(&mut install).await;
        if let Err(error) = installed {
            // What was made so far is of no use; that it could not be removed is not the news.
            let _ = std::fs::remove_dir_all(&aside);
            return Err(io::Error::other(format!(
                "`{}` cannot be installed: {error}",
                contents.join("`, `")
            )));
        }
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
