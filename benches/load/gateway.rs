//! The gateway, set up in several ways.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::Result;
use tempfile::TempDir;

use crate::peers::{Peer, Program, folder, free_address};

/// The model on which no function runs.
pub(crate) const PLAIN: &str = "plain";
/// The model with a Python inlet filter.
pub(crate) const INLET: &str = "inlet";
/// The Python inlet filter that is asynchronous, on no model.
pub(crate) const ASYNC_INLET: &str = "async_inlet";
/// The model with a Python stream filter.
pub(crate) const STREAM: &str = "stream";
/// Models with so many Python inlet filters, each in a process of its own.
pub(crate) const CHAINS: [(usize, &str); 4] = [
    (1, "chain-1"),
    (2, "chain-2"),
    (3, "chain-3"),
    (5, "chain-5"),
];
/// Models with so many Python inlet filters, all of one group in one process.
pub(crate) const GROUPS: [(usize, &str); 3] = [(2, "group-2"), (3, "group-3"), (5, "group-5")];
/// The model whose inlet filter never comes back.
pub(crate) const HANG: &str = "hang";
/// The model and the inlet filter of that name, which is changed meanwhile.
pub(crate) const CHANGED: &str = "changed";
/// The model with a native filter that writes one member of each request anew.
pub(crate) const CLAMP: &str = "clamp";
/// The model with a native filter that takes an address out of each request.
pub(crate) const REDACT: &str = "redact";
/// The model with a native filter that replaces a word of each event.
pub(crate) const WORDS: &str = "words";
/// The model with a native filter that looks for addresses and numbers in each event, and finds none.
pub(crate) const WATCH: &str = "watch";
/// The key of the gateways' administrator.
pub(crate) const ADMIN_KEY: &str = "sk-bench-administrator-of-load-runs";

/// The functions in Python, a file each.
pub(crate) const FUNCTIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/load/functions");
const GATEWAY: &str = env!("CARGO_BIN_EXE_sluicegate");
/// Python that the functions run in, where it is not to be `python3`.
const PYTHON_VARIABLE: &str = "SLUICEGATE_BENCH_PYTHON";
/// The native filters, each for the model of its name.
const NATIVE: [(&str, &str); 4] = [
    (
        CLAMP,
        r#"native = "clamp"
        valves = { max_temperature = 0.5 }
        "#,
    ),
    (
        REDACT,
        r#"native = "redact"
        valves = { answers = false }
        "#,
    ),
    (
        WORDS,
        r#"native = "words"
        valves = { words = "word", action = "replace", replacement = "text", requests = false }
        "#,
    ),
    (
        WATCH,
        r#"native = "redact"
        valves = { requests = false }
        "#,
    ),
];

/// A gateway that is set up. It may be started more than once; what it keeps stays in its folder.
#[derive(Debug)]
pub(crate) struct Gateway {
    name: &'static str,
    addr: SocketAddr,
    folder: Arc<TempDir>,
}

impl Gateway {
    /// One without functions.
    pub(crate) fn plain(upstream: SocketAddr) -> Result<Self> {
        Self::set_up("sluicegate", upstream, "")
    }

    /// One with functions in Rust.
    pub(crate) fn with_native(upstream: SocketAddr) -> Result<Self> {
        let functions = NATIVE.map(|(id, settings)| function(id, &[id]) + settings);
        Self::set_up("sluicegate", upstream, &functions.concat())
    }

    /// One with functions in Python.
    pub(crate) fn with_python(upstream: SocketAddr) -> Result<Self> {
        let functions = [INLET, STREAM, HANG, CHANGED].map(|id| function(id, &[id]));
        let unused = function(ASYNC_INLET, &[]);
        let links = (1..=5).map(|nth| function(&format!("link_{nth}"), &with(&CHAINS, nth)));
        let members = (1..=5).map(|nth| {
            let member = function(&format!("member_{nth}"), &with(&GROUPS, nth));
            member + "group = \"members\"\n"
        });
        let extra = format!(
            "{}[functions]\ndir = \"{FUNCTIONS}\"\n{}{unused}{}",
            python(),
            functions.concat(),
            links.chain(members).collect::<String>()
        );
        Self::set_up("sluicegate with Python", upstream, &extra)
    }

    /// One that may run Python, with no function yet.
    pub(crate) fn empty(upstream: SocketAddr) -> Result<Self> {
        Self::set_up("sluicegate", upstream, &python())
    }

    fn set_up(name: &'static str, upstream: SocketAddr, extra: &str) -> Result<Self> {
        let gateway = Self {
            name,
            addr: free_address()?,
            folder: folder()?,
        };
        let config = format!(
            "listen = \"{}\"\ndata_dir = \"{}\"\n[auth]\nmode = \"open\"\nadmin_key = \"{ADMIN_KEY}\"\n\
             [[upstreams]]\nname = \"bench\"\nkind = \"openai\"\nbase_url = \"http://{upstream}/v1\"\n\
             models = [{}]\n{extra}",
            gateway.addr,
            gateway.data().display(),
            quoted(&models())
        );
        fs::write(gateway.folder.path().join("sluicegate.toml"), config)?;
        Ok(gateway)
    }

    /// Where it keeps what is installed.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(&self) -> Result<Peer> {
        self.program().start()
    }

    /// Starts it, and does not wait.
    pub(crate) fn spawn(&self) -> Result<Peer> {
        self.program().spawn()
    }

    fn program(&self) -> Program {
        let mut command = Command::new(GATEWAY);
        let file = self.folder.path().join("sluicegate.toml");
        command.arg("serve").arg("--config").arg(file);
        command.args(["--log-level", "warn"]);
        Program {
            name: self.name,
            version: concat!("sluicegate ", env!("CARGO_PKG_VERSION")).to_owned(),
            addr: self.addr,
            folder: Arc::clone(&self.folder),
            command,
        }
    }
}

/// Every model that is asked for.
pub(crate) fn models() -> Vec<&'static str> {
    let alone = [
        PLAIN, INLET, STREAM, HANG, CHANGED, CLAMP, REDACT, WORDS, WATCH,
    ];
    let chains = CHAINS.map(|(_, model)| model);
    let groups = GROUPS.map(|(_, model)| model);
    [&alone[..], &chains, &groups].concat()
}

/// What a configuration says of Python.
pub(crate) fn python() -> String {
    let interpreter = std::env::var(PYTHON_VARIABLE).unwrap_or_else(|_| "python3".to_owned());
    format!("[python]\ninterpreter = \"{interpreter}\"\nbase = false\n")
}

fn function(id: &str, models: &[&str]) -> String {
    format!("[function.{id}]\n{}", only_for(models))
}

fn only_for(models: &[&str]) -> String {
    format!("global = false\nmodels = [{}]\n", quoted(models))
}

/// Those of `chains` that have at least `nth` filters.
fn with(chains: &[(usize, &'static str)], nth: usize) -> Vec<&'static str> {
    let chains = chains.iter().filter(|(count, _)| *count >= nth);
    chains.map(|(_, model)| *model).collect()
}

/// As TOML wants a list.
fn quoted(models: &[&str]) -> String {
    let models: Vec<_> = models.iter().map(|model| format!("\"{model}\"")).collect();
    models.join(", ")
}
