//! The proxies that the gateway is compared with, each as it comes.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, anyhow, bail};
use serde_json::json;

use crate::gateway::PLAIN;
use crate::peers::{Door, Peer, Program, folder, free_address};
use crate::target::CHATS;

/// The argument with which this program is the bare pass-through.
pub(crate) const PASS: &str = "--pass";

/// Where `benches/install-peers` puts what is no Debian package.
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench-peers");

/// It takes none that can be guessed.
const LITELLM_KEY: &str = "sk-4f1d8a6be2c94730a5d7c0b91e68f253";

/// Keeps who would listen on every address to 127.0.0.1.
const LOOPBACK: &str = "lib/loopback.so";

/// nginx, passing everything to `upstream`.
pub(crate) fn nginx(upstream: SocketAddr) -> Result<Peer> {
    let program = find("nginx")?;
    let (addr, folder) = (free_address()?, folder()?);
    let file = folder.path().join("nginx.conf");
    fs::write(&file, nginx_config(addr, upstream, folder.path()))?;
    let mut command = Command::new(program);
    command.arg("-p").arg(folder.path()).arg("-c").arg(&file);
    let version = said(Command::new(find("nginx")?).arg("-v"), "nginx")?;
    let version = version.trim_start_matches("nginx version: ").to_owned();
    Program {
        name: "nginx",
        version,
        addr,
        folder,
        command,
    }
    .start()
}

/// hyper alone, which this program is with other arguments.
pub(crate) fn bare(upstream: SocketAddr) -> Result<Peer> {
    let (addr, folder) = (free_address()?, folder()?);
    let mut command = Command::new(std::env::current_exe()?);
    command.args([PASS, &addr.to_string(), &upstream.to_string()]);
    Program {
        name: "bare hyper",
        version: "bare hyper".to_owned(),
        addr,
        folder,
        command,
    }
    .start()
}

/// HAProxy, passing everything to `upstream`.
pub(crate) fn haproxy(upstream: SocketAddr) -> Result<Peer> {
    let program = find("haproxy")?;
    let (addr, folder) = (free_address()?, folder()?);
    let file = folder.path().join("haproxy.cfg");
    fs::write(&file, haproxy_config(addr, upstream))?;
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(&file);
    let version = said(Command::new(find("haproxy")?).arg("-v"), "HAProxy")?;
    let version = version
        .replace(" version ", "/")
        .split(' ')
        .next()
        .unwrap_or_default()
        .to_owned();
    Program {
        name: "HAProxy",
        version,
        addr,
        folder,
        command,
    }
    .start()
}

/// The router of vLLM in Rust.
pub(crate) fn vllm_router(upstream: SocketAddr) -> Result<Peer> {
    let program = find("vllm-router")?;
    let (addr, folder) = (free_address()?, folder()?);
    let mut command = Command::new(program);
    command.current_dir(folder.path()).args([
        "--host",
        "127.0.0.1",
        "--port",
        &addr.port().to_string(),
        "--policy",
        "round_robin",
        "--log-level",
        "warning",
        "--prometheus-port",
        &free_address()?.port().to_string(),
        "--worker-urls",
        &format!("http://{upstream}"),
    ]);
    Program {
        name: "vllm-router",
        version: installed("vllm-router")?,
        addr,
        folder,
        command,
    }
    .start()
}

/// The gateway of LiteLLM.
pub(crate) fn litellm(upstream: SocketAddr) -> Result<Peer> {
    let program = find("litellm")?;
    let (addr, folder) = (free_address()?, folder()?);
    let file = folder.path().join("litellm.yaml");
    fs::write(
        &file,
        format!(
            "model_list:\n- model_name: {PLAIN}\n  litellm_params:\n    model: openai/{PLAIN}\n    \
             api_base: http://{upstream}/v1\n    api_key: none\n"
        ),
    )?;
    let mut command = Command::new(program);
    command
        .current_dir(folder.path())
        .arg("--config")
        .arg(&file);
    command.args(["--host", "127.0.0.1", "--port", &addr.port().to_string()]);
    // It would ask the web for prices, and does not start without a key.
    command.env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
    command.env("LITELLM_MASTER_KEY", LITELLM_KEY);
    let program = Program {
        name: "LiteLLM",
        version: installed("litellm")?,
        addr,
        folder,
        command,
    };
    Ok(program.start()?.with_door(Door {
        path: CHATS,
        key: LITELLM_KEY.to_owned(),
    }))
}

/// The gateway `onwards`. It would listen on every address of the machine.
pub(crate) fn onwards(upstream: SocketAddr) -> Result<Peer> {
    let (program, loopback) = (find("onwards")?, Path::new(INSTALLED).join(LOOPBACK));
    if !loopback.is_file() {
        bail!(
            "{} is missing: see benches/install-peers",
            loopback.display()
        );
    }
    let (addr, folder) = (free_address()?, folder()?);
    let file = folder.path().join("onwards.json");
    let targets = json!({"targets": {PLAIN: {"url": format!("http://{upstream}")}}});
    fs::write(&file, targets.to_string())?;
    let version = said(Command::new(&program).arg("--version"), "onwards")?;
    let mut command = Command::new(program);
    command.env("LD_PRELOAD", loopback).arg("-f").arg(file);
    let ports = [addr, free_address()?].map(|addr| addr.port().to_string());
    command.args(["--port", &ports[0], "--metrics-port", &ports[1]]);
    command.args(["--shutdown-delay-secs", "0"]);
    Program {
        name: "onwards",
        version: version.replace(' ', "/"),
        addr,
        folder,
        command,
    }
    .start()
}

/// The first line that a program prints and that begins so.
pub(crate) fn said(command: &mut Command, beginning: &str) -> Result<String> {
    let output = command.output()?;
    let printed = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&printed);
    let mut lines = text.lines().map(str::trim);
    let line = lines.find(|line| line.starts_with(beginning));
    Ok(line.unwrap_or("of unknown version").to_owned())
}

/// The version of a package that `benches/install-peers` installed beside the others.
fn installed(package: &str) -> Result<String> {
    version_of(&Path::new(INSTALLED).join("bin/python"), package)
}

/// The version of a package in the environment of a Python.
pub(crate) fn version_of(python: &Path, package: &str) -> Result<String> {
    let script =
        format!("import importlib.metadata as m; print('{package}/' + m.version('{package}'))");
    said(Command::new(python).arg("-c").arg(script), package)
}

/// A program of the system or of `benches/install-peers`.
pub(crate) fn find(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = Path::new(INSTALLED).join("bin");
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), installed]);
    let mut programs = folders.map(|folder| folder.join(name));
    programs
        .find(|program| program.is_file())
        .ok_or_else(|| anyhow!("{name} is not installed: see benches/install-peers"))
}

/// Its defaults, and limits on time, without which it warns.
fn haproxy_config(addr: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "global
            maxconn 4096
        defaults
            mode http
            timeout connect 5s
            timeout client 3600s
            timeout server 3600s
        frontend in
            bind {addr}
            default_backend out
        backend out
            server bench {upstream}\n"
    )
}

/// As many workers as the gateway has threads, nothing logged, no answer buffered, no body written to a file,
/// connections kept.
fn nginx_config(addr: SocketAddr, upstream: SocketAddr, folder: &Path) -> String {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let folder = folder.display();
    format!(
        "daemon off;
        worker_processes {workers};
        pid {folder}/nginx.pid;
        error_log {folder}/error.log;
        events {{ worker_connections 16384; }}
        http {{
            access_log off;
            client_body_buffer_size 64k;
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
