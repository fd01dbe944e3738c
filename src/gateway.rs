//! Puts the parts together: builds each, hands it what it needs, and runs until told to stop.

mod callbacks;
pub mod check;
mod folder;
mod parts;
mod reload;
mod signals;
mod systemd;
mod unknown;
mod upgrade;

pub use self::signals::{Hangups, stop_on_signal};

use std::fmt;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::{info, warn};

use self::folder::{follow_folder, read_folder_at_start, watch_folder};
use self::parts::{Parts, Renewing};
use self::reload::Reload;
use self::upgrade::{Estate, Upgrades};
use crate::admin::LastReload;
use crate::chat::events::EventLogs;
use crate::config::{Config, HalfClose, Isolation, MemoryLimit, Sources};
use crate::host::{Host, IsolationSettings, Leave, PythonSettings};
use crate::registry::Registry;
use crate::registry::folder::FolderWatch;
use crate::server::drain::Shutdown;
use crate::server::listen::{self, Server};
use crate::server::{Bound, Pressure};
use crate::store::Store;

/// Why the gateway did not start, or ended.
#[derive(Debug)]
pub struct GatewayError {
    what: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl GatewayError {
    /// An error of the composition: `what` could not be done, because of `source`.
    pub fn new(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            what: what.into(),
            source: Some(source.into()),
        }
    }
}

impl fmt::Display for GatewayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for GatewayError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// A gateway that is ready to serve.
#[derive(Debug)]
pub struct Gateway {
    server: Server,
    base: Base,
    parts: Parts,
    folder: Option<FolderWatch>,
    first_key: Option<String>,
    /// Where a new process may ask to take over; only who serves for good is asked.
    upgrades: Option<Upgrades>,
    config: Arc<Config>,
}

/// What a reload keeps.
#[derive(Clone, Debug)]
struct Base {
    store: Store,
    registry: Arc<Registry>,
    host: Host,
    control: Handle,
    shutdown: Shutdown,
    ending: watch::Receiver<bool>,
    event_logs: EventLogs,
    pressure: Pressure,
    last_reload: LastReload,
}

impl Gateway {
    /// Binds the port, opens the store and builds every part. Functions of the store and the folder are in place when
    /// this returns: no request can come before them. Runs on the control runtime.
    ///
    /// # Errors
    ///
    /// If the port, the data folder or something else that is needed is not to be had.
    pub async fn build(config: Config, shutdown: Shutdown) -> Result<Self, GatewayError> {
        let pressure = Pressure::default();
        let server = Server::bind(&listen_settings(&config, &pressure)?).map_err(|error| {
            GatewayError::new(format!("cannot listen on `{}`", config.listen), error)
        })?;
        signals::outlive_file_limits();
        let store = open_store(&config).await?;
        let base = Base::build(&config, &server, store, shutdown, pressure).await?;
        let (parts, first_key) = Parts::build(&config, &base).await?;
        // Watched before it is read: what changes in between is read again.
        let folder = watch_folder(&config.functions.dir);
        read_folder_at_start(&base.registry, &config).await?;
        unknown::warn(&config.functions, &base.registry);
        Ok(Self {
            server,
            base,
            parts,
            folder,
            first_key,
            upgrades: None,
            config: Arc::new(config),
        })
    }

    /// Lets a new process take over.
    fn open_to_upgrades(mut self) -> Self {
        let upgrades = Upgrades::bind(&self.config.data_dir).and_then(|mut upgrades| {
            upgrades.publish()?;
            Ok(upgrades)
        });
        self.upgrades = upgrades
            .inspect_err(|error| warn!(%error, "this process cannot be upgraded without a restart"))
            .ok();
        self
    }

