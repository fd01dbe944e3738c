//! One connection, from its arrival in a thread to its end.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
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
use super::{Handler, Peer, Settings};

/// What hyper may keep of one stream in memory, each way.
const BUFFER_LIMIT_BYTES: usize = HEAD_LIMIT_BYTES;
const STREAM_LIMIT: u32 = 256;
/// Streams that were reset and whose end hyper has not seen; more is a flood (CVE-2023-44487).
const RESET_LIMIT: usize = 32;
/// Streams that we had to reset; more is a flood too (CVE-2025-8671).
const LOCAL_RESET_LIMIT: usize = 256;
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_LIMIT: Duration = Duration::from_secs(20);

/// What the connections of one thread have in common.
pub(super) struct Connections<H> {
    handler: Rc<H>,
    http: Builder<LocalExecutor>,
    tls: Option<TlsAcceptor>,
    limits: Rc<Limits>,
    half_close: HalfClose,
    readers: Readers,
    shutdown: Shutdown,
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
            http: http_builder(),
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
            return self.serve_http(stream, peer).await;
        };
        let stream = tokio::select! {
            stream = timeout(self.limits.head, acceptor.accept(stream)) => stream,
            () = self.shutdown.cut() => return Err(cut_off()),
        };
        self.serve_http(stream.map_err(io::Error::other)??, peer)
            .await
    }

    async fn serve_http<S>(&self, stream: S, peer: Peer) -> io::Result<()>
    where
        S: Socket + 'static,
    {
        let activity = Rc::new(Activity::new(self.readers.enter()));
        let limits = Rc::clone(&self.limits);
        let guard = Guard::new(stream, Rc::clone(&activity), limits, self.half_close);
        let write_limit = self.limits.write;
        let service = service_fn(move |request| {
            let (handler, ticket) = (Rc::clone(&self.handler), activity.begin());
            respond(handler, request, peer, ticket, write_limit)
        });
        let connection = self.http.serve_connection(TokioIo::new(guard), service);
        let mut connection = pin!(connection);
        // The cut comes after the first signal, so until then one thing is watched, not two.
        tokio::select! {
            biased;
            served = &mut connection => return served.map_err(io::Error::other),
            () = self.shutdown.draining() => {}
        }
        tokio::select! {
            biased;
            served = &mut connection => return served.map_err(io::Error::other),
            // One turn of the reactor: a request that has arrived is seen before it is too late.
            () = yield_now() => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            served = connection => served.map_err(io::Error::other),
            () = self.shutdown.cut() => Err(cut_off()),
        }
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
    let response = match answer::refuse(&request) {
        Some(refusal) => refusal,
        None => answer::catch_panic(handler.handle(request, peer)).await,
    };
    Ok(response.map(|body| Answer::new(body, version, ticket, write_limit)))
}

fn http_builder() -> Builder<LocalExecutor> {
    let mut builder = Builder::new(LocalExecutor);
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
        .max_send_buf_size(BUFFER_LIMIT_BYTES)
        .max_pending_accept_reset_streams(RESET_LIMIT)
        .max_local_error_reset_streams(LOCAL_RESET_LIMIT)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_LIMIT);
    builder
}
