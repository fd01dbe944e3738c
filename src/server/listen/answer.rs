//! The answer as hyper takes it, and the answers that need no handler.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{self, Future};
use std::mem;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::{Instant, sleep_until};
use tracing::error;

use crate::body::Body;
use crate::error::{Error, Kind};
use crate::server::guard::Ticket;
use crate::server::head::FIELD_LIMIT;

const TARGET_LIMIT_BYTES: usize = 8 * 1024;

/// A body that counts as a request in flight until it is dropped, and that fails only after
/// what came right before the failure has left: hyper drops what it has queued when a body fails.
#[derive(Debug)]
pub(super) struct Answer {
    source: Rc<Source>,
    /// Looked at and not given yet.
    ahead: Option<Bytes>,
    /// What ended the body, or will when `ahead` has been given.
    failure: Option<Error>,
    is_ended: bool,
    /// Ends with the answer.
    watch: Option<AbortHandle>,
    /// Whether hyper has been given something and not asked for more: it may still hold it back.
    is_given: bool,
    /// The connection's count of flushes when hyper had just passed on what it was given.
    passed_at: u64,
}

/// Where an answer comes from, which the watch over a stream of HTTP/2 can take away.
#[derive(Debug)]
struct Source {
    body: RefCell<Body>,
    ticket: RefCell<Option<Ticket>>,
    /// Since when it is the client's turn to take something.
    given_at: Cell<Option<Instant>>,
}

impl Source {
    /// Ends whatever was behind the answer. The rest, should it ever be asked for, is a failure.
    fn cut(&self) {
        let gone = Error::new(Kind::ClientGone, "the client takes no bytes");
        let cut = Body::stream(stream::once(future::ready(Err(gone))));
        drop(self.body.replace(cut));
        drop(self.ticket.take());
    }

    fn flushes(&self) -> u64 {
        self.ticket.borrow().as_ref().map_or(0, Ticket::flushes)
    }

    fn note_given(&self, bytes: usize) {
        if let Some(ticket) = &*self.ticket.borrow() {
            ticket.note_given(bytes);
        }
    }

    /// Whether the socket has to take something first. In HTTP/2 windows bound what a client may leave of each stream, but
    /// it may open many wide ones: none of them goes on while the socket takes nothing.
    fn has_to_wait(&self, is_http2: bool, waiter: &Waker) -> bool {
        let ticket = self.ticket.borrow();
        let has_to = |ticket: &Ticket| match is_http2 {
            true => ticket.is_blocked(waiter),
            false => ticket.has_to_flush(waiter),
        };
        ticket.as_ref().is_some_and(has_to)
    }

    fn is_flushed_since(&self, flushes: u64, waiter: &Waker) -> bool {
        let ticket = self.ticket.borrow();
        ticket
            .as_ref()
            .is_none_or(|ticket| ticket.is_flushed_since(flushes, waiter))
    }
}

/// Cuts an answer whose client gives it no window for as long as `limit`. The guard does not see it: the socket takes
/// the bytes of other streams.
async fn watch(source: Weak<Source>, limit: Duration) {
    loop {
        let now = Instant::now();
        let Some(source) = source.upgrade() else {
            return;
        };
        let deadline = source.given_at.get().unwrap_or(now) + limit;
        if deadline <= now {
            return source.cut();
        }
        drop(source);
        sleep_until(deadline).await;
    }
}

impl Answer {
    /// The answer to a request of this version, whose client may take nothing for as long as `limit`.
    pub(super) fn new(body: Body, version: Version, ticket: Ticket, limit: Duration) -> Self {
        let is_http2 = version == Version::HTTP_2;
        let source = Rc::new(Source {
            body: RefCell::new(body),
            ticket: RefCell::new(Some(ticket)),
            given_at: Cell::new(is_http2.then(Instant::now)),
        });
        let watch =
            is_http2.then(|| spawn_local(watch(Rc::downgrade(&source), limit)).abort_handle());
        Self {
            source,
            ahead: None,
            failure: None,
            is_ended: false,
            watch,
            is_given: true,
            passed_at: 0,
        }
    }

    fn is_http2(&self) -> bool {
        self.watch.is_some()
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.ahead.is_some() || self.is_ended {
            return Poll::Ready(self.ahead.take());
        }
        let frame = Pin::new(&mut *self.source.body.borrow_mut()).poll_frame(cx);
        let piece = match ready!(frame) {
            Some(Ok(frame)) => frame.into_data().ok(),
            Some(Err(failure)) => {
                self.failure = Some(failure);
                None
            }
            None => None,
        };
        self.is_ended = piece.is_none();
        Poll::Ready(piece)
    }