    /// The address that it listens on, with the port that port 0 became.
    ///
    /// # Errors
    ///
    /// Whatever the system says when asked.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.server.local_addr()
    }

    /// The administrator's key, if this start made one. It is kept only as a hash.
    #[must_use]
    pub fn first_key(&self) -> Option<&str> {
        self.first_key.as_deref()
    }

    /// Serves until the shutdown that it was built with has come to its end. Each of `hangups` reads `sources` again, or,
    /// without any, only the functions folder and the model lists.
    ///
    /// # Errors
    ///
    /// If the listener fails.
    pub async fn run(self, sources: Option<Sources>, hangups: Hangups) -> Result<(), GatewayError> {
        let Self {
            server,
            base,
            parts,
            folder,
            upgrades,
            config,
            ..
        } = self;
        if let Some(upgrades) = upgrades {
            tokio::spawn(upgrades.run(Estate::new(&base, &config, &server)?));
        }
        let (publish, published) = watch::channel(parts);
        let reload = Reload {
            base: base.clone(),
            config: Arc::clone(&config),
            sources,
            publish,
        };
        // All end with the runtime, after the server: nothing that they do is acknowledged to anybody.
        tokio::spawn(base.pressure.clone().watch(memory_bound(&config)));
        tokio::spawn(follow_folder(folder, base.clone(), config));
        tokio::spawn(signals::reload_on_hangup(hangups, reload));
        let shutdown = base.shutdown.clone();
        let factory = move |_| Renewing::new(base.clone(), published.clone());
        server
            .run(factory, shutdown)
            .await
            .map_err(|error| GatewayError::new("the listener failed", error))
    }
}

impl Base {
    async fn build(
        config: &Config,
        server: &Server,
        store: Store,
        shutdown: Shutdown,
        pressure: Pressure,
    ) -> Result<Self, GatewayError> {
        hide_process(config);
        let host = Host::new(python_settings(config), server.handles());
        let registry = Registry::open(config, store.clone(), Arc::new(host.clone()))
            .await
            .map_err(|error| GatewayError::new("functions cannot be read from the store", error))?;
        let ending = ending(&shutdown);
        Ok(Self {
            store,
            registry: Arc::new(registry),
            host,
            control: Handle::current(),
            shutdown,
            ending,
            event_logs: EventLogs::default(),
            pressure,
            last_reload: LastReload::default(),
        })
    }
}

/// Runs a gateway until a signal ends it, or a new process has taken over from it. With `is_upgrade` it takes over
/// from the one that serves on its data folder.
///
/// # Errors
///
/// If it does not start, or its listener fails.
pub async fn run(
    config: Config,
    sources: Sources,
    is_upgrade: bool,
    hangups: Hangups,
) -> Result<(), GatewayError> {
    let shutdown = Shutdown::new();
    upgrade::survive_signal();
    let gateway = if is_upgrade {
        upgrade::take_over(config, shutdown.clone()).await?
    } else {
        let gateway = Gateway::build(config, shutdown.clone()).await?;
        gateway.open_to_upgrades()
    };
    let address = gateway
        .local_addr()
        .map_err(|error| GatewayError::new("the listener has no address", error))?;
    if let Some(key) = gateway.first_key() {
        show_key(key);
    }
    info!(%address, "listening");
    tokio::spawn(signals::stop_on_signal(shutdown.clone()));
    tokio::spawn(upgrade::upgrade_on_signal(shutdown));
    systemd::ready();
    gateway.run(Some(sources), hangups).await?;
    info!("stopped");
    Ok(())
}

/// Shows the administrator's key, once: on the terminal, not in the log.
#[expect(clippy::print_stderr, reason = "the key must not go to the log")]
fn show_key(key: &str) {
    let mark = if std::io::stderr().is_terminal() {
        "\x1b[1m"
    } else {
        ""
    };
    let end = if mark.is_empty() { "" } else { "\x1b[0m" };
    eprintln!("\nThe administrator's key, shown this once:\n\n    {mark}{key}{end}\n");
}

