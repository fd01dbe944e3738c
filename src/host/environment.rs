//! The Python environments that functions run in.
//!
//! The base environment holds what most functions import. It is made on first need, aside, and renamed into place;
//! `uv` makes it, which itself comes from its wheel by the interpreter's own pip. Without a network functions run on
//! the bare interpreter, with what its standard library has.

mod build;
mod ledger;
mod report;

pub use self::report::{EnvironmentReport, EnvironmentState};

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::warn;

use self::build::{Builder, progress};
use self::ledger::Ledger;

use super::interpreter::Interpreter;
use super::isolation::IsolationSettings;
use super::requirements::{self, Requirement};
use super::zygote::Launch;
use super::{runtime, scratch};
use crate::config::{Isolation, Requirements};

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
    /// What functions may have installed beyond that.
    pub leave: Leave,
    /// Further variables that functions may see.
    pub pass_env: Vec<String>,
    /// How functions are isolated.
    pub isolation: IsolationSettings,
    /// Whether what functions print goes to the gateway's log.
    pub log_prints: bool,
}

/// The operator's leave to install what functions require.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leave {
    /// Whether anything may be installed.
    pub policy: Requirements,
    /// The names that may be, where that depends on names.
    pub approved: Vec<String>,
}

/// The environments of one data folder.
#[derive(Debug)]
pub(super) struct Environments {
    settings: PythonSettings,
    /// What may be installed now. A std lock is enough: it is held for the clone or the swap of an `Arc`.
    leave: RwLock<Arc<Leave>>,
    /// What became of the environments that were made.
    ledger: Ledger,
    /// How to start in the base environment, and until when that stands. Held while it is made, so that one start
    /// serves everybody.
    base: Mutex<Option<(Launch, Option<Instant>)>>,
    /// Held while an environment is made, so that one is made at a time.
    making: Mutex<()>,
}

impl Environments {
    pub(super) fn new(settings: PythonSettings) -> Self {
        Self {
            leave: RwLock::new(Arc::new(settings.leave.clone())),
            ledger: Ledger::default(),
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
        requirements::check_approved(&missing, &self.leave())?;
        let python = self.with_requirements(&wanted).await?;
        Ok(Launch { python, ..base })
    }

    /// What may be installed now.
    fn leave(&self) -> Arc<Leave> {
        let leave = self.leave.read();
        Arc::clone(&leave.expect("no code that holds this lock panics"))
    }

    /// Takes over what may be installed from now on, and tries again what could not be made.
    pub(super) fn set_leave(&self, leave: Leave) {
        *self
            .leave
            .write()
            .expect("no code that holds this lock panics") = Arc::new(leave);
        self.ledger.forget_failures();
    }

    /// Lets an environment that could not be made be tried again: somebody asks for it anew.
    pub(super) fn retry(&self, wanted: &[String]) {
        if let Ok(wanted) = requirements::parse(wanted) {
            self.ledger.forget_failure(&contents_for(&wanted));
        }
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
                is_apart: self.settings.isolation.demand != Isolation::Off,
            },
            is_whole,
        ))
    }

    /// The base environment's Python, `None` where it cannot be made.
    async fn base(&self, interpreter: &Interpreter) -> Option<PathBuf> {
        let contents: Vec<String> = BASE.iter().map(|name| (*name).to_owned()).collect();
        self.ledger.forget_failure(&contents);
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
        self.ensure(&interpreter, "set", &contents_for(wanted))
            .await
    }

    /// The Python of an environment with these contents, made if it is not there. What could not be made is not tried
    /// again until somebody asks for it anew.
    async fn ensure(
        &self,
        interpreter: &Interpreter,
        kind: &str,
        contents: &[String],
    ) -> io::Result<PathBuf> {
        let folder = self.folder(interpreter, kind, contents)?;
        let python = folder.join("bin/python");
        if python.exists() {
            return Ok(python);
        }
        self.ledger.check(contents)?;
        let _making = self.making.lock().await;
        if python.exists() {
            return Ok(python);
        }
        // It may have failed while we waited.
        self.ledger.check(contents)?;
        let data_dir = std::path::absolute(&self.settings.data_dir)?;
        let builder = Builder {
            interpreter,
            data_dir: &data_dir,
            uv: &self.settings.uv,
        };
        let build = self.ledger.begin(contents);
        build.end(builder.build(&folder, contents).await)?;
        Ok(python)
    }

    /// Where the environment with these contents is, or would be.
    fn folder(
        &self,
        interpreter: &Interpreter,
        kind: &str,
        contents: &[String],
    ) -> io::Result<PathBuf> {
        let data_dir = std::path::absolute(&self.settings.data_dir)?;
        let name = format!("{kind}-{}", interpreter.key(contents));
        Ok(data_dir.join("python/environments").join(name))
    }

    fn variables(&self) -> Vec<(OsString, OsString)> {
        let configured = self.settings.pass_env.iter().map(String::as_str);
        let names = PASSED.iter().copied().chain(configured);
        names
            .filter_map(|name| Some((name.into(), std::env::var_os(name)?)))
            .collect()
    }
}

/// What an environment holds for these requirements, in one order whatever theirs is.
fn contents_for(wanted: &[Requirement]) -> Vec<String> {
    let mut contents: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    contents.sort();
    contents.dedup();
    let free = BASE
        .iter()
        .filter(|name| !wanted.iter().any(|wanted| wanted.is_for(name)));
    contents.extend(free.map(|name| (*name).to_owned()));
    contents
}
