//! The proxies that the gateway is compared with, each as it comes.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, anyhow};

use crate::peers::{PLAIN, Peer, folder, free_address};

/// The argument with which this program is the bare pass-through.
pub(crate) const PASS: &str = "--pass";

/// Where `benches/install-peers` puts what is no Debian package.
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench-peers");

/// nginx, passing everything to `upstream`.
pub(crate) fn nginx(upstream: SocketAddr) -> Result<Peer> {
    let program = find("nginx")?;
    let (addr, folder) = (free_address()?, folder()?);
    let file = folder.path().join("nginx.conf");
    fs::write(&file, nginx_config(addr, upstream, folder.path()))?;
    let mut command = Command::new(program);
    command.arg("-p").arg(folder.path()).arg("-c").arg(&file);
    let version = first_line(Command::new(find("nginx")?).arg("-v"))?;
    let version = version.trim_start_matches("nginx version: ").to_owned();
    Peer::start("nginx", version, addr, folder, &mut command)
}

/// hyper alone, which this program is with other arguments.
pub(crate) fn bare(upstream: SocketAddr) -> Result<Peer> {
    let (addr, folder) = (free_address()?, folder()?);
    let mut command = Command::new(std::env::current_exe()?);
    command.args([PASS, &addr.to_string(), &upstream.to_string()]);
    Peer::start(
        "bare hyper",
        "bare hyper".to_owned(),
        addr,
        folder,
        &mut command,
    )
}

/// HAProxy, passing everything to `upstream`.
pub(crate) fn haproxy(upstream: SocketAddr) -> Result<Peer> {
    let program = find("haproxy")?;
    let (addr, folder) = (free_address()?, folder()?);
    let file = folder.path().join("haproxy.cfg");
    fs::write(&file, haproxy_config(addr, upstream))?;
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(&file);
    let version = first_line(Command::new(find("haproxy")?).arg("-v"))?;
    let version = version
        .replace(" version ", "/")
        .split(' ')
        .next()
        .unwrap_or_default()
        .to_owned();
    Peer::start("HAProxy", version, addr, folder, &mut command)
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
    Peer::start(
        "vllm-router",
        installed("vllm-router")?,
        addr,
        folder,
        &mut command,
    )
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
    Peer::start("LiteLLM", installed("litellm")?, addr, folder, &mut command)
}

/// The first line that a program prints.
pub(crate) fn first_line(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let printed = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&printed);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// The version of a package that `benches/install-peers` installed.
fn installed(package: &str) -> Result<String> {
    let python = Path::new(INSTALLED).join("bin/python");
    let script =
        format!("import importlib.metadata as m; print('{package}/' + m.version('{package}'))");
    first_line(Command::new(python).arg("-c").arg(script))
}

/// A program of the system or of `benches/install-peers`.
fn find(name: &str) -> Result<PathBuf> {
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
            maxconn 20000
        defaults
            mode http
            timeout connect 5s
            timeout client 3600s
            timeout server 3600s
        frontend in
            bind {addr}
            default_backend out
        backend out
            server bench {upstream}
        "
    )
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
        events {{ worker_connections 16384; }}
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
