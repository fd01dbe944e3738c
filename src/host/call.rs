//! Calls under way: where their answers come, and how they are given up.

use std::sync::Arc;

use bytes::Bytes;
use frames::{Frame, Kind};
use tokio::sync::{mpsc, oneshot};

use super::board::Running;
use super::callers::Waiter;
use super::failure::Failure;
use super::worker::Connection;

/// A call under way. Dropping it cancels the call.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) connection: Arc<Connection>,
    pub(super) id: u32,
    pub(super) answer: oneshot::Receiver<Frame>,
}

impl Question {
    /// The answer; a [`Failure::Crashed`] if the process ends before it comes. Cancel safe.
    pub(super) async fn answer(&mut self) -> Result<Bytes, Failure> {
        self.answer_raw().await.map_err(|(failure, _)| failure)
    }

    /// As [`Question::answer`]; a failure comes with the payload that describes it. Cancel safe.
    pub(super) async fn answer_raw(&mut self) -> Result<Bytes, (Failure, Option<Bytes>)> {
        let frame = (&mut self.answer)
            .await
            .map_err(|_| (Failure::Crashed, None))?;
        match frame.kind {
            Kind::Error | Kind::Failed => Err((Failure::from_frame(&frame), Some(frame.payload))),
            _ => Ok(frame.payload),
        }
    }

    /// Which function runs, if several were called; `None` as long as it is the first.
    pub(super) fn running(&self) -> Option<Running> {
        self.connection.running(self.id)
    }

    /// Asks the worker to stop this call; its answer still comes.
    pub(super) fn cancel(&self) {
        self.connection
            .send(&Frame::new(Kind::Cancel, self.id, Bytes::new()));
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if self.connection.callers.delist(self.id).is_some() {
            self.cancel();
        }
    }
}

/// The frames that answer a streamed call. Dropping it cancels the call.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) connection: Arc<Connection>,
    pub(super) id: u32,
    pub(super) frames: mpsc::UnboundedReceiver<Frame>,
    pub(super) is_over: bool,
}

impl Answers {
    /// The next frame, `None` after the last; a [`Failure::Crashed`] if the process ends before that. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Result<Frame, Failure>> {
        if self.is_over {
            return None;
        }
        let Some(frame) = self.frames.recv().await else {
            self.is_over = true;
            return Some(Err(Failure::Crashed));
        };
        self.is_over = frame.kind != Kind::Chunk;
        match frame.kind {
            Kind::Error => Some(Err(Failure::from_frame(&frame))),
            _ => Some(Ok(frame)),
        }
    }

    /// Lets the worker send more, for so much credit.
    pub(super) fn credit(&self, credit: u32) {
        self.connection.callers.widen(self.id, credit);
        let payload = Bytes::copy_from_slice(&credit.to_le_bytes());
        self.connection
            .send(&Frame::new(Kind::Credit, self.id, payload));
    }

    /// Gives the stream up: what is left is the question whether the call ends, unless it has.
    pub(super) fn give_up(&mut self) -> Option<Question> {
        if self.is_over {
            return None;
        }
        self.is_over = true;
        let (tell, answer) = oneshot::channel();
        let asked = Kind::Call;
        let is_open = self
            .connection
            .callers
            .relist(self.id, Waiter::One { asked, tell });
        is_open.then(|| Question {
            connection: Arc::clone(&self.connection),
            id: self.id,
            answer,
        })
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        if !self.is_over && self.connection.callers.delist(self.id).is_some() {
            self.connection
                .send(&Frame::new(Kind::Cancel, self.id, Bytes::new()));
        }
    }
}
