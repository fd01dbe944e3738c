//! What stands between a socket and hyper: the head check, and the time limits of a connection.
//!
//! Everything happens inside the reads and writes that hyper asks for; there is no task and no
//! copy of its own. A limit that passes is an error of that read or write, on which hyper drops
//! the connection and the request with it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::head::{HeadCheck, Phase, Verdict};
use crate::timer::Timer;

mod activity;
mod socket;
#[cfg(test)]
mod tests;

pub(super) use activity::{Activity, Ticket};
pub(super) use socket::Socket;

/// Stands in for refused bytes. Invalid wherever a head or a chunk may break off, so that hyper
/// itself answers 400 after the answers before it, and closes.
const POISON: &[u8] = b"\x01\n\r\n\r\n";
const DISCARD_BYTES: usize = 4096;
/// The answer to a head that does not come.
const LATE: &[u8] = concat!(
    "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\n",
    "content-length: 130\r\nconnection: close\r\n\r\n",
    r#"{"error":{"message":"the head of the request took too long","#,
    r#""type":"invalid_request_error","code":"request_timeout","param":null}}"#,
)
.as_bytes();

/// What the end of the input means while a request is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HalfClose {
    /// The client has left: the request is dropped.
    #[default]
    Leave,
    /// The client may still read: the answer is delivered.
    Serve,
}

/// How long a connection may stand still.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the first byte of a head to its last; for a TLS handshake too.
    pub head: Duration,
    /// Between two pieces of a request's body.
    pub body: Duration,
    /// Without a request in flight.
    pub idle: Duration,
    /// While the client takes no byte of an answer.
    pub write: Duration,
    /// For a client that still sends what nobody will read, so that it gets to read the answer.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(60),
            linger: Duration::from_secs(5),
        }
    }
}

/// What a read waits for. The numbers make two waits differ, so that each has its own deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// The next request, after so many.
    Idle(u64),
    /// The rest of a head, after so many messages.
    Head(u64),
    /// More of a body, after so many bytes.
    Body(u64),
    /// The end of a request in flight.
    Answer,
}

#[derive(Debug)]
enum Input {
    Open,
    /// Refused; this much of the poison is still to be handed out, then the input ends.
    Refused(&'static [u8]),
}

/// A socket that hands out only what may be handed to hyper, and only as long as it moves.
#[derive(Debug)]
pub(super) struct Guard<S> {
    stream: S,
    activity: Rc<Activity>,
    limits: Rc<Limits>,
    half_close: HalfClose,
    head: HeadCheck,
    input: Input,
    received: u64,
    read_wait: Option<(Waiting, Instant)>,
    write_deadline: Option<Instant>,
    /// Set when our side has been shut.
    linger_deadline: Option<Instant>,
    timer: Timer,
}

impl<S: Socket> Guard<S> {
    /// Guards `stream`, whose requests are counted in `activity`.
    pub(super) fn new(
        stream: S,
        activity: Rc<Activity>,
        limits: Rc<Limits>,
        half_close: HalfClose,
    ) -> Self {
        Self {
            stream,
            activity,
            limits,
            half_close,
            head: HeadCheck::new(),
            input: Input::Open,
            received: 0,
            read_wait: None,
            write_deadline: None,
            linger_deadline: None,
            timer: Timer::default(),
        }
    }

    /// Judges what was read into `buffer` from `start` on, and puts poison in place of bad bytes.
    fn check(&mut self, buffer: &mut ReadBuf<'_>, start: usize) {
        let bytes = &buffer.filled()[start..];
        self.received += bytes.len() as u64;
        if let Verdict::Refuse { at } = self.head.feed(bytes) {
            buffer.set_filled(start + at);
            // By itself, for hyper answers 431 where the good part alone is too long.
            let rest = if at == 0 {
                hand_out(POISON, buffer)
            } else {
                POISON
            };
            self.input = Input::Refused(rest);
        }
        self.activity.note_input(self.head.is_between_messages());
    }

    fn waiting(&self) -> Waiting {
        let is_busy = self.activity.in_flight() > 0;
        match self.head.phase() {
            Phase::InBody => Waiting::Body(self.received),
            // A head behind a request in flight has all the time that this one takes.
            _ if is_busy => Waiting::Answer,
            Phase::InHead => Waiting::Head(self.head.messages()),
            Phase::BetweenMessages => Waiting::Idle(self.activity.started()),
        }
    }

    /// The client sends nothing more. hyper learns it, unless the answer is to be delivered.
    fn poll_end_of_input(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let is_served = self.half_close == HalfClose::Serve
            && self.activity.in_flight() > 0
            && self.head.phase() == Phase::BetweenMessages
            && !self.head.is_http2();
        if !is_served {
            return Poll::Ready(Ok(()));
        }
        self.activity.wake_when_idle(cx.waker());
        Poll::Pending
    }