fn listen_settings(config: &Config, pressure: &Pressure) -> Result<listen::Settings, GatewayError> {
    let tls = config
        .tls
        .as_ref()
        .map(|tls| crate::server::tls::load(&tls.cert, &tls.key))
        .transpose();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(listen::Settings {
        listen: config.listen,
        tls: tls.map_err(|error| GatewayError::new("TLS cannot be set up", error))?,
        limits: listen::Limits {
            head: config.limits.head,
            body: config.limits.body,
            idle: config.limits.idle,
            write: config.limits.write,
            ..listen::Limits::default()
        },
        threads: if config.threads == 0 {
            cores
        } else {
            config.threads
        },
        connections: config.limits.connections,
        connections_per_address: config.limits.connections_per_address,
        trusted_proxies: config.trusted_proxies.clone(),
        half_close: match config.half_close {
            HalfClose::Leave => listen::HalfClose::Leave,
            HalfClose::Serve => listen::HalfClose::Serve,
        },
        pressure: pressure.clone(),
        drain: config.drain,
    })
}

fn memory_bound(config: &Config) -> Bound {
    match config.limits.memory {
        MemoryLimit::Auto => Bound::System,
        MemoryLimit::Off => Bound::None,
        MemoryLimit::Mib(mib) => Bound::Bytes(mib << 20),
    }
}

/// What a host is to know of a configuration.
#[must_use]
pub fn python_settings(config: &Config) -> PythonSettings {
    PythonSettings {
        interpreter: config.python.interpreter.clone(),
        data_dir: config.data_dir.clone(),
        uv: config.python.uv.clone(),
        base: config.python.base,
        leave: leave(config),
        pass_env: config.python.pass_env.clone(),
        isolation: isolation_settings(config),
        log_prints: config.log.prints,
    }
}

/// What functions are kept from: everything that this gateway keeps for itself.
fn isolation_settings(config: &Config) -> IsolationSettings {
    let tls = config.tls.iter().map(|tls| &tls.key);
    let kept = [&config.data_dir, &config.functions.dir];
    let protected = kept.into_iter().chain(&config.file).chain(tls);
    // A path that cannot be made absolute names nothing that could be read.
    let absolute = |paths: Vec<&PathBuf>| {
        let paths = paths.into_iter().map(std::path::absolute);
        paths.filter_map(Result::ok).collect()
    };
    IsolationSettings {
        demand: config.python.isolation,
        protected: absolute(protected.collect()),
        readable: absolute(config.python.read_paths.iter().collect()),
        writable: absolute(config.python.write_paths.iter().collect()),
    }
}

/// Closes this process's memory and environment to other processes of its user, which functions' are.
fn hide_process(config: &Config) {
    if config.python.isolation == Isolation::Off {
        return;
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        warn!(%error, "functions may be able to look into the gateway's memory");
    }
}

fn leave(config: &Config) -> Leave {
    Leave {
        policy: config.python.requirements,
        approved: config.python.approved.clone(),
    }
}

async fn open_store(config: &Config) -> Result<Store, GatewayError> {
    let folder = config.data_dir.clone();
    let opened = tokio::task::spawn_blocking(move || Store::open(&folder)).await;
    let opened = opened.map_err(|error| GatewayError::new("the store cannot be opened", error))?;
    opened.map_err(|error| {
        GatewayError::new(
            format!(
                "the data folder `{}` cannot be used",
                config.data_dir.display()
            ),
            error,
        )
    })
}

/// Becomes true when streams can be waited for no longer.
fn ending(shutdown: &Shutdown) -> watch::Receiver<bool> {
    let (tell, ending) = watch::channel(false);
    let shutdown = shutdown.clone();
    // Ends with the gateway, which is what it waits for.
    tokio::spawn(async move {
        shutdown.ending().await;
        tell.send_replace(true);
        // A receiver must not see the sender go before it looked.
        std::future::pending::<()>().await;
    });
    ending
}
