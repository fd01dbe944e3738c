//! What a trial runs a function on: the files that the command line names.

use std::path::Path;

use serde_json::{Value, json};

use super::super::{CommandError, read_json, read_text};
use crate::cli::Trial;
use crate::registry::FunctionId;

/// What a function is run on.
pub(super) struct Inputs {
    pub(super) body: Value,
    pub(super) valves: Value,
    pub(super) user_valves: Option<Value>,
    /// Events of an answer, `None` for a sample.
    pub(super) events: Option<Vec<Value>>,
}

/// Reads what the command line names.
pub(super) fn read(trial: &Trial) -> Result<Inputs, CommandError> {
    let body = read_json(&trial.body)?;
    if !body.is_object() {
        let message = format!("`{}` is no JSON object", trial.body.display());
        return Err(CommandError::new(message));
    }
    let optional = |path: &Option<std::path::PathBuf>| path.as_deref().map(read_json).transpose();
    let events = trial.stream_events.as_deref().map(read_events);
    Ok(Inputs {
        body,
        valves: optional(&trial.valves)?.unwrap_or_else(|| json!({})),
        user_valves: optional(&trial.user_valves)?,
        events: events.transpose()?,
    })
}

/// The events in a file: a stream as it is sent, or one JSON object a line.
fn read_events(path: &Path) -> Result<Vec<Value>, CommandError> {
    let text = read_text(path)?;
    let lines = text.lines().map(|line| {
        let line = line.trim();
        line.strip_prefix("data:").unwrap_or(line).trim()
    });
    let is_event = |line: &&str| line.starts_with('{');
    let events = lines.filter(is_event).map(|line| {
        serde_json::from_str(line)
            .map_err(|error| CommandError::new(format!("`{}`: `{line}`: {error}", path.display())))
    });
    events.collect()
}

/// The id that the file's name gives.
pub(super) fn id_of(file: &Path) -> Result<FunctionId, CommandError> {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    stem.and_then(FunctionId::parse).ok_or_else(|| {
        let message = "is no function id ([a-z_][a-z0-9_]*.py): name the file so";
        CommandError::new(format!("`{}` {message}", file.display()))
    })
}
