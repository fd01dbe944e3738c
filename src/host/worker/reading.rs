//! The task that reads what a worker says and hands it to who waits. It also writes what waited long enough for other
//! frames to be written with.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use frames::{Decoder, Frame, Kind};
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tracing::{debug, warn};

use super::{Connection, KEPT_BYTES};
use crate::host::breach::Breach;
use crate::wire::json;

/// How long a frame in no hurry waits for another to be written with. Each write of its own wakes two processes.
const LINGER: Duration = Duration::from_millis(2);

/// Bytes kept of what a function prints in one frame.
const LOG_BYTES: usize = 64 * 1024;

/// Why a reader has stopped.
enum Stopped {
    /// Nothing comes any more: the socket has ended, or the worker has broken the protocol.
    AtEnd(io::Result<()>),
    /// It goes on elsewhere.
    ToMove(Handle),
}

impl Connection {
    /// Writes frames in no hurry, a while after each was queued.
    async fn write_lingering(&self) -> Infallible {
        // A reader that moved has left before it could see to that.
        self.lingering.notify_one();
        loop {
            self.lingering.notified().await;
            tokio::time::sleep(LINGER).await;
            let mut outbox = self.outbox();
            if !outbox.is_blocked {
                self.flush(&mut outbox);
            }
        }
    }

    /// Reads until the socket ends, wherever most calls come from. Boxed, because it begins anew where it moves.
    pub(super) fn read(self: Arc<Self>, mut decoder: Decoder) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            match self.read_here(&mut decoder).await {
                Stopped::AtEnd(end) => self.end(&end),
                Stopped::ToMove(next) => drop(next.spawn(self.read(decoder))),
            }
        })
    }

    fn end(&self, end: &io::Result<()>) {
        self.bury();
        if let Err(error) = end {
            warn!(%error, pid = self.pid, "a worker broke the protocol, its process is killed");
        }
        // Code that has closed the socket must not live on unheard.
        if end.is_err() || !self.is_closed.load(Ordering::Acquire) {
            self.kill();
        }
    }

    async fn read_here(self: &Arc<Self>, decoder: &mut Decoder) -> Stopped {
        self.outbox().home.settle();
        tokio::select! {
            biased;
            end = self.read_all(decoder) => Stopped::AtEnd(end),
            next = self.next_home() => Stopped::ToMove(next),
            never = self.write_lingering() => match never {},
        }
    }

    /// The runtime to which the reader is to move, once there is one.
    async fn next_home(&self) -> Handle {
        loop {
            self.moving.notified().await;
            if let Some(next) = self.outbox().home.next() {
                return next;
            }
        }
    }

    async fn read_all(self: &Arc<Self>, decoder: &mut Decoder) -> io::Result<()> {
        let mut reader = self.socket.reader()?;
        loop {
            match reader.read(&mut decoder.buffer).await {
                Ok(0) => return Ok(()),
                Ok(_) => self.take_frames(decoder)?,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn take_frames(self: &Arc<Self>, decoder: &mut Decoder) -> io::Result<()> {
        let mut longest = 0;
        while let Some(frame) = decoder.next_frame().map_err(io::Error::other)? {
            longest = longest.max(frame.payload.len());
            self.take_frame(frame).map_err(io::Error::other)?;
        }
        // One long frame is no reason to keep room for another.
        if longest > KEPT_BYTES && decoder.buffer.is_empty() {
            decoder.buffer = BytesMut::new();
        }
        Ok(())
    }

    fn take_frame(self: &Arc<Self>, frame: Frame) -> Result<(), Breach> {
        match frame.kind {
            Kind::Chunk => self.callers.deliver_chunk(frame),
            Kind::Reply | Kind::Error | Kind::End | Kind::Ready | Kind::Failed | Kind::Pong => {
                self.callers.deliver(frame)
            }
            Kind::Log => {
                self.log(&frame);
                Ok(())
            }
            Kind::Callback => self.answer_callback(frame),
            Kind::Emit => {
                self.take_event(frame);
                Ok(())
            }
            _ => Err(Breach::NotForUs),
        }
    }

    /// Hands an event on, which goes to clients as it is: one that no reader would take for JSON is dropped.
    fn take_event(&self, frame: Frame) {
        match json::validate(&frame.payload) {
            Ok(()) => self.desks.take_event(frame.id, frame.payload),
            Err(error) => debug!(%error, pid = self.pid, "an event of a function is dropped"),
        }
    }

    fn log(&self, frame: &Frame) {
        let source = frames::Source::from_code(frame.flags).unwrap_or(frames::Source::Stdout);
        let text = &frame.payload[..frame.payload.len().min(LOG_BYTES)];
        self.output
            .write(frame.id, source, &String::from_utf8_lossy(text));
    }
}