    /// Bounds the time in which nothing can be written.
    fn poll_write_limit<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_deadline = None;
            return written;
        }
        if self.activity.note_blocked(cx) {
            self.stream.reset_on_close();
            return Poll::Ready(Err(let_go()));
        }
        let limit = self.limits.write;
        let deadline = *self
            .write_deadline
            .get_or_insert_with(|| Instant::now() + limit);
        ready!(self.timer.poll_until(cx, deadline));
        Poll::Ready(Err(timed_out("the client takes no bytes")))
    }

    fn note_written(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.activity.note_written(*bytes);
        }
    }

    /// Whether the client may still be sending what nobody will read.
    fn has_unread_input(&self) -> bool {
        matches!(self.input, Input::Refused(_)) || self.head.phase() != Phase::BetweenMessages
    }
}

impl<S: Socket> Guard<S> {
    /// Bounds the wait for bytes, which has begun or goes on.
    fn poll_read_limit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waiting = self.waiting();
        let (limit, what) = match waiting {
            Waiting::Answer => return self.poll_busy(cx),
            Waiting::Idle(_) => (self.limits.idle, "no request came"),
            Waiting::Head(_) => (self.limits.head, "a request's head took too long"),
            Waiting::Body(_) => (self.limits.body, "a request's body stalled"),
        };
        let known = self.read_wait.filter(|(known, _)| *known == waiting);
        let wait = known.unwrap_or_else(|| (waiting, self.began(waiting) + limit));
        self.read_wait = Some(wait);
        ready!(self.timer.poll_until(cx, wait.1));
        if matches!(waiting, Waiting::Head(_)) {
            self.say_late(cx);
        }
        Poll::Ready(Err(timed_out(what)))
    }

    /// Nothing is due while a request is in flight. But hyper may have read for the last time until something comes, and an
    /// idle connection has its limit: the guard has itself woken by when the request may have ended, rather than at the end
    /// of each.
    fn poll_busy(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let known = self
            .read_wait
            .filter(|(known, at)| *known == Waiting::Answer && self.timer.wakes(cx, *at));
        if known.is_none() {
            let at = Instant::now() + self.limits.idle;
            self.read_wait = Some((Waiting::Answer, at));
            ready!(self.timer.poll_until(cx, at));
            // Only where the limit is nothing at all.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Since when something is waited for. The last answer may have ended without a look at the reader.
    fn began(&self, waiting: Waiting) -> Instant {
        let idle_since = match waiting {
            Waiting::Idle(_) => self.activity.idle_since(),
            _ => None,
        };
        idle_since.unwrap_or_else(Instant::now)
    }

    /// Tells a client whose head did not come, if its socket takes it at once. hyper has nothing to write then.
    fn say_late(&mut self, cx: &mut Context<'_>) {
        let mut stream = Pin::new(&mut self.stream);
        if stream.as_mut().poll_write(cx, LATE).is_ready() {
            // The connection is dropped next, whatever comes of it.
            let _ = stream.as_mut().poll_flush(cx);
            let _ = stream.poll_shutdown(cx);
        }
    }
}

impl<S: Socket> Guard<S> {
    /// Reads and forgets until the client has ended too: closing before would reset the
    /// connection, and the client might lose the answer.
    fn poll_linger(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<io::Result<()>> {
        if Instant::now() >= deadline {
            return Poll::Ready(Ok(()));
        }
        let mut space = [0; DISCARD_BYTES];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return self.timer.poll_until(cx, deadline).map(Ok),
            }
        }
    }
}

impl<S: Socket> AsyncRead for Guard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Input::Refused(poison) = this.input {
            this.input = Input::Refused(hand_out(poison, buffer));
            return Poll::Ready(Ok(()));
        }
        let start = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buffer) {
            Poll::Pending => this.poll_read_limit(cx),
            Poll::Ready(Ok(())) if buffer.filled().len() == start => this.poll_end_of_input(cx),
            Poll::Ready(Ok(())) => {
                this.check(buffer, start);
                Poll::Ready(Ok(()))
            }
            failed => failed,
        }
    }
}

impl<S: Socket> AsyncWrite for Guard<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.note_written(&written);
        this.poll_write_limit(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.note_written(&written);
        this.poll_write_limit(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        ready!(this.poll_write_limit(cx, flushed))?;
        this.activity.note_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger_deadline.is_none() {
            let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
            ready!(this.poll_write_limit(cx, shut))?;
        }
        if !this.has_unread_input() {
            return Poll::Ready(Ok(()));
        }
        let limit = this.limits.linger;
        let deadline = *this
            .linger_deadline
            .get_or_insert_with(|| Instant::now() + limit);
        this.poll_linger(cx, deadline)
    }
}

/// Puts as much of `bytes` into `buffer` as fits; the rest is for the next read.
fn hand_out<'a>(bytes: &'a [u8], buffer: &mut ReadBuf<'_>) -> &'a [u8] {
    let (now, later) = bytes.split_at(bytes.len().min(buffer.remaining()));
    buffer.put_slice(now);
    later
}

fn let_go() -> io::Error {
    let what = "the client takes no bytes, and memory is critical";
    io::Error::new(io::ErrorKind::ConnectionAborted, what)
}

fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}
