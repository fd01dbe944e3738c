//! One connection, from its arrival in a thread to its end.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::TcpStream;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinSet, spawn_local, yield_now};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use crate::server::drain::Shutdown;
use crate::server::guard::{Activity, Guard, HalfClose, Limits, Ticket};
use crate::server::head::HEAD_LIMIT_BYTES;

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
/// How long the next request of a connection is waited for after another process took over.
const NEXT_REQUEST: Duration = Duration::from_secs(2);

/// What the connections of one thread have in common.
pub(super) struct Connections<H> {
    handler: Rc<H>,
    http: Builder<LocalExecutor>,
    tls: Option<TlsAcceptor>,
    limits: Rc<Limits>,
    half_close: HalfClose,
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
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let activity = Rc::new(Activity::default());
        let requests = Rc::clone(&activity);
        let limits = Rc::clone(&self.limits);
        let guard = Guard::new(stream, Rc::clone(&activity), limits, self.half_close);
        let write_limit = self.limits.write;
        let service = service_fn(move |request| {
            let (handler, ticket) = (Rc::clone(&self.handler), activity.begin());
            let is_last = self.shutdown.is_handed_over();
            respond(handler, request, peer, ticket, write_limit, is_last)
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
        if self.shutdown.is_handed_over() {
            tokio::select! {
                biased;
                served = &mut connection => return served.map_err(io::Error::other),
                () = self.last_request(&requests) => {}
                () = self.shutdown.cut() => return Err(cut_off()),
            }
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            served = connection => served.map_err(io::Error::other),
            () = self.shutdown.cut() => Err(cut_off()),
        }
    }

    /// Waits for the request that may be on its way: who has just connected, or has just had an answer, cannot know
    /// that another process took over.
    async fn last_request(&self, requests: &Activity) {
        if requests.in_flight() > 0 {
            return;
        }
        let limit = match requests.started() {
            0 => self.limits.head,
            _ => NEXT_REQUEST,
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
    is_last: bool,
) -> Result<Response<Answer>, Infallible> {
    let version = request.version();
    let mut response = match answer::refuse(&request) {
        Some(refusal) => refusal,
        None => answer::catch_panic(handler.handle(request, peer)).await,
    };
    // HTTP/2 has a frame for it.
    if is_last && version < Version::HTTP_2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
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
