//! The programs that are measured, each started on a port of its own and ended when it is dropped.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::target::Target;

/// Below the ports that the kernel gives to clients, so that no connection takes one away.
const PORTS: std::ops::Range<u16> = 21_000..32_000;
/// Open WebUI takes its time.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Lines that are told of a peer that did not start.
const TOLD_LINES: usize = 10;
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
    /// Where it takes chats, with which key, if not as OpenAI does of everybody.
    door: Option<Door>,
    child: Child,
    folder: Arc<TempDir>,
}

/// Where a peer takes chats.
#[derive(Debug)]
pub(crate) struct Door {
    /// The path.
    pub(crate) path: &'static str,
    /// A key that is let in.
    pub(crate) key: String,
}

/// What can be started.
#[derive(Debug)]
pub(crate) struct Program {
    /// What it is called in tables.
    pub(crate) name: &'static str,
    /// What it says of its version.
    pub(crate) version: String,
    /// Where it will listen.
    pub(crate) addr: SocketAddr,
    /// Where it keeps its files.
    pub(crate) folder: Arc<TempDir>,
    /// How it is started.
    pub(crate) command: Command,
}

impl Program {
    /// Starts it and waits until it listens.
    pub(crate) fn start(self) -> Result<Peer> {
        let mut peer = self.spawn()?;
        let begun = Instant::now();
        while TcpStream::connect(peer.addr).is_err() {
            peer.ensure_it_runs(begun)?;
            sleep(Duration::from_millis(20));
        }
        Ok(peer)
    }

    /// Starts it, and does not wait.
    pub(crate) fn spawn(mut self) -> Result<Peer> {
        let output = File::create(self.folder.path().join("output"))?;
        let child = self
            .command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{} cannot be started", self.name))?;
        Ok(Peer {
            name: self.name,
            version: self.version,
            addr: self.addr,
            door: None,
            child,
            folder: self.folder,
        })
    }
}

impl Peer {
    /// Its process id; its workers are below.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The same peer, asked through `door`.
    pub(crate) fn with_door(mut self, door: Door) -> Self {
        self.door = Some(door);
        self
    }

    /// What clients ask for `model`.
    pub(crate) fn target(&self, model: &'static str) -> Target {
        let open = Target::open(self.addr, model);
        match &self.door {
            Some(door) => Target {
                path: door.path,
                key: Some(door.key.clone()),
                ..open
            },
            None => open,
        }
    }

    /// Fails if it has ended, or has been starting for too long since `begun`.
    pub(crate) fn ensure_it_runs(&mut self, begun: Instant) -> Result<()> {
        if self.child.try_wait()?.is_some() || begun.elapsed() > START_LIMIT {
            bail!("{} did not start: {}", self.name, self.output());
        }
        Ok(())
    }

    /// What it printed last, for messages.
    fn output(&self) -> String {
        let printed = fs::read_to_string(self.folder.path().join("output")).unwrap_or_default();
        let lines: Vec<_> = printed.lines().collect();
        lines[lines.len().saturating_sub(TOLD_LINES)..].join("\n")
    }

    /// Asks it to end, and waits. A signal that cannot be caught would leave its workers behind, to spoil the next
    /// run.
    fn stop(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
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

/// A folder that goes with its peer.
pub(crate) fn folder() -> Result<Arc<TempDir>> {
    let folder = tempfile::Builder::new()
        .prefix("sluicegate-bench-")
        .tempdir()?;
    Ok(Arc::new(folder))
}
