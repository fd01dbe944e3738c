//! What a connection's socket and its requests know of each other.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use crate::server::drain::LastCall;
use crate::server::pressure::Place;

/// How much of an answer hyper is given before it has to leave. It bounds what a client that reads nothing holds, and
/// what one connection does before others have their turn: hyper alone goes on for as long as there is something to send
/// and the socket takes it.
const BATCH_BYTES: u64 = 16 << 10;
/// The same for a client that keeps up, which long answers reach with fewer writes.
const LONG_BATCH_BYTES: u64 = 64 << 10;
/// A client that has taken so much without the socket ever being full keeps up: well beyond what systems buffer for one
/// that reads nothing.
const KEEPS_UP_BYTES: u64 = 1 << 20;

/// Shared by the [`Guard`](super::Guard) of one connection and the answers on it, all on one
/// thread.
#[derive(Debug)]
pub(crate) struct Activity {
    in_flight: Cell<usize>,
    started: Cell<u64>,
    last_call: LastCall,
    flushes: Cell<u64>,
    is_blocked: Cell<bool>,
    /// What hyper was given and the socket has not taken. Framing makes it a little less than it is.
    held_bytes: Cell<u64>,
    /// What the socket has taken since it was full last.
    taken_bytes: Cell<u64>,
    place: Place,
    /// Who waits for the next request to begin.
    next: RefCell<Option<Waker>>,
    /// Whether all input that has begun has come completely.
    is_input_whole: Cell<bool>,
    /// Since when no request is in flight, once there was one.
    idle_since: Cell<Option<Instant>>,
    /// The reader, while it hides the end of the input from hyper.
    reader: RefCell<Option<Waker>>,
    /// Answers that wait for what they wrote to leave.
    flush_waiters: RefCell<Vec<Waker>>,
}

impl Activity {
    /// A connection that nothing has happened on, with its place among the readers. After `last_call` it is closed after
    /// what it has been asked and the next request, whose answer tells the client so.
    pub(in crate::server) fn new(place: Place, last_call: LastCall) -> Self {
        Self {
            in_flight: Cell::default(),
            started: Cell::default(),
            last_call,
            flushes: Cell::default(),
            is_blocked: Cell::default(),
            held_bytes: Cell::default(),
            taken_bytes: Cell::default(),
            place,
            next: RefCell::default(),
            is_input_whole: Cell::default(),
            idle_since: Cell::default(),
            reader: RefCell::default(),
            flush_waiters: RefCell::default(),
        }
    }

    /// Counts a request until the ticket is dropped, which is when its answer has ended.
    #[must_use]
    pub(crate) fn begin(self: &Rc<Self>) -> Ticket {
        self.in_flight.set(self.in_flight.get() + 1);
        self.started.set(self.started.get() + 1);
        if let Some(waiter) = self.next.borrow_mut().take() {
            waiter.wake();
        }
        Ticket(Rc::clone(self))
    }

    /// Waits until a request has begun after the first `started`. Cancel safe; one may wait at a time.
    pub(crate) async fn begun_after(&self, started: u64) {
        poll_fn(|cx| {
            if self.started.get() > started {
                return Poll::Ready(());
            }
            *self.next.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// How many requests have not ended.
    #[must_use]
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    /// How many requests have begun.
    pub(crate) fn started(&self) -> u64 {
        self.started.get()
    }

    /// Whether the input that was read last ended with the end of a message, or does not.
    pub(super) fn note_input(&self, is_whole: bool) {
        self.is_input_whole.set(is_whole);
    }

    /// Wakes `reader` when no request is in flight any more.
    pub(super) fn wake_when_idle(&self, reader: &Waker) {
        *self.reader.borrow_mut() = Some(reader.clone());
    }

    /// Since when no request is in flight. `None` before the first one.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        self.idle_since.get()
    }

    fn wake_when_flushed(&self, waiter: &Waker) {
        let mut waiters = self.flush_waiters.borrow_mut();
        if !waiters.iter().any(|known| known.will_wake(waiter)) {
            waiters.push(waiter.clone());
        }
    }

    /// The socket takes no bytes now. Whether the connection is to end for it, since memory is needed.
    pub(in crate::server) fn note_blocked(&self, context: &Context<'_>) -> bool {
        self.is_blocked.set(true);
        self.taken_bytes.set(0);
        self.place.stands_still(self.held_bytes.get());
        self.place.is_let_go(context)
    }

    /// The socket has taken so many bytes.
    pub(in crate::server) fn note_written(&self, bytes: usize) {
        let held = self.held_bytes.get().saturating_sub(bytes as u64);
        self.held_bytes.set(held);
        self.taken_bytes.set(self.taken_bytes.get() + bytes as u64);
        self.place.moves();
    }

    fn batch_bytes(&self) -> u64 {
        if self.taken_bytes.get() < KEEPS_UP_BYTES {
            BATCH_BYTES
        } else {
            LONG_BATCH_BYTES
        }
    }

    /// Everything that hyper had written has left.
    pub(in crate::server) fn note_flushed(&self) {
        self.is_blocked.set(false);
        self.held_bytes.set(0);
        self.place.moves();
        self.flushes.set(self.flushes.get() + 1);
        for waiter in self.flush_waiters.borrow_mut().drain(..) {
            waiter.wake();
        }
    }
}

/// A request in flight.
#[derive(Debug)]
pub(crate) struct Ticket(Rc<Activity>);

impl Ticket {
    /// Whether the connection has read all of this request.
    #[must_use]
    pub(crate) fn is_whole(&self) -> bool {
        self.0.is_input_whole.get()
    }

    /// hyper has been given so many bytes of an answer.
    pub(crate) fn note_given(&self, bytes: usize) {
        let held = &self.0.held_bytes;
        held.set(held.get() + bytes as u64);
    }

    /// Whether the connection is closed after this request.
    #[must_use]
    pub(crate) fn is_last(&self) -> bool {
        self.0.last_call.has_come()
    }

    /// How often the connection has been flushed, to be given to [`Ticket::is_flushed_since`].
    #[must_use]
    pub(crate) fn flushes(&self) -> u64 {
        self.0.flushes.get()
    }

    /// Whether what was written when there were `flushes` has left; else `waiter` is woken after
    /// the next flush.
    #[must_use]
    pub(crate) fn is_flushed_since(&self, flushes: u64, waiter: &Waker) -> bool {
        let is_flushed = self.0.flushes.get() > flushes && !self.0.is_blocked.get();
        if !is_flushed {
            self.0.wake_when_flushed(waiter);
        }
        is_flushed
    }

    /// Whether the socket took nothing when it was asked last. Then `waiter` is woken after the next flush.
    #[must_use]
    pub(crate) fn is_blocked(&self, waiter: &Waker) -> bool {
        let is_blocked = self.0.is_blocked.get();
        if is_blocked {
            self.0.wake_when_flushed(waiter);
        }
        is_blocked
    }

    /// Whether the socket has to take something first: it took nothing when it was asked last, or there is a whole batch
    /// for it. Then `waiter` is woken after the next flush.
    #[must_use]
    pub(crate) fn has_to_flush(&self, waiter: &Waker) -> bool {
        let has_to = self.0.is_blocked.get() || self.0.held_bytes.get() >= self.0.batch_bytes();
        if has_to {
            self.0.wake_when_flushed(waiter);
        }
        has_to
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get() - 1);
        if self.0.in_flight.get() > 0 {
            return;
        }
        self.0.idle_since.set(Some(Instant::now()));
        if let Some(reader) = self.0.reader.take() {
            reader.wake();
        }
    }
}
