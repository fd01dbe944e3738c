//! What pipes answer: at once, item by item, or with a response of their own.

use bytes::Bytes;
use frames::{INITIAL_CREDIT, Item, Kind, chunk_cost};

use super::call::Answers;
use super::failure::Failure;
use super::session::Session;
use crate::wire::json::{self, Document};

/// What a pipe gave back for a request that is not streamed.
#[derive(Debug)]
pub enum PipeAnswer {
    /// Text: the content of the answer.
    Text(String),
    /// A JSON value: the answer itself.
    Data(Bytes),
    /// Nothing.
    None,
}

impl PipeAnswer {
    fn read(reply: Bytes) -> Result<Self, Failure> {
        let reply = Document::parse(reply).map_err(|_| Failure::Garbled)?;
        if let Some(text) = reply.string("text") {
            return Ok(Self::Text(text.into_owned()));
        }
        Ok(reply.raw("data").map_or(Self::None, Self::Data))
    }
}

/// What a pipe answers, item by item. Dropping it closes the pipe's generator.
#[derive(Debug)]
pub struct PipeStream {
    // Before the session, so that the call is cancelled before its request is closed.
    answers: Answers,
    session: Session,
    has_begun: bool,
    unpaid: u32,
}

/// One item of what a pipe answers.
#[derive(Debug)]
pub enum PipeItem {
    /// All of it: for a request that is not streamed.
    Answer(PipeAnswer),
    /// A piece of the answer's content.
    Text(Bytes),
    /// A JSON object: one event.
    Data(Bytes),
    /// `data:` lines as the pipe wrote them.
    Raw(Bytes),
    /// The head of a response of its own: `{"status", "content_type"}`.
    Head(Bytes),
    /// A piece of that response's body.
    Body(Bytes),
    /// The end.
    End,
}

impl PipeStream {
    pub(super) fn new(answers: Answers, session: Session) -> Self {
        Self {
            answers,
            session,
            has_begun: false,
            unpaid: 0,
        }
    }

    /// The next item; after [`PipeItem::End`] or a failure there is none. Cancel safe.
    ///
    /// # Errors
    ///
    /// If the pipe raises, crashes, takes too long or answers nonsense.
    pub async fn next(&mut self) -> Option<Result<PipeItem, Failure>> {
        let limits = &self.session.function().settings.limits;
        let limit = if self.has_begun {
            limits.pipe_idle
        } else {
            limits.pipe_first
        };
        let Ok(answer) = tokio::time::timeout(limit, self.answers.next()).await else {
            if let Some(call) = self.answers.give_up() {
                self.session.overrun(call);
            }
            return Some(Err(Failure::TimedOut(limit)));
        };
        self.has_begun = true;
        let frame = match answer? {
            Ok(frame) => frame,
            Err(failure) => {
                self.session.note(&failure);
                return Some(Err(failure));
            }
        };
        if frame.kind == Kind::Reply {
            return Some(PipeAnswer::read(frame.payload).map(PipeItem::Answer));
        }
        if frame.kind == Kind::End {
            return Some(Ok(PipeItem::End));
        }
        self.pay(chunk_cost(frame.payload.len()));
        let item = match Item::from_code(frame.flags) {
            Some(Item::Text) => PipeItem::Text(frame.payload),
            Some(Item::Data) if json::validate(&frame.payload).is_ok() => {
                PipeItem::Data(frame.payload)
            }
            Some(Item::Raw) => PipeItem::Raw(frame.payload),
            Some(Item::Head) => PipeItem::Head(frame.payload),
            Some(Item::Body) => PipeItem::Body(frame.payload),
            Some(Item::Data) | None => return Some(Err(Failure::Garbled)),
        };
        Some(Ok(item))
    }

    /// Gives the worker credit for what was taken, half a window at a time.
    fn pay(&mut self, cost: u32) {
        self.unpaid = self.unpaid.saturating_add(cost);
        if self.unpaid >= INITIAL_CREDIT / 2 {
            self.answers.credit(self.unpaid);
            self.unpaid = 0;
        }
    }
}

impl Drop for PipeStream {
    fn drop(&mut self) {
        if let Some(call) = self.answers.give_up() {
            self.session.abandon(call);
        }
    }
}
