//! Accepts connections and deals each to the thread that has the fewest.

use std::collections::HashMap;
use std::io;
use std::net::{self, IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::config::Networks;
use crate::server::drain::Shutdown;

use super::Settings;

/// How long nothing is accepted after the system had no descriptor or memory left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);
/// How many refusals may be on their way at a time; more are closed without a word.
const REFUSAL_LIMIT: usize = 64;
const REFUSAL_TIME: Duration = Duration::from_secs(1);
const REFUSAL: &str = concat!(
    r#"{"error":{"message":"too many connections are open","type":"server_error","#,
    r#""code":"too_many_connections","param":null}}"#,
);

/// The way to one thread.
#[derive(Debug)]
pub(super) struct Lane {
    arrivals: mpsc::UnboundedSender<Arrival>,
    load: Arc<AtomicUsize>,
}

/// A connection on its way to a thread.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) stream: TcpStream,
    pub(super) addr: SocketAddr,
    /// Kept as long as the connection is.
    pub(super) seat: Seat,
}

/// A place in a thread's count of connections, and in that of its address.
#[derive(Debug)]
pub(super) struct Seat {
    load: Arc<AtomicUsize>,
    _visit: Option<Visit>,
}

/// How many connections each address has, where that is limited.
#[derive(Debug)]
struct Visitors {
    limit: usize,
    /// Those who carry the connections of others.
    exempt: Networks,
    /// A std lock is enough: it is held for one look-up.
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection in the count of its address.
#[derive(Debug)]
struct Visit(Arc<Visitors>, IpAddr);

impl Visitors {
    /// Counts one more of this address: `Err` if it has too many, `None` where nothing is counted.
    fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Option<Visit>, ()> {
        if self.limit == 0 || self.exempt.contains(address) {
            return Ok(None);
        }
        let address = address.to_canonical();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= self.limit {
            return Err(());
        }
        *count += 1;
        Ok(Some(Visit(Arc::clone(self), address)))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.1);
            }
        }
    }
}

impl Lane {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Arrival>) {
        // Bounded by the cap on open connections.
        let (sender, arrivals) = mpsc::unbounded_channel();
        let lane = Self {
            arrivals: sender,
            load: Arc::default(),
        };
        (lane, arrivals)
    }

    fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    fn send(&self, stream: TcpStream, addr: SocketAddr, visit: Option<Visit>) {
        self.load.fetch_add(1, Ordering::Relaxed);
        let seat = Seat {
            load: Arc::clone(&self.load),
            _visit: visit,
        };
        // A thread that is gone drops the connection, and with it the seat.
        let _ = self.arrivals.send(Arrival { stream, addr, seat });
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The one task that accepts.
#[derive(Debug)]
pub(super) struct Acceptor {
    listener: TcpListener,
    dealer: Dealer,
}

/// Decides who gets a connection.
#[derive(Debug)]
struct Dealer {
    lanes: Vec<Lane>,
    connections: usize,
    visitors: Arc<Visitors>,
    is_tls: bool,
    refusals: JoinSet<()>,
}

impl Acceptor {
    pub(super) fn new(
        listener: net::TcpListener,
        lanes: Vec<Lane>,
        settings: &Settings,
    ) -> io::Result<Self> {
        let dealer = Dealer {
            lanes,
            connections: settings.connections,
            visitors: Arc::new(Visitors {
                limit: settings.connections_per_address,
                exempt: settings.trusted_proxies.clone(),
                open: Mutex::default(),
            }),
            is_tls: settings.tls.is_some(),
            refusals: JoinSet::new(),
        };
        let listener = TcpListener::from_std(listener)?;
        Ok(Self { listener, dealer })
    }

    /// Accepts until the first signal, then what has queued up until now, and closes the listener. What has queued up
    /// for a process that took the listener over is its.
    pub(super) async fn run(mut self, shutdown: &Shutdown) {
        tokio::select! {
            biased;
            () = shutdown.draining() => {}
            () = self.accept_forever() => {}
        }
        let Self {
            listener,
            mut dealer,
        } = self;
        if shutdown.is_listener_kept() {
            drop(listener);
        } else {
            accept_queued(listener, &mut dealer);
        }
        shutdown.note_closed();
        dealer.finish().await;
    }

    async fn accept_forever(&mut self) {
        loop {
            let accepted = self.listener.accept().await;
            // The thread that gets the connection registers it with its own reactor.
            let accepted = accepted.and_then(|(stream, addr)| Ok((stream.into_std()?, addr)));
            match accepted {
                Ok((stream, addr)) => self.dealer.deal(stream, addr),
                Err(error) if is_exhausted(&error) => {
                    warn!(%error, "Accepting connections paused");
                    sleep(EXHAUSTED_PAUSE).await;
                }
                // A connection that was given up before it was accepted.
                Err(_) => {}
            }
        }
    }
}

/// Asks the system itself, since the reactor may not know yet what has queued up.
fn accept_queued(listener: TcpListener, dealer: &mut Dealer) {
    if let Ok(listener) = listener.into_std() {
        // Whatever the error is, there is nothing more to take.
        while let Ok((stream, addr)) = listener.accept() {
            dealer.deal(stream, addr);
        }
    }
}

impl Dealer {
    fn deal(&mut self, stream: TcpStream, addr: SocketAddr) {
        if self.lanes.iter().map(Lane::load).sum::<usize>() >= self.connections {
            return self.refuse(stream);
        }
        let Ok(visit) = self.visitors.admit(addr.ip()) else {
            return self.refuse(stream);
        };
        if let Some(lane) = self.lanes.iter().min_by_key(|lane| lane.load()) {
            lane.send(stream, addr, visit);
        }
    }

    fn refuse(&mut self, stream: TcpStream) {
        while self.refusals.try_join_next().is_some() {}
        // In TLS there is no way to say it before a handshake that costs more than it is worth.
        if !self.is_tls && self.refusals.len() < REFUSAL_LIMIT {
            self.refusals.spawn(async {
                let _ = timeout(REFUSAL_TIME, send_refusal(stream)).await;
            });
        }
    }

    /// Closes the lanes and gives the last refusals their second.
    async fn finish(mut self) {
        self.lanes.clear();
        while self.refusals.join_next().await.is_some() {}
    }
}

/// Says 503 and reads to the end: closing with unread bytes would take the answer away.
async fn send_refusal(stream: TcpStream) -> io::Result<()> {
    let mut stream = to_tokio(stream)?;
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nretry-after: 1\r\nconnection: close\r\n\r\n",
        REFUSAL.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(REFUSAL.as_bytes()).await?;
    stream.shutdown().await?;
    let mut space = [0; 1024];
    while stream.read(&mut space).await? > 0 {}
    Ok(())
}

/// Registers an accepted connection with the reactor of this thread.
pub(super) fn to_tokio(stream: TcpStream) -> io::Result<tokio::net::TcpStream> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    tokio::net::TcpStream::from_std(stream)
}

/// Whether accepting has to wait until something else is given back.
fn is_exhausted(error: &io::Error) -> bool {
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    exhausted
        .into_iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
