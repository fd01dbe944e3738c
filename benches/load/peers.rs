//! The programs that are measured, each started on a port of its own and ended when it is dropped; the gateway among
//! them.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::Instant;

/// The model on which no function runs.
pub(crate) const PLAIN: &str = "plain";
/// The model with a Python inlet filter.
pub(crate) const INLET: &str = "inlet";
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
/// The key of the gateways' administrator.
pub(crate) const ADMIN_KEY: &str = "sk-bench-administrator-of-load-runs";

/// Below the ports that the kernel gives to clients, so that no connection takes one away.
const PORTS: std::ops::Range<u16> = 21_000..32_000;
const GATEWAY: &str = env!("CARGO_BIN_EXE_sluicegate");
const FUNCTIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/load/functions");
/// Python that the functions run in, where it is not to be `python3`.
const PYTHON_VARIABLE: &str = "SLUICEGATE_BENCH_PYTHON";
/// LiteLLM takes its time.
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A program that runs.
#[derive(Debug)]
pub(crate) struct Peer {
    /// What it is called in tables.
    pub(crate) name: &'static str,
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    /// What it says of its version.
    pub(crate) version: String,
    child: Child,
    folder: TempDir,
}

impl Peer {
    /// The gateway without functions.
    pub(crate) fn gateway(upstream: SocketAddr) -> Result<Self> {
        Self::serve("sluicegate", upstream, "")
    }

    /// The gateway with functions in Python.
    pub(crate) fn gateway_with_python(upstream: SocketAddr) -> Result<Self> {
        let interpreter = std::env::var(PYTHON_VARIABLE).unwrap_or_else(|_| "python3".to_owned());
        let extra = format!(
            "[python]\ninterpreter = \"{interpreter}\"\nbase = false\n\
             [functions]\ndir = \"{FUNCTIONS}\"\n\
             [function.inlet]\nglobal = false\nmodels = [\"{INLET}\"]\n\
             [function.stream]\nglobal = false\nmodels = [\"{STREAM}\"]\n\
             [function.hang]\nglobal = false\nmodels = [\"{HANG}\"]\n\
             [function.{CHANGED}]\nglobal = false\nmodels = [\"{CHANGED}\"]\n"
        );
        let links = (1..=5).map(|nth| link("link", nth, &CHAINS, ""));
        let members = (1..=5).map(|nth| link("member", nth, &GROUPS, "group = \"members\"\n"));
        let extra = extra + &links.chain(members).collect::<String>();
        Self::serve("sluicegate with Python", upstream, &extra)
    }

    fn serve(name: &'static str, upstream: SocketAddr, extra: &str) -> Result<Self> {
        let (addr, folder) = (free_address()?, folder()?);
        let file = folder.path().join("sluicegate.toml");
        let data = folder.path().join("data");
        let (chains, groups) = (quoted(&CHAINS, 0), quoted(&GROUPS, 0));
        let config = format!(
            "listen = \"{addr}\"\ndata_dir = \"{}\"\n[auth]\nmode = \"open\"\nadmin_key = \"{ADMIN_KEY}\"\n\
             [[upstreams]]\nname = \"bench\"\nkind = \"openai\"\nbase_url = \"http://{upstream}/v1\"\n\
             models = [\"{PLAIN}\", \"{INLET}\", \"{STREAM}\", \"{HANG}\", \"{CHANGED}\", {chains}, {groups}]\n{extra}",
            data.display()
        );
        fs::write(&file, config)?;
        let mut command = Command::new(GATEWAY);
        command.arg("serve").arg("--config").arg(&file);
        let version = concat!("sluicegate ", env!("CARGO_PKG_VERSION")).to_owned();
        Self::start(
            name,
            version,
            addr,
            folder,
            command.args(["--log-level", "warn"]),
        )
    }

    /// Starts a program that will listen on `addr`, and waits until it does.
    pub(crate) fn start(
        name: &'static str,
        version: String,
        addr: SocketAddr,
        folder: TempDir,
        command: &mut Command,
    ) -> Result<Self> {
        let output = File::create(folder.path().join("output"))?;
        let child = command
            .stdin(std::process::Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        let mut peer = Self {
            name,
            version,
            addr,
            child,
            folder,
        };
        peer.wait_until_it_listens()?;
        Ok(peer)
    }

    /// Its process id; its workers are below.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(self.addr).is_err() {
            if self.child.try_wait()?.is_some() || begun.elapsed() > START_LIMIT {
                bail!("{} did not start: {}", self.name, self.output());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What it printed, for messages.
    fn output(&self) -> String {
        fs::read_to_string(self.folder.path().join("output")).unwrap_or_default()
    }

    /// Asks it to end, and waits. A signal that cannot be caught would leave its workers behind, to spoil the next
    /// run.
    fn stop(&mut self) -> Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("no process id")?, Signal::TERM)?;
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begun.elapsed() > STOP_LIMIT {
                self.child.kill()?;
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("{} did not end: {error:#}", self.name);
        }
    }
}

/// An address on which nothing listens.
pub(crate) fn free_address() -> Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(PORTS.start);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if !PORTS.contains(&port) {
            bail!("no port below {} is free", PORTS.end);
        }
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(addr).is_ok() {
            return Ok(addr);
        }
    }
}

/// The filter that every one of `chains` of at least `nth` filters has.
fn link(name: &str, nth: usize, chains: &[(usize, &str)], more: &str) -> String {
    let models = quoted(chains, nth);
    format!("[function.{name}_{nth}]\nglobal = false\nmodels = [{models}]\n{more}")
}

/// The models with at least so many filters, as TOML wants them.
fn quoted(chains: &[(usize, &str)], at_least: usize) -> String {
    let models = chains.iter().filter(|(count, _)| *count >= at_least);
    let models: Vec<_> = models.map(|(_, model)| format!("\"{model}\"")).collect();
    models.join(", ")
}

/// A folder that goes with its peer.
pub(crate) fn folder() -> Result<TempDir> {
    Ok(tempfile::Builder::new()
        .prefix("sluicegate-bench-")
        .tempdir()?)
}
