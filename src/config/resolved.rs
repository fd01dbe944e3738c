//! What was written means: plain values, checked against each other.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::choices::{
    AuthMode, HalfClose, Isolation, LogFormat, LogLevel, ModelAccess, Requirements,
};
use super::hosts::Hosts;
use super::networks::Networks;
use super::secret::Secret;
use super::tables::{FunctionConfig, UpstreamConfig, UserConfig};
use super::{Sources, load};

/// The whole configuration. [`SETTINGS`](super::SETTINGS) says more of each setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file that was read, if one was.
    pub file: Option<PathBuf>,
    /// Address on which requests are taken.
    pub listen: SocketAddr,
    /// Folder of everything that is kept.
    pub data_dir: PathBuf,
    /// Threads that serve requests, 0 for one per core.
    pub threads: usize,
    /// Upstream for other routes whose body names no known model.
    pub passthrough_upstream: Option<String>,
    /// Routes that are opened although no filter runs on them.
    pub unfiltered_routes: Vec<String>,
    /// Peers that may name the user of a request.
    pub trusted_proxies: Networks,
    /// What a client's closing of its sending side means.
    pub half_close: HalfClose,
    /// How long open requests may go on after the signal to end.
    pub drain: Duration,
    /// The certificate, if TLS is on.
    pub tls: Option<TlsConfig>,
    /// What a client may use up.
    pub limits: LimitsConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// Who is let in.
    pub auth: AuthConfig,
    /// Who may call which model.
    pub models: ModelsConfig,
    /// What holds for all upstreams.
    pub upstream: UpstreamSettings,
    /// How functions are set up.
    pub functions: FunctionsConfig,
    /// How tools are used.
    pub tools: ToolsConfig,
    /// What functions run in.
    pub python: PythonConfig,
    /// The model servers, in the order of the file, then those of Open WebUI's variables.
    pub upstreams: Vec<UpstreamConfig>,
    /// The users, in the order of the file.
    pub users: Vec<UserConfig>,
}

/// The files of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM file with the certificate chain.
    pub cert: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
}

/// What a client may use up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Longest request body.
    pub body_bytes: usize,
    /// Memory of all request bodies together, in MiB.
    pub bodies_mib: usize,
    /// Near which memory load is shed.
    pub memory: MemoryLimit,
    /// How long the head of a request may take to arrive.
    pub head: Duration,
    /// How long the body of a request may stall.
    pub body: Duration,
    /// How long a connection without a request is kept open.
    pub idle: Duration,
    /// How long a client may go without taking any of its answer.
    pub write: Duration,
    /// Most connections at a time.
    pub connections: usize,
    /// Most connections of one address at a time, 0 for no limit.
    pub connections_per_address: usize,
}

/// How much memory the gateway may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryLimit {
    /// What its container and the machine allow.
    Auto,
    /// Any amount.
    Off,
    /// So many MiB, if container and machine allow as much.
    Mib(u64),
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// How lines are written.
    pub format: LogFormat,
    /// The least important lines that are written.
    pub level: LogLevel,
    /// Whether what functions print is among them.
    pub prints: bool,
}

/// Who is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthConfig {
    /// Whether callers need a key.
    pub mode: AuthMode,
    /// The key of the first admin, if it is not to be made.
    pub admin_key: Option<Secret>,
    /// How long the result of checking a key is kept.
    pub cache: Duration,
    /// Unknown keys from one address after which only keys known there are looked at, 0 for any number.
    pub unknown_keys_per_minute: u32,
}

/// Who may call which model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelsConfig {
    /// Who may call a model without an access list.
    pub access: ModelAccess,
    /// How long the upstreams' model lists are kept.
    pub cache: Duration,
}

/// What holds for all upstreams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// How long a connection may take.
    pub connect: Duration,
    /// How long an upstream may take until its answer begins.
    pub head: Duration,
    /// How long an answer that has begun may stall.
    pub idle: Duration,
    /// Certificate authorities to trust beside the usual ones.
    pub ca_file: Option<PathBuf>,
    /// How often members are checked, zero for never.
    pub health: Duration,
    /// Failures in a row after which a member is left out.
    pub eject_failures: u32,
    /// How long it is left out.
    pub eject: Duration,
}

/// How functions are set up.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionsConfig {
    /// Folder of function files.
    pub dir: PathBuf,
    /// Time limit of loading one.
    pub load: Duration,
    /// Whether administrators may have files fetched from the web.
    pub load_url: bool,
    /// From where they may be fetched although the addresses are private.
    pub load_url_hosts: Hosts,
    /// How a function is set up that has no entry.
    pub defaults: FunctionConfig,
    /// How the others are set up, by id, the defaults already filled in.
    pub entries: BTreeMap<String, FunctionConfig>,
}

/// How tools are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolsConfig {
    /// Whether the gateway runs the tools that a model calls, or leaves them to the client.
    pub is_looping: bool,
    /// How often it does so for one request at most.
    pub max_rounds: u32,
}

/// What functions run in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonConfig {
    /// Name or path of the interpreter.
    pub interpreter: String,
    /// Which requirements of functions are installed.
    pub requirements: Requirements,
    /// Names of requirements that may be installed.
    pub approved: Vec<String>,
    /// Names of variables that functions may see.
    pub pass_env: Vec<String>,
    /// Path of a `uv` program, empty to look for one.
    pub uv: String,
    /// Whether functions get the packages that most of them need.
    pub base: bool,
    /// What happens where functions cannot be isolated.
    pub isolation: Isolation,
    /// Further files and folders that functions may read.
    pub read_paths: Vec<PathBuf>,
    /// Further folders that all functions may write to.
    pub write_paths: Vec<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        load(&Sources::default())
            .expect("the defaults are a valid configuration, a test loads them")
    }
}
