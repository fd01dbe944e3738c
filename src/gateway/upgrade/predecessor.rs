//! The process that serves: it waits for a successor, and leaves everything to it.

use std::fs::{self, Permissions};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use tracing::{error, info};

use super::channel::Channel;
use super::{Offer, PROTOCOL, REPLY_LIMIT, Reply, Request, socket_path, version};
use crate::config::Config;
use crate::gateway::{Base, GatewayError};
use crate::registry::{Origin, Registry};
use crate::server::drain::Shutdown;
use crate::server::listen::Server;
use crate::store::Store;

/// How long a successor may keep the database from being changed. Migrations of a large one are within it.
const FROZEN_LIMIT: Duration = Duration::from_secs(120);

/// How long nobody is asked after the system had no descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// The socket at which a successor asks.
#[derive(Debug)]
pub(in crate::gateway) struct Upgrades {
    socket: UnixListener,
    path: PathBuf,
    /// Where it is until it is published; after that the name is the next process's.
    aside: Option<PathBuf>,
}

/// Everything that a successor gets.
#[derive(Debug)]
pub(in crate::gateway) struct Estate {
    listener: TcpListener,
    listen: SocketAddr,
    store: Store,
    registry: Arc<Registry>,
    shutdown: Shutdown,
}

impl Upgrades {
    /// Makes the socket, aside: until [`Upgrades::publish`] a predecessor is asked, if there is one.
    pub(in crate::gateway) fn bind(data_dir: &Path) -> io::Result<Self> {
        let path = socket_path(data_dir);
        let aside = path.with_added_extension("new");
        // Whoever left it is gone: one process at a time gets here.
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = UnixListener::bind(&aside).map_err(|error| {
            io::Error::new(error.kind(), format!("`{}`: {error}", aside.display()))
        })?;
        fs::set_permissions(&aside, Permissions::from_mode(0o600))?;
        Ok(Self {
            socket,
            path,
            aside: Some(aside),
        })
    }

    /// Lets successors find the socket, in place of that of a predecessor.
    pub(in crate::gateway) fn publish(&mut self) -> io::Result<()> {
        match self.aside.take() {
            Some(aside) => fs::rename(aside, &self.path),
            None => Ok(()),
        }
    }

    /// Deals with successors, one at a time, until this process is about to end.
    pub(in crate::gateway) async fn run(self, estate: Estate) {
        let shutdown = estate.shutdown.clone();
        let estate = Arc::new(estate);
        let turn = Arc::new(Mutex::new(()));
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.draining() => break,
                accepted = self.socket.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                sleep(EXHAUSTED_PAUSE).await;
                continue;
            };
            let channel = Channel::new(stream);
            // Both end with the conversation, which nothing but this process's end needs to wait for.
            match Arc::clone(&turn).try_lock_owned() {
                Ok(turn) => tokio::spawn(Arc::clone(&estate).answer(channel, turn)),
                Err(_) => tokio::spawn(refuse(channel, "another upgrade is under way".to_owned())),
            };
        }
        // A conversation that is past the point of no return says whose the name is.
        let _turn = turn.lock().await;
        if !shutdown.is_handed_over() {
            // The next start makes its own; what is left there would only be refused.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for Upgrades {
    /// A socket that was never published is of no use to anybody.
    fn drop(&mut self) {
        if let Some(aside) = &self.aside {
            let _ = fs::remove_file(aside);
        }
    }
}

impl Estate {
    pub(in crate::gateway) fn new(
        base: &Base,
        config: &Config,
        server: &Server,
    ) -> Result<Self, GatewayError> {
        let listener = server.listener().map_err(|error| {
            GatewayError::new("the listening socket cannot be kept for an upgrade", error)
        })?;
        Ok(Self {
            listener,
            listen: config.listen,
            store: base.store.clone(),
            registry: Arc::clone(&base.registry),
            shutdown: base.shutdown.clone(),
        })
    }

    /// Deals with one successor. Whatever goes wrong, this process goes on as if nobody had asked.
    async fn answer(self: Arc<Self>, mut channel: Channel, _turn: impl Send) {
        let successor = channel.peer().ok().and_then(|peer| peer.pid());
        match self.hand_over(&mut channel).await {
            Ok(()) => info!(
                successor,
                "a new process has taken over, requests in flight finish"
            ),
            Err(why) => {
                error!(successor, why, "upgrade failed, what serves goes on");
                refuse(channel, why).await;
            }
        }
    }

