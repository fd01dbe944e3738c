//! Ollama's own API: chat requests into it, its answers out of it.

mod message;
mod models;
mod options;
mod reply;
mod request;
mod stream;
mod usage;

use std::error::Error;
use std::fmt;

pub use models::{Model, models};
pub use reply::{ReplyError, completion, error_text};
pub use request::request;
pub use stream::StreamTranslator;

/// A chat request that cannot be said in Ollama's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TranslateError {
    /// A member that has to be of another kind.
    WrongKind {
        /// The member.
        param: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// A message that is no object with a role.
    InvalidMessage {
        /// Which message, from 0.
        index: usize,
    },
    /// A part of a message that is neither text nor image.
    UnsupportedPart {
        /// Which message, from 0.
        index: usize,
    },
    /// An image that is somewhere else; Ollama fetches nothing.
    RemoteImage {
        /// Which message, from 0.
        index: usize,
    },
    /// A tool call whose arguments are no JSON object.
    InvalidArguments {
        /// Which message, from 0.
        index: usize,
    },
}

impl TranslateError {
    /// The member of the request that is at fault.
    #[must_use]
    pub fn param(&self) -> &'static str {
        match self {
            Self::WrongKind { param, .. } => param,
            _ => "messages",
        }
    }
}

impl fmt::Display for TranslateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongKind { param, expected } => write!(f, "`{param}` must be {expected}"),
            Self::InvalidMessage { index } => {
                write!(f, "message {index} is no object with a `role`")
            }
            Self::UnsupportedPart { index } => {
                write!(
                    f,
                    "message {index} has a part that is neither text nor image"
                )
            }
            Self::RemoteImage { index } => {
                write!(f, "message {index} has an image that is no data URL")
            }
            Self::InvalidArguments { index } => {
                write!(
                    f,
                    "message {index} has a tool call whose arguments are no object"
                )
            }
        }
    }
}

impl Error for TranslateError {}

#[cfg(test)]
mod tests;
