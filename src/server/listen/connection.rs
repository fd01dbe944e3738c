//! One connection, from its arrival in a thread to its end.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinSet, spawn_local, yield_now};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use crate::server::drain::Shutdown;
use crate::server::guard::{Activity, Guard, HalfClose, Limits, Socket, Ticket};
use crate::server::head::HEAD_LIMIT_BYTES;
use crate::server::pressure::Readers;

use super::accept::{Arrival, to_tokio};
use super::answer::{self, Answer};
use super::{Handler, Peer, Received, Settings};

/// What hyper may keep of one stream in memory, each way; of an answer, that is what [`Answer`] gives it.
const BUFFER_LIMIT_BYTES: usize = HEAD_LIMIT_BYTES;
/// What it may keep of an answer over HTTP/2 that has a window and no room in the socket.
const SEND_LIMIT_BYTES: usize = 16 << 10;
/// What a client that knows of HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const STREAM_LIMIT: u32 = 256;
/// Streams that were reset and whose end hyper has not seen; more is a flood (CVE-2023-44487).
const RESET_LIMIT: usize = 32;
/// Streams that we had to reset; more is a flood too (CVE-2025-8671).
const LOCAL_RESET_LIMIT: usize = 256;
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_LIMIT: Duration = Duration::from_secs(20);
/// How long the next request of a connection is waited for after another process took over, and the first one after the
/// signal to end.
const NEXT_REQUEST: Duration = Duration::from_secs(2);

/// What the connections of one thread have in common.
pub(super) struct Connections<H> {
    handler: Rc<H>,
    http1: http1::Builder,
    http2: auto::Builder<LocalExecutor>,
    any: auto::Builder<LocalExecutor>,
    tls: Option<TlsAcceptor>,
    limits: Rc<Limits>,
    half_close: HalfClose,
    readers: Readers,
    shutdown: Shutdown,
}

/// Which version of HTTP a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    Http1,
    Http2,
    /// What it sends will show it.
    Either,
}

/// Runs the streams of HTTP/2 connections. They end when their connection is dropped, so the
/// connection is their owner.
#[derive(Clone, Copy, Debug)]
struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future<Output: 'static> + 'static,
{
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}

impl<H> fmt::Debug for Connections<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

impl<H: Handler> Connections<H> {
    pub(super) fn new(handler: H, settings: &Settings, shutdown: Shutdown) -> Self {
        Self {
            handler: Rc::new(handler),
            http1: http1_builder(),
            http2: any_builder().http2_only(),
            any: any_builder(),
            tls: settings.tls.clone().map(TlsAcceptor::from),
            limits: Rc::new(settings.limits),
            half_close: settings.half_close,
            readers: settings.pressure.readers().clone(),
            shutdown,
        }
    }

