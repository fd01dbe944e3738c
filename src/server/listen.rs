//! The listener: one acceptor deals connections to threads, each a runtime of its own.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use rustls::ServerConfig;
use socket2::SockRef;
use tokio::runtime::Handle;

use crate::body::Body;
use crate::config::Networks;

use super::Pressure;
use super::drain::Shutdown;
pub use super::guard::{HalfClose, Limits};

mod accept;
mod answer;
mod connection;
#[cfg(test)]
mod tests;
mod thread;

use accept::{Acceptor, Lane};
use connection::Connections;
use thread::Thread;

/// How many connections may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// How much the system takes of an answer beyond what is on its way to the client. Left alone it takes megabytes, all of
/// which a model server is asked for, before anybody learns that a client does not read.
const UNSENT_BYTES: u32 = 128 << 10;

/// What the listener needs to know.
#[derive(Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes any.
    pub listen: SocketAddr,
    /// The gateway's certificate, if connections are encrypted.
    pub tls: Option<Arc<ServerConfig>>,
    /// How long connections may stand still.
    pub limits: Limits,
    /// How many threads serve connections.
    pub threads: usize,
    /// How many connections may be open; those above are answered 503.
    pub connections: usize,
    /// How many connections of one address may be open, 0 for any number; those above are answered 503.
    pub connections_per_address: usize,
    /// Addresses whose connections are not counted, since they carry those of others.
    pub trusted_proxies: Networks,
    /// What the end of a client's input means.
    pub half_close: HalfClose,
    /// How short memory is.
    pub pressure: Pressure,
    /// How long requests may take to finish after the first signal.
    pub drain: Duration,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("listen", &self.listen)
            .field("tls", &self.tls.is_some())
            .field("limits", &self.limits)
            .field("threads", &self.threads)
            .field("connections", &self.connections)
            .field("connections_per_address", &self.connections_per_address)
            .field("half_close", &self.half_close)
            .field("drain", &self.drain)
            .finish()
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub addr: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// A request as it is received.
#[derive(Debug)]
pub struct Received {
    /// Its head, and its body, which may still be on the way.
    pub request: Request<Incoming>,
    /// Who sent it.
    pub peer: Peer,
    /// Whether its connection has read all of it: then nothing has to be waited for.
    pub is_whole: bool,
}

/// Answers requests. Each thread has one of its own, which need not be `Send`.
pub trait Handler: 'static {
    /// Answers one request. Dropped when the client leaves; a panic is answered with 500. It owns the handler, so that a
    /// handler that stands for another one gives back that one's future and not a larger one around it.
    fn handle(self: Rc<Self>, received: Received) -> impl Future<Output = Response<Body>>;
}

/// A bound listener whose threads run and wait for their handlers.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    listener: TcpListener,
    threads: Vec<Thread>,
}

impl Server {
    /// Binds the address and starts the threads; nothing is accepted yet.
    ///
    /// # Errors
    ///
    /// An address that cannot be bound, or no resources for a thread.
    pub fn bind(settings: &Settings) -> io::Result<Self> {
        Self::new(settings, TcpListener::bind(settings.listen)?)
    }

    /// The same on a socket that is bound already.
    ///
    /// # Errors
    ///
    /// A socket that does not listen, or no resources for a thread.
    pub fn new(settings: &Settings, listener: TcpListener) -> io::Result<Self> {
        // Listening again is how the standard library's backlog of 128 is raised.
        rustix::net::listen(&listener, BACKLOG)?;
        // Those who connect get it from the listener. A system without it buffers more, that is all.
        let _ = SockRef::from(&listener).set_tcp_notsent_lowat(UNSENT_BYTES);
        listener.set_nonblocking(true)?;
        let threads: io::Result<_> = (0..settings.threads.max(1)).map(Thread::spawn).collect();
        Ok(Self {
            settings: settings.clone(),
            listener,
            threads: threads?,
        })
    }

    /// The address that is bound, with the port that port 0 became.
    ///
    /// # Errors
    ///
    /// Whatever the system says when asked.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The listening socket, for the process that goes on with it.
    ///
    /// # Errors
    ///
    /// If there is no descriptor left.
    pub fn listener(&self) -> io::Result<TcpListener> {
        self.listener.try_clone()
    }

    /// The runtimes of the threads, in order. Tasks spawned there run from now on and are dropped
    /// when [`Server::run`] returns.
    #[must_use]
    pub fn handles(&self) -> Vec<Handle> {
        self.threads.iter().map(Thread::handle).collect()
    }

    /// Serves until `shutdown` has come to its end and all threads have. `factory` is called once
    /// in each thread, with the thread's index. Accepts on the runtime that polls this.
    ///
    /// # Errors
    ///
    /// A listener that cannot be watched, or a thread that panicked.
    pub async fn run<H, F>(self, factory: F, shutdown: Shutdown) -> io::Result<()>
    where
        H: Handler,
        F: Fn(usize) -> H + Send + Sync + 'static,
    {
        let Self {
            settings,
            listener,
            mut threads,
        } = self;
        let factory = Arc::new(factory);
        let start = |(index, thread): (usize, &mut Thread)| {
            let (lane, arrivals) = Lane::new();
            let (settings, shutdown) = (settings.clone(), shutdown.clone());
            let factory = Arc::clone(&factory);
            thread.start(move || {
                let handler = factory(index);
                Rc::new(Connections::new(handler, &settings, shutdown)).serve_all(arrivals)
            });
            lane
        };
        let lanes = threads.iter_mut().enumerate().map(start).collect();
        let acceptor = Acceptor::new(listener, lanes, &settings)?;
        acceptor.run(&shutdown).await;
        end_all(threads, &shutdown, settings.drain).await
    }
}

/// Waits for the threads, whose connections end one by one or at the latest when cut.
async fn end_all(mut threads: Vec<Thread>, shutdown: &Shutdown, limit: Duration) -> io::Result<()> {
    let ended = async {
        for thread in &mut threads {
            thread.done().await;
        }
        for thread in threads {
            thread.ended().await?;
        }
        Ok(())
    };
    let mut ended = std::pin::pin!(ended);
    tokio::select! {
        biased;
        result = &mut ended => result,
        () = shutdown.count_down(limit) => ended.await,
    }
}
