//! The new process: it gets everything ready beside the one that serves, and takes over when nothing is left to fail.

use std::error::Error as StdError;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tracing::{info, warn};

use super::channel::Channel;
use super::predecessor::Upgrades;
use super::{Offer, PROTOCOL, REPLY_LIMIT, Reply, Request, socket_path, version};
use crate::config::Config;
use crate::gateway::parts::Parts;
use crate::gateway::{
    Base, Gateway, GatewayError, listen_settings, read_folder_at_start, signals, unknown,
    watch_folder,
};
use crate::host::Host;
use crate::registry::Snapshot;
use crate::server::Pressure;
use crate::server::drain::Shutdown;
use crate::server::listen::Server;
use crate::store::{Store, StoreError};

/// How long a predecessor may take until what it is writing is written.
const FREEZE_LIMIT: Duration = Duration::from_secs(60);

/// How long a predecessor may take to accept no more; connections wait meanwhile.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// How long a process that closed its sockets may take to be gone.
const DEATH_LIMIT: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};

/// How much of an error is told to the other process.
const WHY_BYTES: usize = 2_000;

/// Builds a gateway that has taken over from the one that serves on the same data folder. An error leaves that one as
/// it was.
///
/// # Errors
///
/// If there is none, it refuses, or this gateway cannot be built.
pub(in crate::gateway) async fn take_over(
    config: Config,
    shutdown: Shutdown,
) -> Result<Gateway, GatewayError> {
    let (mut predecessor, estate) = Predecessor::meet(&config).await?;
    let built = build(config, shutdown, &mut predecessor, estate).await;
    if let Err(error) = &built {
        let why = reasons(error);
        // If it is gone too, nobody is left to tell.
        let _ = predecessor.send(&Request::Failed { why }).await;
    }
    built
}

async fn build(
    config: Config,
    shutdown: Shutdown,
    predecessor: &mut Predecessor,
    estate: Inherited,
) -> Result<Gateway, GatewayError> {
    let (listener, keeps_listener) = estate.listener_for(&config)?;
    let pressure = Pressure::default();
    let server = Server::new(&listen_settings(&config, &pressure)?, listener)
        .map_err(|error| GatewayError::new("the listening socket cannot be taken over", error))?;
    signals::outlive_file_limits();
    let store = join_store(&config, estate.lock).await?;
    if store.is_outdated().await.map_err(unreadable)? {
        // Nothing can be read before it is migrated, nor written by the other afterwards.
        predecessor.freeze().await?;
        store.begin_takeover().await.map_err(unreadable)?;
    }
    let base = Base::build(&config, &server, store, shutdown, pressure).await?;
    let folder = watch_folder(&config.functions.dir);
    read_folder_at_start(&base.registry, &config).await?;
    ensure_functions_run(&base, &estate.offer.loaded).await?;
    let mut upgrades = Upgrades::bind(&config.data_dir)
        .map_err(|error| GatewayError::new("the next upgrade could not ask this process", error))?;
    predecessor.freeze().await?;
    base.store.begin_takeover().await.map_err(unreadable)?;
    base.registry.read_store().await.map_err(unreadable)?;
    unknown::warn(&config.functions, &base.registry);
    let (parts, first_key) = Parts::build(&config, &base).await?;
    predecessor.replace(&base.store, keeps_listener).await?;
    settle(&mut upgrades, &base.store, &predecessor.name());
    Ok(Gateway {
        server,
        base,
        parts,
        folder,
        first_key,
        upgrades: Some(upgrades),
        config: Arc::new(config),
    })
}

/// What is left to do once nothing can be taken back.
fn settle(upgrades: &mut Upgrades, store: &Store, predecessor: &str) {
    info!(predecessor, "taken over");
    if let Err(error) = upgrades.publish() {
        warn!(%error, "this process cannot be upgraded without a restart");
    }
    let store = store.clone();
    // A copy takes its time with a large database; the next start makes one too.
    tokio::spawn(async move { store.renew_copy().await });
}

