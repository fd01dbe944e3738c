//! One thread's HTTP client: a pool of HTTP/1.1 connections, a member for each request, one safe
//! second try.

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use crate::error::Result;

use super::base::Base;
use super::connect::Connector;
use super::connection::Connection;
use super::directory::{Directory, Limits, Upstream};
use super::failure::{self, Unanswered};
use super::groups::Lease;
use super::incoming::{Arriving, Exchange};
use super::pool::Pool;

/// One thread's connections to all upstreams. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Client {
    connector: Connector,
    idle: Pool,
    limits: Limits,
}

/// A request, before it is known which member gets it.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// The path behind the base address; begins with a slash.
    pub(super) path: &'a str,
    /// Makes its headers, for each try: the first is nearly always the last, and takes them along.
    pub(super) headers: &'a (dyn Fn() -> HeaderMap + Sync),
    pub(super) body: Bytes,
    pub(super) conversation: Option<u64>,
}

/// The head of an answer, and the body as it comes.
pub(super) type Arrived = Response<Arriving>;

/// The head of an answer, and the connection over which the rest comes.
type Head = (Response<Incoming>, Connection);

impl Client {
    /// A client with an empty pool, for the thread that calls.
    pub(super) fn new(directory: &Directory) -> Self {
        let limits = directory.limits;
        let connector = Connector::new(directory.tls.clone(), limits.connect);
        Self {
            connector,
            idle: Pool::default(),
            limits,
        }
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
            Some(lease) => Box::pin(self.attempt(call, lease)).await,
            None => Err(error),
        }
    }

    async fn attempt(&self, call: &Call<'_>, mut lease: Lease) -> Result<Arrived> {
        match self.head(call, &lease).await {
            Ok((response, connection)) => {
                if is_gateway_failure(&response) {
                    lease.fail();
                }
                let (parts, incoming) = response.into_parts();
                let exchange = Exchange::new(incoming, connection, &self.idle, lease.base());
                let arriving = Arriving::new(exchange, lease, self.limits.idle);
                Ok(Response::from_parts(parts, arriving))
            }
            Err(error) => {
                lease.fail();
                Err(error)
            }
        }
    }

    async fn head(&self, call: &Call<'_>, lease: &Lease) -> Result<Head> {
        let limit = self.limits.head;
        let head = self.replay_if_stale(call, lease.base(), Instant::now() + limit);
        head.await
            .map_err(|error| failure::of_request(lease.upstream_name(), error, limit))
    }

    /// A server may close an idle connection at the moment we write to it. Then, and only then,
    /// the request goes out once more: that connection had served before and gave no byte back.
    async fn replay_if_stale(
        &self,
        call: &Call<'_>,
        base: &Base,
        deadline: Instant,
    ) -> std::result::Result<Head, Unanswered> {
        if let Some(connection) = self.idle.take(base.origin()) {
            match exchange(call, base, connection, deadline).await {
                Err(Unanswered::Broken(error)) if failure::is_broken_off(&error) => {}
                outcome => return outcome,
            }
        }
        // Boxed, because it is rare and larger than all the rest of a request's future.
        let opening = Box::pin(timeout_at(deadline, self.open(base)));
        let connection = opening.await.map_err(|_| Unanswered::Late)??;
        exchange(call, base, connection, deadline).await
    }

    async fn open(&self, base: &Base) -> std::result::Result<Connection, Unanswered> {
        let uri = base.origin().uri()?;
        let socket = self.connector.connect(&uri).await?;
        Ok(Connection::open(socket).await?)
    }
}

async fn exchange(
    call: &Call<'_>,
    base: &Base,
    mut connection: Connection,
    deadline: Instant,
) -> std::result::Result<Head, Unanswered> {
    let response = connection.send(call.request(base)?, deadline).await?;
    Ok((response, connection))
}

impl Call<'_> {
    fn request(&self, base: &Base) -> std::result::Result<Request<Full<Bytes>>, http::Error> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = base.target(self.path)?;
        *request.headers_mut() = (self.headers)();
        let host = base.host_field().clone();
        request.headers_mut().entry(HOST).or_insert(host);
        Ok(request)
    }
}

/// The statuses with which a proxy in front of a dead server answers; 500 is one request's own
/// fault.
fn is_gateway_failure(response: &Response<Incoming>) -> bool {
    matches!(response.status().as_u16(), 502..=504)
}
