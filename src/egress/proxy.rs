//! An HTTP proxy on a listener that somebody else has opened, for whoever may reach a few hosts and nothing else.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::head::{self, Request};
use super::{EgressError, Reach};

/// The longest head of a request, in bytes.
const HEAD_BYTES: usize = 64 * 1024;

/// How long a head may take to arrive.
const HEAD_LIMIT: Duration = Duration::from_secs(30);

/// Connections at a time; more wait to be accepted.
const CONNECTIONS: usize = 256;

/// How long to wait after a connection could not be accepted, which is for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// A proxy at work. Dropping it ends it, with its connections and its listener.
#[derive(Debug)]
pub struct Proxy(AbortHandle);

impl Proxy {
    /// Serves `listener` on `runtime`, for a client called `client` in the log.
    ///
    /// # Errors
    ///
    /// If the listener cannot be waited for.
    pub fn start(
        listener: std::net::TcpListener,
        reach: Reach,
        client: String,
        runtime: &Handle,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let entered = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        drop(entered);
        let serving = runtime.spawn(serve(listener, Arc::new((reach, client))));
        Ok(Self(serving.abort_handle()))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Ends when it is aborted, and all connections with it.
async fn serve(listener: TcpListener, shared: Arc<(Reach, String)>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // Fails only if the semaphore is closed, which nobody does.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((client, _)) => {
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    answer(client, &shared.0, &shared.1).await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, "a function's connection cannot be accepted");
                sleep(PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Serves one connection: a request, or a tunnel.
async fn answer(mut client: TcpStream, reach: &Reach, name: &str) {
    let Ok(Ok((head, rest))) = timeout(HEAD_LIMIT, read_head(&mut client, Vec::new())).await else {
        return;
    };
    let request = match Request::parse(&head) {
        Ok(request) => request,
        Err(why) => return refuse(&mut client, "400 Bad Request", why).await,
    };
    let server = match reach.dial(&request.host, request.port).await {
        Ok(server) => server,
        Err(error) => {
            debug!(function.id = name, host = request.host, port = request.port, %error, "no connection for a function");
            let why = format!("`{}:{}`: {error}", request.host, request.port);
            return refuse(&mut client, status(&error), &why).await;
        }
    };
    // Whichever side broke off has its reasons, and the other sees the end.
    let _ = relay(client, server, request, &rest).await;
}

async fn relay(
    mut client: TcpStream,
    mut server: TcpStream,
    request: Request,
    rest: &[u8],
) -> io::Result<()> {
    // What is passed on came in pieces of its sender's choice, and waits for no more.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let Some(head) = request.head else {
        let connected = b"HTTP/1.1 200 Connection established\r\n\r\n";
        client.write_all(connected).await?;
        server.write_all(rest).await?;
        copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    };
    server.write_all(&head).await?;
    server.write_all(rest).await?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let mut answered = pin!(pass_answer(&mut from_server, &mut to_client));
    tokio::select! {
        // A server that takes no more may have answered; a client that sends no more for good has left.
        sent = copy(&mut from_client, &mut to_server) => match sent {
            Err(_) => answered.await,
            Ok(_) => Ok(()),
        },
        answered = &mut answered => answered,
    }
}

/// Passes on the answer to a plain request, with heads that tell the client to ask no more on this connection.
async fn pass_answer(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let (mut came, mut is_interim) = (Vec::new(), true);
    while is_interim {
        let (head, rest) = read_head(from, came).await?;
        let (head, follows) = head::answer(&head).map_err(io::Error::other)?;
        to.write_all(&head).await?;
        (came, is_interim) = (rest, follows);
    }
    to.write_all(&came).await?;
    copy(from, to).await?;
    to.shutdown().await
}

/// Everything up to the empty line, and what came behind it. Goes on from what `came` before.
async fn read_head(
    from: &mut (impl AsyncRead + Unpin),
    came: Vec<u8>,
) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut head = came;
    loop {
        if let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") {
            let rest = head.split_off(end + 4);
            return Ok((head, rest));
        }
        if head.len() > HEAD_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if from.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn status(error: &EgressError) -> &'static str {
    match error {
        EgressError::NotNamed | EgressError::Private(_) => "403 Forbidden by `hosts`",
        EgressError::Unknown(_) | EgressError::Unreachable(_) => "502 Bad Gateway",
        EgressError::TimedOut => "504 Gateway Timeout",
    }
}

async fn refuse(client: &mut TcpStream, status: &str, why: &str) {
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
        Connection: close\r\n\r\n{why}",
        why.len()
    );
    // One who has gone needs no answer.
    let _ = client.write_all(answer.as_bytes()).await;
    let _ = client.shutdown().await;
}
