//! The commands of `sluicegate functions`: one file tried out alone, and functions of a gateway that runs.

pub mod manage;
mod report;
pub mod trial;

use std::fmt;
use std::path::Path;

use serde_json::Value;

/// Why a command did not do what it should. The text is for the person at the terminal.
#[derive(Debug)]
pub struct CommandError(String);

impl CommandError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CommandError {}

/// The text of a file, `-` for standard input.
fn read_text(path: &Path) -> Result<String, CommandError> {
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    text.map_err(|error| CommandError::new(format!("`{}`: {error}", path.display())))
}

/// The JSON in a file.
fn read_json(path: &Path) -> Result<Value, CommandError> {
    let text = read_text(path)?;
    serde_json::from_str(&text)
        .map_err(|error| CommandError::new(format!("`{}` is no JSON: {error}", path.display())))
}
