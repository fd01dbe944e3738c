//! Filters in Rust for what every platform wants: the contract of a Python filter, without a process.
//!
//! A [`Kind`] says what a filter does. With the values of its valves it becomes a [`Filter`], which serves every request
//! under these values; what belongs to one request is a [`Session`]. All of them work on the bytes of a body: what they
//! do not change stays as it came.

mod clamp;
mod fields;
mod json_text;
mod limits;
mod message;
mod model_map;
mod redact;
mod session;
mod splice;
mod streamed;
mod system_prompt;
mod text;
mod words;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

pub use self::fields::Mistake;
pub use self::session::Session;

use self::fields::{Field, Values};
use crate::wire::json::{Document, Tape};

/// What a filter in Rust does, before anyone has set its valves.
#[derive(Debug)]
pub struct Kind {
    /// Its name, which is what the frontmatter says under `native`.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// The handlers that it has.
    pub handlers: &'static [&'static str],
    valves: &'static [Field],
    user_valves: &'static [Field],
    build: fn(&Values) -> Result<Arc<dyn Filter>, Mistake>,
}

/// Every kind there is, by name.
pub static KINDS: &[&Kind] = &[
    &clamp::KIND,
    &limits::KIND,
    &model_map::KIND,
    &redact::KIND,
    &system_prompt::KIND,
    &words::KIND,
];

/// The names of all kinds.
pub const NAMES: &[&str] = &[
    "clamp",
    "limits",
    "model_map",
    "redact",
    "system_prompt",
    "words",
];

impl Kind {
    /// The kind of this name.
    ///
    /// # Errors
    ///
    /// If there is none; the text says which there are.
    pub fn find(name: &str) -> Result<&'static Self, Mistake> {
        let found = KINDS.iter().copied().find(|kind| kind.name == name);
        found.ok_or_else(|| {
            let names = NAMES.join(", ");
            Mistake::new(format!(
                "there is no native filter `{name}`; there are: {names}"
            ))
        })
    }

    /// The JSON schema of its valves.
    #[must_use]
    pub fn valves_spec(&self) -> Value {
        fields::schema("Valves", self.valves)
    }

    /// The JSON schema of what each user may set, null if there is nothing.
    #[must_use]
    pub fn user_valves_spec(&self) -> Value {
        match self.user_valves {
            [] => Value::Null,
            fields => fields::schema("UserValves", fields),
        }
    }

    /// Whether each user may set something.
    #[must_use]
    pub fn has_user_valves(&self) -> bool {
        !self.user_valves.is_empty()
    }

    /// Checks values of its valves; what is to be stored, and the filter's place in the chain under them.
    ///
    /// # Errors
    ///
    /// If a value does not fit its field, or all together make no sense.
    pub fn check(&self, values: &Map<String, Value>) -> Result<(Value, f64), Mistake> {
        let stored = fields::check(self.valves, values)?;
        let read = Values::new(self.valves, &stored);
        (self.build)(&read)?;
        Ok((Value::Object(stored), read.number(fields::PRIORITY)))
    }

    /// Checks what a user set; what is to be stored.
    ///
    /// # Errors
    ///
    /// If a value does not fit its field.
    pub fn check_user(&self, values: &Map<String, Value>) -> Result<Value, Mistake> {
        fields::check(self.user_valves, values).map(Value::Object)
    }

    /// The filter under stored valves, a JSON object.
    ///
    /// # Errors
    ///
    /// If they do not fit.
    pub fn filter(&self, stored: &[u8]) -> Result<Arc<dyn Filter>, Mistake> {
        let values: Map<String, Value> = match stored {
            [] => Map::new(),
            stored => serde_json::from_slice(stored)
                .map_err(|_| Mistake::new("the valves are no JSON object"))?,
        };
        let stored = fields::check(self.valves, &values)?;
        (self.build)(&Values::new(self.valves, &stored))
    }
}

/// A filter under the values of its valves. It is shared by all requests that began with these.
pub trait Filter: fmt::Debug + Send + Sync {
    /// Whether it has something to do in this handler, under its valves.
    fn handles(&self, handler: &str) -> bool;

    /// What it makes of a request, `None` if that stays as it is.
    ///
    /// # Errors
    ///
    /// If it refuses the request.
    fn inlet(&self, _body: &Document, _asker: &Asker<'_>) -> Changed {
        Ok(None)
    }

    /// What it makes of the message of a whole answer, `None` if that stays as it is.
    ///
    /// # Errors
    ///
    /// If it withholds the answer.
    fn outlet(&self, _message: &Document) -> Changed {
        Ok(None)
    }

    /// Its part in one streamed answer, `None` if it has none.
    fn stream(&self) -> Option<Box<dyn Events>> {
        None
    }
}

/// A filter's part in one streamed answer.
pub trait Events: fmt::Debug + Send {
    /// What it makes of one event; `None` if that stays as it is.
    ///
    /// # Errors
    ///
    /// If it breaks the answer off.
    fn event(&mut self, event: &Tape) -> Changed;

    /// An event with all that was held back, once no other will come; `None` if nothing was.
    ///
    /// # Errors
    ///
    /// If it breaks the answer off.
    fn rest(&mut self) -> Changed;
}

/// What a filter made of something: other JSON, or `None` where it stays as it is.
pub type Changed = Result<Option<Bytes>, Refusal>;

/// Why a filter lets something through no further, in words for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status that says so.
    pub status: u16,
    /// The text for the caller.
    pub message: String,
}

impl Refusal {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }
}

/// Who sent a request, and when.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// What user valves know the user by.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// The mail address, or nothing.
    pub email: String,
    /// `user` or `admin`.
    pub role: String,
    /// The time, in seconds since 1970.
    pub now: u64,
}

/// Who sent a request, with what that user set for one filter.
#[derive(Debug)]
pub struct Asker<'a> {
    /// The user.
    pub user: &'a User,
    /// Stored user valves, a JSON object.
    pub valves: Option<&'a Bytes>,
}

impl Asker<'_> {
    /// What the user set, with defaults for the rest and for what does not fit.
    fn values(&self, fields: &'static [Field]) -> Values {
        let stored: Option<Map<String, Value>> = self
            .valves
            .and_then(|stored| serde_json::from_slice(stored).ok());
        let checked = fields::check(fields, &stored.unwrap_or_default());
        Values::new(fields, &checked.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
