//! One thread's HTTP client: a pool of HTTP/1.1 connections, a member for each request, one safe
//! second try.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use crate::error::{Error, Result};

use super::connect::{Connector, Served};
use super::directory::{Directory, Limits, Upstream};
use super::failure;
use super::groups::Lease;
use super::incoming::Arriving;

/// Longer than most servers keep an idle connection; those that close earlier are noticed.
const POOL_IDLE: Duration = Duration::from_secs(60);
/// The longest head of an answer, and the most that one connection reads ahead of its consumer.
const READ_BUFFER_BYTES: usize = 32 << 10;

/// One thread's connections to all upstreams. Clones share them.
#[derive(Clone)]
pub(super) struct Client {
    http: legacy::Client<Connector, Full<Bytes>>,
    limits: Limits,
}

/// A request, before it is known which member gets it.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// The path behind the base address; begins with a slash.
    pub(super) path: &'a str,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) conversation: Option<u64>,
}

/// The head of an answer, and the body as it comes.
pub(super) type Arrived = Response<Arriving>;

impl Client {
    /// A client with an empty pool, for the thread that calls.
    pub(super) fn new(directory: &Directory) -> Self {
        let limits = directory.limits;
        let connector = Connector::new(directory.tls.clone(), limits.connect);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .http1_max_buf_size(READ_BUFFER_BYTES)
            .build(connector);
        Self { http, limits }
    }

    /// Sends `call` to a member of `upstream`; if that one got nothing of it, to another.
    pub(super) async fn send(&self, upstream: &Upstream, call: &Call<'_>) -> Result<Arrived> {
        let place = upstream.group.lease(call.conversation, None);
        let lease = place.ok_or_else(|| failure::busy(&upstream.name))?;
        let first = lease.index();
        let error = match self.attempt(call, lease).await {
            Err(error) if error.is_retryable() => error,
            outcome => return outcome,
        };
        match upstream.group.lease(call.conversation, Some(first)) {
            Some(lease) => self.attempt(call, lease).await,
            None => Err(error),
        }
    }

    async fn attempt(&self, call: &Call<'_>, mut lease: Lease) -> Result<Arrived> {
        match self.head(call, &lease).await {
            Ok(response) => {
                if is_gateway_failure(&response) {
                    lease.fail();
                }
                let idle = self.limits.idle;
                Ok(response.map(|incoming| Arriving::new(incoming, lease, idle)))
            }
            Err(error) => {
                lease.fail();
                Err(error)
            }
        }
    }

    async fn head(&self, call: &Call<'_>, lease: &Lease) -> Result<Response<Incoming>> {
        let name = lease.upstream_name();
        let uri = lease.base().join(call.path).map_err(Error::internal)?;
        timeout(self.limits.head, self.replay_if_stale(call, &uri))
            .await
            .map_err(|_| failure::late_head(name, self.limits.head))?
            .map_err(|error| failure::of_request(name, error))
    }

    /// A server may close an idle connection at the moment we write to it. Then, and only then,
    /// the request goes out once more: that connection had served before and gave no byte back.
    async fn replay_if_stale(
        &self,
        call: &Call<'_>,
        uri: &Uri,
    ) -> std::result::Result<Response<Incoming>, legacy::Error> {
        let response = match self.http.request(call.request(uri)).await {
            Err(error) if is_stale(&error) => self.http.request(call.request(uri)).await?,
            outcome => outcome?,
        };
        if let Some(served) = response.extensions().get::<Served>() {
            served.set();
        }
        Ok(response)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Call<'_> {
    fn request(&self, uri: &Uri) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

fn is_stale(error: &legacy::Error) -> bool {
    let mut extras = http::Extensions::new();
    if let Some(connection) = error.connect_info() {
        connection.get_extras(&mut extras);
    }
    extras.get::<Served>().is_some_and(Served::get) && failure::is_broken_off(error)
}

/// The statuses with which a proxy in front of a dead server answers; 500 is one request's own
/// fault.
fn is_gateway_failure(response: &Response<Incoming>) -> bool {
    matches!(response.status().as_u16(), 502..=504)
}
