//! What is said to a worker: written straight from the thread that says it, so that it costs no hop on its way out; only
//! what the socket does not take at once is left to a task. Calls wait for the end of their thread's turn.

use std::io;
use std::sync::{Arc, MutexGuard};

use bytes::{Buf, BytesMut};
use frames::{Frame, Kind};

use super::{Connection, KEPT_BYTES};
use crate::host::flusher;
use crate::host::home::Home;

/// As much as is gathered in a turn before it is written.
const TURN_BYTES: usize = 64 * 1024;

/// What is not written yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: BytesMut,
    pub(super) is_blocked: bool,
    /// A thread has promised to write at the end of its turn.
    is_due: bool,
    /// Answers to questions that were added since it was last empty.
    pub(super) unread_replies: usize,
    /// Here, because every call comes by with the lock held.
    pub(super) home: Home,
}

impl Connection {
    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox
            .lock()
            .expect("no code that holds this lock panics")
    }

    /// Sends a frame at once.
    pub(in crate::host) fn send(&self, frame: &Frame) {
        let mut outbox = self.outbox();
        frames::encode(frame, &mut outbox.bytes);
        if !outbox.is_blocked {
            self.flush(&mut outbox);
        }
    }

    /// Sends what is answered, with whatever else this thread says in its turn.
    pub(super) fn ask(self: &Arc<Self>, frame: &Frame) {
        let mut outbox = self.outbox();
        frames::encode(frame, &mut outbox.bytes);
        if is_call(frame.kind) && outbox.home.note_call() {
            self.moving.notify_one();
        }
        if outbox.is_blocked {
            return;
        }
        if outbox.bytes.len() > TURN_BYTES {
            return self.flush(&mut outbox);
        }
        let was_due = std::mem::replace(&mut outbox.is_due, true);
        drop(outbox);
        if !was_due && !flusher::plan(self) {
            self.write_due();
        }
    }

    /// Writes what [`flusher`] was asked to.
    pub(in crate::host) fn write_due(&self) {
        let mut outbox = self.outbox();
        outbox.is_due = false;
        if !outbox.is_blocked {
            self.flush(&mut outbox);
        }
    }

    /// Adds a frame to those that the next write takes along.
    pub(super) fn queue(&self, frame: &Frame) {
        frames::encode(frame, &mut self.outbox().bytes);
    }

    /// Writes as much as the socket takes.
    pub(super) fn flush(&self, outbox: &mut Outbox) {
        let length = outbox.bytes.len();
        while !outbox.bytes.is_empty() {
            match self.socket.write(&outbox.bytes) {
                Ok(length) => outbox.bytes.advance(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    outbox.is_blocked = true;
                    self.writable.notify_one();
                    return;
                }
                // The reader sees the end of the socket and tells everybody.
                Err(_) => outbox.bytes.clear(),
            }
        }
        if length > KEPT_BYTES {
            outbox.bytes = BytesMut::new();
        }
        outbox.is_blocked = false;
        outbox.unread_replies = 0;
    }

    pub(super) async fn write_rest(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.writable.notified() => {}
                () = self.died.notified() => return,
            }
            if self.callers.are_gone() || self.socket.writable().await.is_err() {
                return;
            }
            self.flush(&mut self.outbox());
        }
    }
}

/// Whether a function runs for it.
fn is_call(kind: Kind) -> bool {
    matches!(kind, Kind::Call | Kind::Events)
}
