//! What functions may reach: what each process is told before anything else, and what came of it.

use std::fs::DirBuilder;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use frames::Kind;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tracing::{info, warn};

use super::failure::Failure;
use super::worker::Worker;
use crate::config::{Hosts, Isolation, NetworkAccess};
use crate::egress::Reach;
use crate::registry::{FunctionId, FunctionSettings};

/// How long a process may take to give up what it must; it takes milliseconds.
const LIMIT: Duration = Duration::from_secs(10);

/// The users that processes become where the gateway may choose: far above those of people and services.
const FIRST_USER: u32 = 0x7000_0000;

/// The protection that refuses system calls, on which a closed network depends.
const SYSTEM_CALLS: &str = "system calls";

/// The protection without which a function that names hosts could reach others.
const HOSTS: &str = "hosts";

/// How functions are isolated.
#[derive(Clone, Debug)]
pub struct IsolationSettings {
    /// What happens where they cannot be.
    pub demand: Isolation,
    /// Files and folders that no function may read, whatever else it may.
    pub protected: Vec<PathBuf>,
    /// Files and folders that functions may read besides Python and the system's programs.
    pub readable: Vec<PathBuf>,
    /// Folders that all functions may write to besides their own.
    pub writable: Vec<PathBuf>,
}

impl Default for IsolationSettings {
    /// As much as the machine can do, with nothing to be protected or read besides.
    fn default() -> Self {
        Self {
            demand: Isolation::BestEffort,
            protected: Vec::new(),
            readable: Vec::new(),
            writable: Vec::new(),
        }
    }
}

/// One way in which a function's process is confined.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Protection {
    /// What is protected, in a word or two.
    pub name: String,
    /// Whether it holds on this machine.
    pub in_force: bool,
    /// How it is done, or why it is not.
    pub detail: String,
}

impl std::fmt::Display for Protection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name, self.detail)
    }
}

#[derive(Deserialize)]
struct Answer {
    protections: Vec<Protection>,
}

/// Confines processes, and tells once what is in force.
#[derive(Debug)]
pub(super) struct Warden {
    settings: IsolationSettings,
    /// Where each function keeps what is to outlive its process.
    keep: PathBuf,
    /// What was told last, so that only news are logged. Held for a comparison only.
    told: Mutex<Vec<Protection>>,
}

/// What a process may, of that which the configuration decides; it cannot be changed while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    network: NetworkAccess,
    hosts: Hosts,
    subprocesses: bool,
}

impl Bounds {
    pub(super) fn of(settings: &FunctionSettings) -> Self {
        Self {
            network: settings.network,
            hosts: settings.hosts.clone(),
            subprocesses: settings.subprocesses,
        }
    }
}

/// Who a process is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tenant<'a> {
    pub(super) id: &'a FunctionId,
    pub(super) settings: &'a FunctionSettings,
}

impl Warden {
    pub(super) fn new(settings: IsolationSettings, data_dir: &Path) -> Self {
        Self {
            settings,
            keep: data_dir.join("functions_data"),
            told: Mutex::default(),
        }
    }

    /// Confines a fresh process to what its tenant may; without one, as a function of no special rights.
    ///
    /// # Errors
    ///
    /// If it cannot be done and must be.
    pub(super) async fn confine(
        &self,
        worker: &Worker,
        tenant: Option<Tenant<'_>>,
    ) -> Result<Vec<Protection>, Failure> {
        let orders = self.orders(tenant).map_err(|error| {
            Failure::Unavailable(format!("its data folder cannot be made: {error}"))
        })?;
        let mut question = worker.ask(Kind::Confine, None, Bytes::from(orders.to_string()));
        let Ok(answer) = tokio::time::timeout(LIMIT, question.answer()).await else {
            worker.kill();
            return Err(Failure::TimedOut(LIMIT));
        };
        let listener = worker.take_listener();
        let answer = answer.map_err(|failure| {
            let why = failure
                .exception()
                .map_or_else(|| "its process ended".to_owned(), |it| it.described());
            Failure::Unavailable(format!("its process cannot be confined: {why}"))
        })?;
        let answer: Answer = serde_json::from_slice(&answer).map_err(|_| Failure::Garbled)?;
        self.tell(&answer.protections);
        self.judge(&answer.protections, tenant)?;
        open_way_out(worker, listener, tenant)?;
        Ok(answer.protections)
    }