    /// Serves what arrives until the acceptor is gone and the last connection has ended.
    pub(super) async fn serve_all(self: Rc<Self>, mut arrivals: UnboundedReceiver<Arrival>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                arrival = arrivals.recv() => match arrival {
                    Some(arrival) => {
                        connections.spawn_local(Rc::clone(&self).serve(arrival));
                    }
                    None => break,
                },
                Some(_) = connections.join_next() => {}
            }
        }
        while connections.join_next().await.is_some() {}
    }

    async fn serve(self: Rc<Self>, arrival: Arrival) {
        let Arrival { stream, addr, seat } = arrival;
        let tls = self.tls.is_some();
        if let Err(error) = self.serve_stream(stream, Peer { addr, tls }).await {
            debug!(%error, peer = %addr, "Connection ended early");
        }
        drop(seat);
    }

    async fn serve_stream(&self, stream: TcpStream, peer: Peer) -> io::Result<()> {
        let stream = to_tokio(stream)?;
        let Some(acceptor) = &self.tls else {
            let spoken = self.first_spoken(&stream).await?;
            return self.serve_http(stream, peer, spoken).await;
        };
        // Apart, or connections in the clear would have the size of encrypted ones.
        Box::pin(self.serve_tls(acceptor, stream, peer)).await
    }

    async fn serve_tls(
        &self,
        acceptor: &TlsAcceptor,
        stream: tokio::net::TcpStream,
        peer: Peer,
    ) -> io::Result<()> {
        let stream = tokio::select! {
            stream = timeout(self.limits.head, acceptor.accept(stream)) => stream,
            () = self.shutdown.cut() => return Err(cut_off()),
        };
        let stream = stream.map_err(io::Error::other)??;
        let spoken = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Spoken::Http2,
            Some(b"http/1.1") => Spoken::Http1,
            _ => Spoken::Either,
        };
        self.serve_http(stream, peer, spoken).await
    }

    /// What the first bytes say, which are left where they are. A connection on which nothing has come yet has no buffers.
    async fn first_spoken(&self, stream: &tokio::net::TcpStream) -> io::Result<Spoken> {
        let mut first = [0; PREFACE.len()];
        tokio::select! {
            peeked = timeout(self.limits.idle, stream.peek(&mut first)) => {
                let count = peeked??;
                let is_http1 = first[..count] != PREFACE[..count];
                Ok(if is_http1 { Spoken::Http1 } else { Spoken::Either })
            }
            () = self.shutdown.draining() => Ok(Spoken::Either),
        }
    }

    async fn serve_http<S>(&self, stream: S, peer: Peer, spoken: Spoken) -> io::Result<()>
    where
        S: Socket + 'static,
    {
        let activity = Activity::new(self.readers.enter(), self.shutdown.last_call());
        let activity = Rc::new(activity);
        let requests = Rc::clone(&activity);
        let limits = Rc::clone(&self.limits);
        let guard = Guard::new(stream, Rc::clone(&activity), limits, self.half_close);
        let write_limit = self.limits.write;
        let service = service_fn(move |request| {
            let (handler, ticket) = (Rc::clone(&self.handler), activity.begin());
            respond(handler, request, peer, ticket, write_limit)
        });
        let io = TokioIo::new(guard);
        let builder = match spoken {
            // To find the version out would cost a connection a second buffer, which it then keeps.
            Spoken::Http1 => {
                let connection = self.http1.serve_connection(io, service);
                return self
                    .drive(connection, &requests, |it| it.graceful_shutdown())
                    .await;
            }
            Spoken::Http2 => &self.http2,
            Spoken::Either => &self.any,
        };
        // Apart, or connections of HTTP/1 would have the size of those of HTTP/2.
        let connection = builder.serve_connection(io, service);
        Box::pin(self.drive(connection, &requests, |it| it.graceful_shutdown())).await
    }

    /// Runs a connection to its end, which `end_soon` brings about after the requests that it has.
    async fn drive<C, E>(
        &self,
        connection: C,
        requests: &Activity,
        end_soon: impl Fn(Pin<&mut C>),
    ) -> io::Result<()>
    where
        C: Future<Output = Result<(), E>>,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let mut connection = pin!(connection);
        // The cut comes after the first signal, so until then one thing is watched, not two.
        let signal = pin!(self.shutdown.draining());
        let mut signal = self.shutdown.look_out(signal);
        tokio::select! {
            biased;
            served = &mut connection => return served.map_err(io::Error::other),
            () = &mut signal => {}
        }
        tokio::select! {
            biased;
            served = &mut connection => return served.map_err(io::Error::other),
            // One turn of the reactor: a request that has arrived is seen before it is too late.
            () = yield_now() => {}
        }
        tokio::select! {
            biased;
            served = &mut connection => return served.map_err(io::Error::other),
            () = self.last_request(requests) => {}
            () = self.shutdown.cut() => return Err(cut_off()),
        }
        end_soon(connection.as_mut());
        tokio::select! {
            served = connection => served.map_err(io::Error::other),
            () = self.shutdown.cut() => Err(cut_off()),
        }
    }

    /// Waits for the request that may be on its way: who has just connected cannot know that nothing is served any more,
    /// nor who has just had an answer that another process took over.
    async fn last_request(&self, requests: &Activity) {
        if requests.in_flight() > 0 {
            return;
        }
        let limit = match (self.shutdown.is_handed_over(), requests.started()) {
            (true, 0) => self.limits.head,
            (true, _) | (false, 0) => NEXT_REQUEST,
            (false, _) => return,
        };
        // The connection is closed after it, whether a request came or not.
        let _ = timeout(limit, requests.begun_after(requests.started())).await;
    }
}

fn cut_off() -> io::Error {
    io::Error::other("the gateway ends")
}

async fn respond<H: Handler>(
    handler: Rc<H>,
    request: Request<Incoming>,
    peer: Peer,
    ticket: Ticket,
    write_limit: Duration,
) -> Result<Response<Answer>, Infallible> {
    let version = request.version();
    let mut response = match answer::refuse(&request) {
        Some(refusal) => refusal,
        // hyper keeps room for this whole function as long as the connection lives, and most streams are idle. Boxed
        // before anything is put around it: it is large, and every layer would move it.
        None => {
            let received = Received {
                is_whole: ticket.is_whole(),
                request,
                peer,
            };
            answer::catch_panic(Box::pin(handler.handle(received))).await
        }
    };
    // HTTP/2 has a frame for it.
    if ticket.is_last() && version < Version::HTTP_2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    Ok(response.map(|body| Answer::new(body, version, ticket, write_limit)))
}

/// HTTP/1 alone, set up as [`any_builder`] sets it up.
fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .header_read_timeout(None)
        .half_close(false)
        .max_buf_size(BUFFER_LIMIT_BYTES);
    builder
}

/// HTTP/1 and HTTP/2, by what the client's first bytes are.
fn any_builder() -> auto::Builder<LocalExecutor> {
    let mut builder = auto::Builder::new(LocalExecutor);
    builder
        .http1()
        // Time limits are the guard's business: one timer for all.
        .header_read_timeout(None)
        .half_close(false)
        .max_buf_size(BUFFER_LIMIT_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAM_LIMIT)
        .max_header_list_size(HEAD_LIMIT_BYTES as u32)
        .max_send_buf_size(SEND_LIMIT_BYTES)
        .max_pending_accept_reset_streams(RESET_LIMIT)
        .max_local_error_reset_streams(LOCAL_RESET_LIMIT)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_LIMIT);
    builder
}
