//! What functions print and log: the last of it is kept per function, for admins.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use frames::Source;
use tracing::info;

use crate::registry::FunctionId;

/// Lines kept per function.
const KEPT_LINES: usize = 200;

/// Bytes kept of one line.
const KEPT_LINE_BYTES: usize = 2000;

/// The prints of every function.
#[derive(Debug)]
pub struct Output {
    /// Whether they also go to the gateway's log, which the operator must want: functions print prompts.
    to_log: bool,
    /// Held for map operations only.
    lines: Mutex<HashMap<FunctionId, VecDeque<String>>>,
}

impl Output {
    pub(super) fn new(to_log: bool) -> Self {
        Self {
            to_log,
            lines: Mutex::default(),
        }
    }

    /// The last lines that a function printed or logged, the newest last.
    #[must_use]
    pub fn of(&self, id: &str) -> Vec<String> {
        let lines = self
            .lines
            .lock()
            .expect("no code that holds this lock panics");
        lines
            .get(id)
            .map(|lines| lines.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// As [`Output::of`]; the lines are forgotten.
    #[must_use]
    pub fn take(&self, id: &str) -> Vec<String> {
        let mut lines = self
            .lines
            .lock()
            .expect("no code that holds this lock panics");
        lines
            .remove(id)
            .map(|lines| lines.into_iter().collect())
            .unwrap_or_default()
    }

    pub(super) fn write(&self, id: &FunctionId, source: Source, text: &str) {
        if self.to_log {
            info!(function.id = %id, ?source, text, "function printed");
        }
        let mut lines = self
            .lines
            .lock()
            .expect("no code that holds this lock panics");
        let kept = lines.entry(id.clone()).or_default();
        for line in text.lines() {
            kept.push_back(line.chars().take(KEPT_LINE_BYTES).collect());
        }
        let surplus = kept.len().saturating_sub(KEPT_LINES);
        kept.drain(..surplus);
    }
}

/// The output of one worker: its slots by name.
#[derive(Debug)]
pub(super) struct SlotOutput {
    output: Arc<Output>,
    /// Held for map operations only.
    names: Mutex<HashMap<u32, FunctionId>>,
}

impl SlotOutput {
    pub(super) fn new(output: Arc<Output>) -> Self {
        Self {
            output,
            names: Mutex::default(),
        }
    }

    /// Says which function a slot holds.
    pub(super) fn name(&self, slot: u32, id: &FunctionId) {
        self.names
            .lock()
            .expect("no code that holds this lock panics")
            .insert(slot, id.clone());
    }

    /// Keeps what a slot printed. Without a slot it is what the process's only function printed, if there is one.
    pub(super) fn write(&self, slot: u32, source: Source, text: &str) {
        let names = self
            .names
            .lock()
            .expect("no code that holds this lock panics");
        let only = || names.values().next().filter(|_| names.len() == 1);
        if let Some(id) = names.get(&slot).or_else(only) {
            self.output.write(id, source, text);
        }
    }
}