/// What the predecessor gave.
#[derive(Debug)]
struct Inherited {
    offer: Offer,
    listener: TcpListener,
    lock: OwnedFd,
}

impl Inherited {
    /// The socket to listen on, and whether it is the predecessor's: another address is bound anew.
    fn listener_for(&self, config: &Config) -> Result<(TcpListener, bool), GatewayError> {
        let cannot = |error: io::Error| {
            GatewayError::new(format!("cannot listen on `{}`", config.listen), error)
        };
        let bound = self.listener.local_addr().map_err(cannot)?;
        if [self.offer.listen, bound].contains(&config.listen) {
            return Ok((self.listener.try_clone().map_err(cannot)?, true));
        }
        let listener = TcpListener::bind(config.listen).map_err(cannot)?;
        Ok((listener, false))
    }
}

/// The process that serves.
#[derive(Debug)]
struct Predecessor {
    channel: Channel,
    id: Pid,
    /// Stays its own even when the id is used again.
    handle: Arc<OwnedFd>,
    is_frozen: bool,
    /// It died: there is nobody to wait for, and nobody else who could serve.
    is_dead: bool,
}

impl Predecessor {
    /// Finds it, and gets what it has.
    async fn meet(config: &Config) -> Result<(Self, Inherited), GatewayError> {
        let mut predecessor = Self::connect(config).await.map_err(|error| {
            let path = socket_path(&config.data_dir);
            let hint =
                "hint: without a gateway that serves on this data_dir, start without --upgrade";
            let what = format!(
                "no gateway to take over from at `{}`\n{hint}",
                path.display()
            );
            GatewayError::new(what, error)
        })?;
        let hello = Request::Hello {
            protocol: PROTOCOL,
            version: version(),
        };
        let reply = predecessor.ask(&hello, REPLY_LIMIT).await?;
        let descriptors = predecessor.channel.take_descriptors();
        let (Some(Reply::Offer(offer)), Some([listener, lock])) = (reply, descriptors) else {
            return Err(predecessor.broke_off("ended or made no offer"));
        };
        info!(
            predecessor = predecessor.name(),
            version = offer.version,
            "upgrade begins"
        );
        let inherited = Inherited {
            offer,
            listener: TcpListener::from(listener),
            lock,
        };
        Ok((predecessor, inherited))
    }

    async fn connect(config: &Config) -> io::Result<Self> {
        let channel = Channel::new(UnixStream::connect(socket_path(&config.data_dir)).await?);
        let peer = channel.peer()?;
        if peer.uid() != rustix::process::geteuid().as_raw() {
            let message = format!("its user is {}, not that of this process", peer.uid());
            return Err(io::Error::other(message));
        }
        let id = peer.pid().and_then(Pid::from_raw);
        let id = id.ok_or_else(|| io::Error::other("its process is not visible from here"))?;
        let handle = pidfd_open(id, PidfdFlags::empty())?;
        Ok(Self {
            channel,
            id,
            handle: Arc::new(handle),
            is_frozen: false,
            is_dead: false,
        })
    }

    /// Lets it change nothing until this process serves or ends.
    async fn freeze(&mut self) -> Result<(), GatewayError> {
        if self.is_frozen || self.is_dead {
            return Ok(());
        }
        match self.ask(&Request::Freeze, FREEZE_LIMIT).await? {
            Some(Reply::Frozen) => self.is_frozen = true,
            None => {}
            Some(_) => return Err(self.broke_off("spoke out of turn")),
        }
        Ok(())
    }

    /// Commits what was written and serves in its place.
    async fn replace(&mut self, store: &Store, keeps_listener: bool) -> Result<(), GatewayError> {
        if !self.is_dead {
            match self.ask(&Request::Take, REPLY_LIMIT).await? {
                Some(Reply::Granted) | None => {}
                Some(_) => return Err(self.broke_off("spoke out of turn")),
            }
        }
        store.finish_takeover().await.map_err(unreadable)?;
        // Whoever finds a change made here must not meet the predecessor afterwards. It may have died, or be held up:
        // nothing that it says now changes anything.
        let serving = Request::Serving { keeps_listener };
        match self.send(&serving).await {
            Ok(()) => drop(timeout(CLOSE_LIMIT, self.channel.receive::<Reply>()).await),
            Err(_) => warn!(predecessor = self.name(), "it is gone already"),
        }
        Ok(())
    }

