//! A filter's part in one request.

use std::sync::Arc;

use bytes::Bytes;

use super::{Asker, Changed, Events, Filter, Refusal, User, splice};
use crate::wire::json::{Document, Tape, elements};

/// One filter's part in one request.
#[derive(Debug)]
pub struct Session {
    filter: Arc<dyn Filter>,
    user: Arc<User>,
    user_valves: Option<Bytes>,
    /// Begun with the first event.
    events: Option<Box<dyn Events>>,
}

impl Session {
    /// The part of `filter` in a request of `user`, who has set `user_valves` for it.
    #[must_use]
    pub fn new(filter: Arc<dyn Filter>, user: Arc<User>, user_valves: Option<Bytes>) -> Self {
        Self {
            filter,
            user,
            user_valves,
            events: None,
        }
    }

    /// Whether it has something to do in this handler.
    #[must_use]
    pub fn handles(&self, handler: &str) -> bool {
        self.filter.handles(handler)
    }

    /// What the filter makes of a request; the same bytes if that stays as it is.
    ///
    /// # Errors
    ///
    /// If it refuses the request.
    pub fn inlet(&self, body: &Bytes) -> Result<Bytes, Refusal> {
        let changed = self.request(&document(body)?)?;
        Ok(changed.unwrap_or_else(|| body.clone()))
    }

    /// What the filter makes of a request that was read already, `None` if that stays as it is.
    ///
    /// # Errors
    ///
    /// If it refuses the request.
    pub fn request(&self, body: &Document) -> Changed {
        if !self.handles("inlet") {
            return Ok(None);
        }
        let asker = Asker {
            user: &self.user,
            valves: self.user_valves.as_ref(),
        };
        self.filter.inlet(body, &asker)
    }

    /// What the filter makes of the message of a whole answer, `None` if that stays as it is.
    ///
    /// # Errors
    ///
    /// If it withholds the answer.
    pub fn answer(&self, message: &Bytes) -> Changed {
        match self.handles("outlet") {
            true => self.filter.outlet(&document(message)?),
            false => Ok(None),
        }
    }

    /// What the filter makes of a conversation whose last message is the answer; the same bytes if that stays as it is.
    ///
    /// # Errors
    ///
    /// If it withholds the answer.
    pub fn outlet(&self, conversation: &Bytes) -> Result<Bytes, Refusal> {
        let body = document(conversation)?;
        let messages = body.raw("messages").and_then(|raw| elements(&raw).ok());
        let mut messages = messages.unwrap_or_default();
        let Some(last) = messages.last_mut() else {
            return Ok(conversation.clone());
        };
        let message = Document::parse(last.clone()).ok();
        let role = message.as_ref().and_then(|message| message.string("role"));
        if role.as_deref() != Some("assistant") {
            return Ok(conversation.clone());
        }
        match self.answer(last)? {
            Some(changed) => {
                *last = changed;
                Ok(splice::with(&body, "messages", splice::array(&messages)))
            }
            None => Ok(conversation.clone()),
        }
    }

    /// What the filter makes of one event of a streamed answer, `None` if that stays as it is.
    ///
    /// # Errors
    ///
    /// If it breaks the answer off.
    pub fn event(&mut self, event: &Tape) -> Changed {
        if self.events.is_none() {
            self.events = self.filter.stream();
        }
        self.events
            .as_mut()
            .map_or(Ok(None), |events| events.event(event))
    }

    /// An event with all that was held back, once no other will come.
    ///
    /// # Errors
    ///
    /// If it breaks the answer off.
    pub fn rest(&mut self) -> Changed {
        self.events
            .as_mut()
            .map_or(Ok(None), |events| events.rest())
    }
}

/// A filter sees JSON objects only; what is none passes no filter.
fn document(json: &Bytes) -> Result<Document, Refusal> {
    Document::parse(json.clone()).map_err(|error| {
        Refusal::new(
            400,
            format!("what the filter is shown is no JSON object: {error}"),
        )
    })
}