    fn orders(&self, tenant: Option<Tenant<'_>>) -> io::Result<Value> {
        let name = tenant.map(folder_name);
        let data = name
            .as_ref()
            .map(|name| self.data_folder(name))
            .transpose()?;
        let settings = tenant.map(|tenant| tenant.settings);
        let is_isolated = self.settings.demand != Isolation::Off;
        let is_root = rustix::process::geteuid().is_root();
        let uid = (is_isolated && is_root).then(|| user_of(name.as_deref().unwrap_or_default()));
        Ok(json!({
            "isolation": is_isolated,
            "data": data,
            "protected": self.settings.protected,
            "readable": self.settings.readable,
            "writable": self.settings.writable,
            "subprocesses": settings.is_some_and(|settings| settings.subprocesses),
            // Without a tenant it is tried out.
            "egress": is_isolated && settings.is_none_or(|settings| !settings.hosts.is_empty()),
            "network": settings.is_none_or(|settings| settings.network == NetworkAccess::Open),
            "uid": uid,
        }))
    }

    fn data_folder(&self, name: &str) -> io::Result<PathBuf> {
        let keep = std::path::absolute(&self.keep)?;
        let folder = keep.join(name);
        let make = |mode, path| DirBuilder::new().recursive(true).mode(mode).create(path);
        // Users of their own pass through the first and have the second to themselves.
        make(0o711, &keep)?;
        make(0o700, &folder)?;
        Ok(folder)
    }

    /// One line at the first start of Python, and another one only if something has changed.
    fn tell(&self, protections: &[Protection]) {
        // Whether hosts can be held is told where somebody wants it: it is not tried for every process.
        let protections: Vec<Protection> = protections
            .iter()
            .filter(|it| it.name != HOSTS)
            .cloned()
            .collect();
        let mut told = self
            .told
            .lock()
            .expect("no code that holds this lock panics");
        if *told == protections {
            return;
        }
        told.clone_from(&protections);
        let (there, missing): (Vec<&Protection>, Vec<&Protection>) =
            protections.iter().partition(|it| it.in_force);
        let (there, missing) = (listed(&there), listed(&missing));
        if missing.is_empty() {
            info!(in_force = there, "functions are isolated");
        } else {
            warn!(
                in_force = there,
                missing, "functions are not isolated in every way"
            );
        }
    }

    fn judge(&self, protections: &[Protection], tenant: Option<Tenant<'_>>) -> Result<(), Failure> {
        let missing: Vec<&Protection> = protections.iter().filter(|it| !it.in_force).collect();
        let lacks = |names: &[&str]| missing.iter().any(|it| names.contains(&it.name.as_str()));
        let settings = tenant.map(|tenant| tenant.settings);
        let names_hosts = settings.is_some_and(|it| !it.hosts.is_empty());
        let is_closed = settings.is_some_and(|it| it.network == NetworkAccess::None);
        let is_required = self.settings.demand == Isolation::Required;
        let why = if is_required && missing.iter().any(|it| it.name != HOSTS) {
            "`python.isolation` is required, and this machine lacks"
        } else if names_hosts && lacks(&[HOSTS, SYSTEM_CALLS]) {
            // An empty network does not keep local sockets away, and services behind those have other networks.
            "it may reach its `hosts` only, which this machine cannot hold"
        } else if is_closed && lacks(&[SYSTEM_CALLS]) {
            "its network is `none`, which this machine cannot hold"
        } else {
            return Ok(());
        };
        let why = format!("{why}: {}", listed(&missing));
        Err(Failure::Unavailable(why))
    }
}

/// Lets a function that may reach a few hosts reach them.
fn open_way_out(
    worker: &Worker,
    listener: Option<TcpListener>,
    tenant: Option<Tenant<'_>>,
) -> Result<(), Failure> {
    let Some(tenant) = tenant.filter(|it| !it.settings.hosts.is_empty()) else {
        return Ok(());
    };
    let reach = Reach::Only(tenant.settings.hosts.clone());
    let listener = listener.ok_or_else(|| io::Error::other("no listener was handed over"));
    let opened =
        listener.and_then(|listener| worker.open_way_out(listener, reach, tenant.id.shown()));
    opened.map_err(|error| {
        worker.kill();
        Failure::Unavailable(format!("the way to its `hosts` cannot be opened: {error}"))
    })
}

fn listed(protections: &[&Protection]) -> String {
    let texts: Vec<String> = protections.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

/// The data folder's name: a function's id, or its group's name behind what no id can begin with.
fn folder_name(tenant: Tenant<'_>) -> String {
    match tenant.settings.group.as_str() {
        "" => tenant.id.as_str().to_owned(),
        group => format!("group.{group}"),
    }
}

/// The user of whoever keeps his data under this name: the same one each time.
fn user_of(name: &str) -> u32 {
    let digest = Sha256::digest(name);
    FIRST_USER + u32::from_be_bytes([0, digest[0], digest[1], digest[2]])
}
