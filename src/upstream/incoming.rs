//! The body of an answer as it comes from a model server: an idle limit, and the member's place
//! until it is dropped.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body::Body as _;
use hyper::body::{Frame, Incoming};
use tokio::time::Instant;

use crate::body;
use crate::error::{Error, Result};

use super::base::{Base, Origin};
use super::connection::Connection;
use super::failure;
use super::groups::Lease;
use super::pool::Pool;

/// An answer's body and the connection that brings it, which goes back to the pool after the last byte.
#[derive(Debug)]
pub(super) struct Exchange {
    incoming: Incoming,
    /// `None` after the end.
    connection: Option<Connection>,
    pool: Pool,
    origin: Origin,
}

impl Exchange {
    /// The exchange whose head has come over `connection`.
    pub(super) fn new(
        incoming: Incoming,
        connection: Connection,
        pool: &Pool,
        base: &Base,
    ) -> Self {
        let mut exchange = Self {
            incoming,
            connection: Some(connection),
            pool: pool.clone(),
            origin: base.origin().clone(),
        };
        exchange.release_at_end();
        exchange
    }

    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let mut frame = self.poll_arrived();
        if let (Poll::Pending, Some(connection)) = (&frame, &mut self.connection)
            && connection.drive(context)
        {
            frame = self.poll_arrived();
        }
        match frame {
            Poll::Ready(None) => self.release(),
            Poll::Ready(_) => self.release_at_end(),
            Poll::Pending => {}
        }
        frame
    }

    /// Ready at `deadline`.
    fn poll_until(&mut self, context: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        match &mut self.connection {
            Some(connection) => connection.poll_until(context, deadline),
            // Nothing will ever come.
            None => Poll::Ready(()),
        }
    }

    fn poll_arrived(&mut self) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let incoming = Pin::new(&mut self.incoming);
        match &self.connection {
            Some(connection) => connection.look(|context| incoming.poll_frame(context)),
            None => incoming.poll_frame(&mut Context::from_waker(Waker::noop())),
        }
    }

    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.release();
        }
    }

    fn release(&mut self) {
        // Whoever takes it looks again whether it is still open.
        let is_free = |connection: &mut Connection| connection.is_done() || connection.is_idle();
        if let Some(connection) = self.connection.take_if(is_free) {
            connection.rest();
            self.pool.put(&self.origin, connection);
        }
    }
}

/// A body on its way. Dropping it before its end closes the connection, which tells the server to
/// stop.
#[derive(Debug)]
pub(super) struct Arriving {
    exchange: Exchange,
    lease: Lease,
    /// How long nothing may come, and since when nothing has.
    idle: Duration,
    silent_since: Option<Instant>,
    ended: bool,
}

impl Arriving {
    pub(super) fn new(exchange: Exchange, lease: Lease, idle: Duration) -> Self {
        Self {
            exchange,
            lease,
            idle,
            silent_since: None,
            ended: false,
        }
    }

    /// All of it, or an error once it is longer than `limit_bytes`.
    pub(super) async fn collect(self, limit_bytes: usize) -> Result<Bytes> {
        body::collect(self, limit_bytes, |arriving: &Self| {
            failure::invalid(arriving.lease.upstream_name(), "it is too long")
        })
        .await
    }

    /// Ready once nothing has come for as long as is allowed.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let since = *self.silent_since.get_or_insert_with(Instant::now);
        self.exchange.poll_until(context, since + self.idle)
    }

    fn fail(&mut self, error: Error) -> Error {
        self.ended = true;
        self.lease.fail();
        error
    }

    fn late(&mut self) -> Error {
        let error = failure::late_body(self.lease.upstream_name(), self.idle);
        self.fail(error)
    }

    fn broken(&mut self, error: hyper::Error) -> Error {
        let error = failure::of_body(self.lease.upstream_name(), error);
        self.fail(error)
    }

    fn end(&mut self) {
        self.ended = true;
        self.lease.succeed();
    }
}

impl Stream for Arriving {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        while !this.ended {
            match this.exchange.poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    this.silent_since = None;
                    // Trailers are of no use to anybody behind us.
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(this.broken(error)))),
                Poll::Ready(None) => this.end(),
                Poll::Pending if this.poll_silence(context).is_ready() => {
                    return Poll::Ready(Some(Err(this.late())));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(None)
    }
}