    /// The whole conversation; an error leaves everything as it was.
    async fn hand_over(&self, channel: &mut Channel) -> Result<(), String> {
        admit(channel).await?;
        self.offer(channel).await?;
        expect(&Request::Freeze, self.next(channel).await?)?;
        // Thawed again by every way out but the last.
        let frozen = self.store.freeze().await;
        send(channel, &Reply::Frozen).await?;
        let asked = timeout(FROZEN_LIMIT, self.next(channel)).await;
        let asked = asked.map_err(|_| format!("it took more than {FROZEN_LIMIT:?} to get ready"));
        expect(&Request::Take, asked??)?;
        send(channel, &Reply::Granted).await?;
        // It may be about to commit: no way back but its end.
        match receive(channel).await? {
            Request::Serving { keeps_listener } => {
                frozen.give_up();
                self.shutdown.hand_over(keeps_listener);
                self.shutdown.closed().await;
                // The successor goes on without it, too.
                let _ = send(channel, &Reply::Closed).await;
                Ok(())
            }
            other => Err(unexpected(other)),
        }
    }

    async fn offer(&self, channel: &Channel) -> Result<(), String> {
        let offer = Reply::Offer(Offer {
            version: version(),
            listen: self.listen,
            loaded: loaded(&self.registry),
        });
        let lock = self.store.share_lock();
        let lock = lock.map_err(|error| format!("the lock cannot be shared: {error}"))?;
        let descriptors = [self.listener.as_fd(), lock.as_fd()];
        let sent = channel.send(&offer, &descriptors).await;
        sent.map_err(|error| format!("the sockets cannot be sent: {error}"))
    }

    /// What the successor says next, unless this process is told to end meanwhile.
    async fn next(&self, channel: &mut Channel) -> Result<Request, String> {
        tokio::select! {
            biased;
            () = self.shutdown.draining() => Err("this process is stopping".to_owned()),
            request = receive(channel) => request,
        }
    }
}

/// The functions of the folder that are loaded.
fn loaded(registry: &Registry) -> Vec<String> {
    let snapshot = registry.current();
    let functions = snapshot.functions().chain(snapshot.tools());
    let functions = functions.filter(|function| {
        function.origin == Origin::Folder && function.version.learnt.not_loaded.is_none()
    });
    functions
        .map(|function| function.id.as_str().to_owned())
        .collect()
}

/// Only a process of the same user, which could read and write all of it anyway.
async fn admit(channel: &mut Channel) -> Result<(), String> {
    let peer = channel.peer().map_err(|error| error.to_string())?;
    let ours = rustix::process::geteuid().as_raw();
    if peer.uid() != ours {
        let theirs = peer.uid();
        return Err(format!("it runs as user {theirs}, this one as {ours}"));
    }
    let hello = timeout(REPLY_LIMIT, receive(channel)).await;
    match hello.map_err(|_| "it said nothing".to_owned())?? {
        Request::Hello { protocol, .. } if protocol == PROTOCOL => Ok(()),
        Request::Hello { version: its, .. } => Err(format!(
            "its version, {its}, cannot take over from {}: stop this one and start it",
            version()
        )),
        other => Err(unexpected(other)),
    }
}

async fn receive(channel: &mut Channel) -> Result<Request, String> {
    match channel.receive().await {
        Ok(Some(request)) => Ok(request),
        Ok(None) => Err("it ended before it had taken over".to_owned()),
        Err(error) => Err(format!("it cannot be understood: {error}")),
    }
}

async fn send(channel: &Channel, reply: &Reply) -> Result<(), String> {
    let sent = channel.send(reply, &[]).await;
    sent.map_err(|_| "it ended before it had taken over".to_owned())
}

/// Tells a successor why not. It may be gone.
async fn refuse(channel: Channel, why: String) {
    let _ = channel.send(&Reply::Refused { why }, &[]).await;
}

fn expect(expected: &Request, request: Request) -> Result<(), String> {
    if std::mem::discriminant(expected) == std::mem::discriminant(&request) {
        return Ok(());
    }
    Err(unexpected(request))
}

fn unexpected(request: Request) -> String {
    match request {
        Request::Failed { why } => why,
        other => format!("it spoke out of turn: {other:?}"),
    }
}
