//! How a call to a function can fail.

use std::time::Duration;

use frames::Frame;
use serde::Deserialize;

/// Why a call gave no answer.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The function raised.
    Raised(Box<Exception>),
    /// Its process ended.
    Crashed,
    /// It did not answer within this limit.
    TimedOut(Duration),
    /// Its process cannot be started, or too many calls wait for it; the text says which.
    Unavailable(String),
    /// What it requires is not installed; the text says what to do.
    NotInstalled(String),
    /// Its process answered something that is no answer.
    Garbled,
}

/// An exception as the worker reports it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Exception {
    /// Name of its class.
    #[serde(rename = "type", default)]
    pub class: String,
    /// Its text.
    #[serde(default)]
    pub message: String,
    /// The HTTP status that it carries, if it does.
    #[serde(default)]
    pub status: Option<u16>,
    /// The detail that goes with the status.
    #[serde(default)]
    pub detail: Option<serde_json::Value>,
    /// Where it was raised, for the log.
    #[serde(default)]
    pub traceback: Option<String>,
    /// Whether a pipe had returned by then, and its generator or response failed.
    #[serde(skip)]
    pub is_late: bool,
}

/// Exceptions that no function raises to refuse a request.
const BREAKDOWNS: &[&str] = &[
    REQUIREMENT,
    "MemoryError",
    "RecursionError",
    "SystemExit",
    "KeyboardInterrupt",
    "GeneratorExit",
    "CancelledError",
];

impl Exception {
    /// Whether the handler returned something that is no answer, rather than raised.
    #[must_use]
    pub fn is_wrong_return(&self) -> bool {
        self.class == "WrongReturn"
    }

    /// Its class and, if it has any, its text.
    #[must_use]
    pub fn described(&self) -> String {
        match self.message.as_str() {
            "" => self.class.clone(),
            message => format!("{}: {message}", self.class),
        }
    }

    /// Whether it says that the function broke down, which is never its way to refuse.
    #[must_use]
    pub fn is_breakdown(&self) -> bool {
        BREAKDOWNS.contains(&self.class.as_str())
    }

    /// The innermost line of the function's own that it came from, unless its text says it.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        if self.message.contains("(<string>, line ") {
            return None;
        }
        let (_, innermost) = self.traceback.as_ref()?.rsplit_once("\", line ")?;
        let end = innermost.find(|character: char| !character.is_ascii_digit())?;
        innermost[..end].parse().ok()
    }

    /// The text for the caller: the detail of an exception with a status, else its own text.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.detail {
            Some(serde_json::Value::String(detail)) => detail.clone(),
            Some(detail) if !detail.is_null() => detail.to_string(),
            _ if self.message.is_empty() => self.class.clone(),
            _ => self.message.clone(),
        }
    }
}

/// The class of a refused requirement, which stands in the place of an exception of the code.
const REQUIREMENT: &str = "RequirementError";

impl Failure {
    /// What a function requires is refused.
    pub(super) fn requirement(error: &std::io::Error) -> Self {
        let exception = Exception {
            class: REQUIREMENT.to_owned(),
            message: error.to_string(),
            ..Exception::default()
        };
        Self::Raised(Box::new(exception))
    }

    /// The failure that an `Error` or `Failed` frame describes.
    pub(super) fn from_frame(frame: &Frame) -> Self {
        match serde_json::from_slice::<Exception>(&frame.payload) {
            // A list would do for the fields too, and tell nothing.
            Ok(raised) if !raised.class.is_empty() => Self::Raised(Box::new(Exception {
                is_late: frame.flags == 1,
                ..raised
            })),
            _ => Self::Garbled,
        }
    }

    /// The exception, if the function raised one.
    #[must_use]
    pub fn exception(&self) -> Option<&Exception> {
        match self {
            Self::Raised(exception) => Some(exception),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_line_is_found() {
        let traceback = "  File \"<string>\", line 9, in <module>\n    x()\n  File \"<string>\", line 4, in x\n    y\nE: m\n";
        let exception = |message: &str, traceback: Option<&str>| Exception {
            message: message.to_owned(),
            traceback: traceback.map(str::to_owned),
            ..Exception::default()
        };
        assert_eq!(exception("m", Some(traceback)).line(), Some(4));
        let syntax = exception("bad (<string>, line 2)", Some(traceback));
        assert_eq!(syntax.line(), None);
        assert_eq!(exception("m", Some("E: m\n")).line(), None);
        assert_eq!(exception("m", None).line(), None);
    }
}
