//! The programs that are measured, each started on a port of its own and ended when it is dropped.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::Instant;

/// The model on which no function runs.
pub(crate) const PLAIN: &str = "plain";
/// The model with a Python inlet filter.
pub(crate) const INLET: &str = "inlet";
/// The model with a Python stream filter.
pub(crate) const STREAM: &str = "stream";

/// Below the ports that the kernel gives to clients, so that no connection takes one away.
const PORTS: std::ops::Range<u16> = 21_000..32_000;
const GATEWAY: &str = env!("CARGO_BIN_EXE_sluicegate");
const FUNCTIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/load/functions");
/// Python that the functions run in, where it is not to be `python3`.
const PYTHON_VARIABLE: &str = "SLUICEGATE_BENCH_PYTHON";
const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A program that runs.
#[derive(Debug)]
pub(crate) struct Peer {
    /// What it is called in tables.
    pub(crate) name: &'static str,
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Peer {
    /// nginx, passing everything to `upstream`.
    pub(crate) fn nginx(upstream: SocketAddr) -> Result<Self> {
        let program = find_nginx()?;
        let (addr, folder) = (free_address()?, folder()?);
        let file = folder.path().join("nginx.conf");
        fs::write(&file, nginx_config(addr, upstream, folder.path()))?;
        let mut command = Command::new(program);
        command.arg("-p").arg(folder.path()).arg("-c").arg(&file);
        Self::start("nginx", addr, folder, &mut command)
    }

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
             [function.stream]\nglobal = false\nmodels = [\"{STREAM}\"]\n"
        );
        Self::serve("sluicegate with Python", upstream, &extra)
    }

    fn serve(name: &'static str, upstream: SocketAddr, extra: &str) -> Result<Self> {
        let (addr, folder) = (free_address()?, folder()?);
        let file = folder.path().join("sluicegate.toml");
        let data = folder.path().join("data");
        let config = format!(
            "listen = \"{addr}\"\ndata_dir = \"{}\"\n[auth]\nmode = \"open\"\n\
             [[upstreams]]\nname = \"bench\"\nkind = \"openai\"\nbase_url = \"http://{upstream}/v1\"\n\
             models = [\"{PLAIN}\", \"{INLET}\", \"{STREAM}\"]\n{extra}",
            data.display()
        );
        fs::write(&file, config)?;
        let mut command = Command::new(GATEWAY);
        command.arg("serve").arg("--config").arg(&file);
        Self::start(name, addr, folder, command.args(["--log-level", "warn"]))
    }

    fn start(
        name: &'static str,
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

/// What nginx says of its version.
pub(crate) fn nginx_version() -> Result<String> {
    let output = Command::new(find_nginx()?).arg("-v").output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    Ok(text.trim().trim_start_matches("nginx version: ").to_owned())
}

fn find_nginx() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let mut programs = folders.map(|folder| folder.join("nginx"));
    programs.find(|program| program.is_file()).ok_or_else(|| {
        anyhow!(
            "nginx is not installed, and the load runs compare with it: `apt-get install nginx-light`, or \
             `apt-get download nginx`, `dpkg -x` it and put its usr/sbin on PATH"
        )
    })
}

fn folder() -> Result<TempDir> {
    Ok(tempfile::Builder::new()
        .prefix("sluicegate-bench-")
        .tempdir()?)
}

/// As many workers as the gateway has threads, nothing logged, nothing buffered, connections kept.
fn nginx_config(addr: SocketAddr, upstream: SocketAddr, folder: &Path) -> String {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let folder = folder.display();
    format!(
        "daemon off;
        worker_processes {workers};
        pid {folder}/nginx.pid;
        error_log {folder}/error.log;
        events {{ worker_connections 4096; }}
        http {{
            access_log off;
            client_body_temp_path {folder}/body;
            proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            keepalive_requests 10000000;
            upstream bench {{ server {upstream}; keepalive 512; keepalive_requests 10000000; }}
            server {{
                listen {addr};
                location / {{
                    proxy_pass http://bench;
                    proxy_http_version 1.1;
                    proxy_set_header Connection \"\";
                    proxy_buffering off;
                    tcp_nodelay on;
                }}
            }}
        }}"
    )
}
