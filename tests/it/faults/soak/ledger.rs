//! What was answered to which fault, and what of that should not have been.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::Value;

use crate::support::{Answer, say};

/// How many strange answers are kept word for word.
const KEPT: usize = 20;

/// Counts answers. Shared by all players.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    counts: Mutex<BTreeMap<(&'static str, String), usize>>,
    strange: Mutex<Vec<String>>,
}

impl Ledger {
    /// Notes the answer to a fault; it must be one of these: codes of errors, `whole` or `broken` for what came with 200.
    pub(super) fn note(&self, fault: &'static str, answer: &Answer, expected: &[&str]) {
        let outcome = outcome_of(answer);
        if !expected.contains(&outcome.as_str()) {
            let mut strange = self.strange.lock().unwrap();
            if strange.len() < KEPT {
                strange.push(format!("{fault}: {} {}", answer.status, answer.text()));
            }
        }
        self.count(fault, outcome);
    }

    /// Notes a fault that has no answer to be judged.
    pub(super) fn count(&self, fault: &'static str, outcome: String) {
        *self
            .counts
            .lock()
            .unwrap()
            .entry((fault, outcome))
            .or_default() += 1;
    }

    /// Prints all counts.
    pub(super) fn tell(&self) {
        for ((fault, outcome), count) in &*self.counts.lock().unwrap() {
            say(&format!("faults: r09: {fault}: {count} {outcome}"));
        }
    }

    /// Every answer was one that its fault may have.
    pub(super) fn expect_nothing_strange(&self) {
        let strange = self.strange.lock().unwrap();
        assert!(strange.is_empty(), "{}", strange.join("\n"));
    }
}

/// The code of an error, before the answer's head or within its stream; else whether it came whole.
fn outcome_of(answer: &Answer) -> String {
    let text = answer.text();
    // Noise has line ends of every kind.
    let mut lines = text.split(['\r', '\n']).rev();
    let last = lines.find_map(|line| line.strip_prefix("data: "));
    let said: Value = match last {
        Some(event) => serde_json::from_str(event).unwrap_or_default(),
        None => serde_json::from_slice(&answer.body).unwrap_or_default(),
    };
    if let Some(code) = said["error"]["code"].as_str() {
        return code.to_owned();
    }
    let is_ended = answer.is_whole && last.is_none_or(|last| last == "[DONE]");
    match (answer.status, is_ended) {
        (200, true) => "whole".to_owned(),
        (200, false) => "broken".to_owned(),
        (status, _) => status.to_string(),
    }
}