    /// In HTTP/2 a flush says nothing about what waits for the client's window. But hyper gives a
    /// piece to the window only after all of the piece before it, so a last byte of its own is
    /// proof: once it is taken, everything has a place in the window and the flush will come.
    fn hold_back_last_byte(&mut self, mut piece: Bytes, cx: &mut Context<'_>) -> Bytes {
        if !self.is_ended {
            if let Poll::Ready(next) = self.poll_piece(cx) {
                self.ahead = next;
            }
            if self.failure.is_some() && piece.len() > 1 {
                self.ahead = Some(piece.split_off(piece.len() - 1));
            }
        }
        piece
    }

    fn poll_failure(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.failure.is_some() && !self.source.is_flushed_since(self.passed_at, cx.waker()) {
            return Poll::Pending;
        }
        Poll::Ready(self.failure.take().map(Err))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        this.source.given_at.set(None);
        if mem::take(&mut this.is_given) {
            this.passed_at = this.source.flushes();
        }
        // hyper would go on, and buffer for a client that takes nothing.
        if this.source.has_to_wait(this.is_http2(), cx.waker()) {
            return Poll::Pending;
        }
        let Some(mut piece) = ready!(this.poll_piece(cx)) else {
            return this.poll_failure(cx);
        };
        if this.is_http2() {
            piece = this.hold_back_last_byte(piece, cx);
            this.source.given_at.set(Some(Instant::now()));
        }
        this.is_given = true;
        this.source.note_given(piece.len());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        let is_ended = self.is_ended || self.source.body.borrow().is_end_stream();
        is_ended && self.ahead.is_none() && self.failure.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.source.body.borrow().size_hint()
    }
}

/// The answer to a request that no handler needs to see. hyper parses more than we serve, and the
/// head check sees nothing of HTTP/2.
pub(super) fn refuse<B>(request: &Request<B>) -> Option<Response<Body>> {
    let (status, code) = fault(request)?;
    let mut response = refusal(status, code);
    if request.version() < Version::HTTP_2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    Some(response)
}

fn fault<B>(request: &Request<B>) -> Option<(StatusCode, &'static str)> {
    let target = request.uri().path_and_query();
    if target.is_some_and(|target| target.as_str().len() > TARGET_LIMIT_BYTES) {
        return Some((StatusCode::URI_TOO_LONG, "uri_too_long"));
    }
    if request.headers().len() > FIELD_LIMIT {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Some((status, "too_many_fields"));
    }
    let is_two_faced = request.version() == Version::HTTP_2 && !is_for_one_host(request);
    is_two_faced.then_some((StatusCode::BAD_REQUEST, "ambiguous_host"))
}

/// Whether `:authority` and `Host` fields, where there are any, name the same host.
fn is_for_one_host<B>(request: &Request<B>) -> bool {
    let authority = request
        .uri()
        .authority()
        .map(|name| name.as_str().as_bytes());
    let hosts = request.headers().get_all(HOST);
    let mut names = authority
        .into_iter()
        .chain(hosts.iter().map(HeaderValue::as_bytes));
    let Some(first) = names.next() else {
        return false;
    };
    hosts.iter().count() <= 1 && names.all(|name| name.eq_ignore_ascii_case(first))
}

/// Runs a handler; if it panics, the request is answered and everything beside it goes on.
/// No `async fn`, which would hold the handler's future twice, before and while it runs.
pub(super) fn catch_panic(
    handling: impl Future<Output = Response<Body>>,
) -> impl Future<Output = Response<Body>> {
    let caught = AssertUnwindSafe(handling).catch_unwind();
    caught.map(|outcome| outcome.unwrap_or_else(|panic| answer_panic(&*panic)))
}

fn answer_panic(panic: &(dyn Any + Send)) -> Response<Body> {
    let panic = panic_text(panic);
    error!(panic, "Handler panicked, answered 500");
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal_error")
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message")
}

fn refusal(status: StatusCode, code: &str) -> Response<Body> {
    let reason = status.canonical_reason().unwrap_or_default();
    let kind = if status.is_server_error() {
        "server_error"
    } else {
        "invalid_request_error"
    };
    let body = format!(
        r#"{{"error":{{"message":"{reason}","type":"{kind}","code":"{code}","param":null}}}}"#
    );
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