    async fn send(&self, request: &Request) -> io::Result<()> {
        self.channel.send(request, &[]).await
    }

    /// Its answer, `None` if it has died.
    async fn ask(
        &mut self,
        request: &Request,
        limit: Duration,
    ) -> Result<Option<Reply>, GatewayError> {
        // What is sent to a closed socket fails, and so does reading from it, after what was said last.
        let _ = self.send(request).await;
        match timeout(limit, self.channel.receive()).await {
            Ok(Ok(Some(Reply::Refused { why }))) => Err(self.error("refuses to be replaced", why)),
            Ok(Ok(Some(reply))) => Ok(Some(reply)),
            Ok(Ok(None)) if self.has_died().await => {
                warn!(
                    predecessor = self.name(),
                    "the process that served has died, this one takes over without it"
                );
                self.is_dead = true;
                Ok(None)
            }
            Ok(Ok(None)) => Err(self.broke_off("closed the connection")),
            Ok(Err(error)) => Err(self.error("cannot be understood", error.to_string())),
            Err(_) => Err(self.broke_off("does not answer")),
        }
    }

    async fn has_died(&self) -> bool {
        let handle = Arc::clone(&self.handle);
        // The handle of a process that ended is readable.
        let look = move || {
            let mut handles = [PollFd::new(&handle, PollFlags::IN)];
            matches!(rustix::event::poll(&mut handles, Some(&DEATH_LIMIT)), Ok(1))
        };
        tokio::task::spawn_blocking(look).await.unwrap_or(false)
    }

    fn name(&self) -> String {
        format!("process {}", self.id)
    }

    fn broke_off(&self, what: &str) -> GatewayError {
        self.error(what, "nothing was taken over".to_owned())
    }

    fn error(&self, what: &str, why: String) -> GatewayError {
        let what = format!("{}, which serves now, {what}", self.name());
        GatewayError::new(what, io::Error::other(why))
    }
}

async fn join_store(config: &Config, lock: OwnedFd) -> Result<Store, GatewayError> {
    let folder = config.data_dir.clone();
    let joined = tokio::task::spawn_blocking(move || Store::join(&folder, lock)).await;
    let joined = joined.map_err(|error| GatewayError::new("the store cannot be opened", error))?;
    joined.map_err(unreadable)
}

fn unreadable(error: StoreError) -> GatewayError {
    GatewayError::new("the store cannot be taken over", error)
}

/// What runs in the predecessor must run here.
async fn ensure_functions_run(base: &Base, loaded: &[String]) -> Result<(), GatewayError> {
    let snapshot = base.registry.current();
    let mut functions = snapshot.functions().chain(snapshot.tools());
    let failed = functions.find_map(|function| {
        let why = function.version.learnt.not_loaded.clone()?;
        let id = function.id.as_str().to_owned();
        loaded.contains(&id).then_some((id, why))
    });
    if let Some((id, why)) = failed {
        let what = format!("function `{id}` loads in the process that serves, and not in this one");
        return Err(GatewayError::new(what, io::Error::other(why)));
    }
    ensure_python_starts(&base.host, &snapshot).await
}

/// Stored functions are started when they are first called, which is too late to find that nothing starts.
async fn ensure_python_starts(host: &Host, snapshot: &Snapshot) -> Result<(), GatewayError> {
    if !snapshot.functions().any(|function| function.is_active) {
        return Ok(());
    }
    let tried = host.try_isolation().await;
    tried
        .map(drop)
        .map_err(|error| GatewayError::new("functions are active, and none can be started", error))
}

/// An error with its causes, as it is told to the other process.
fn reasons(error: &GatewayError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text.truncate(text.floor_char_boundary(WHY_BYTES));
    text
}
