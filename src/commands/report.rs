//! What a trial shows: for people, and for machines.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

/// A function that was tried out.
#[derive(Debug)]
pub struct Report {
    pub(super) id: String,
    /// What its class is, empty if it did not load.
    pub(super) kind: String,
    pub(super) warnings: Vec<String>,
    pub(super) stages: Vec<Stage>,
}

/// One thing that was asked of it.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) name: &'static str,
    /// What it got, null for nothing.
    pub(super) input: Value,
    pub(super) outcome: Outcome,
    /// What it told the client.
    pub(super) events: Vec<Value>,
    /// What it printed and logged.
    pub(super) prints: Vec<String>,
    pub(super) time: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Outcome {
    /// What it gave back.
    Output(Value),
    /// Why it gave nothing, with where it raised.
    Failed(String),
}

impl Report {
    /// Whether no stage failed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let failed = |stage: &Stage| matches!(stage.outcome, Outcome::Failed(_));
        !self.stages.iter().any(failed)
    }

    /// The report for machines.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let stages: Vec<Value> = self.stages.iter().map(Stage::to_json).collect();
        json!({
            "id": self.id,
            "type": self.kind,
            "ok": self.is_good(),
            "warnings": self.warnings,
            "stages": stages,
        })
    }
}

impl Stage {
    fn to_json(&self) -> Value {
        let (output, error) = match &self.outcome {
            Outcome::Output(output) => (output.clone(), Value::Null),
            Outcome::Failed(error) => (Value::Null, json!(error)),
        };
        json!({
            "stage": self.name,
            "input": self.input,
            "output": output,
            "error": error,
            "events": self.events,
            "prints": self.prints,
            "milliseconds": milliseconds(self.time),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.kind.is_empty() {
            "not loaded"
        } else {
            &self.kind
        };
        writeln!(f, "{} ({kind})", self.id)?;
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        self.stages
            .iter()
            .try_for_each(|stage| write!(f, "{stage}"))
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n== {} ({:.1} ms)", self.name, milliseconds(self.time))?;
        if !self.input.is_null() {
            writeln!(f, "input:\n{}", indented(&pretty(&self.input)))?;
        }
        match &self.outcome {
            Outcome::Output(Value::Null) => {}
            Outcome::Output(output) if *output == self.input => writeln!(f, "output: unchanged")?,
            Outcome::Output(output) => writeln!(f, "output:\n{}", indented(&pretty(output)))?,
            Outcome::Failed(error) => writeln!(f, "FAILED:\n{}", indented(error))?,
        }
        for event in &self.events {
            writeln!(f, "event: {event}")?;
        }
        for line in &self.prints {
            writeln!(f, "printed: {line}")?;
        }
        Ok(())
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Lists of events are read line by line.
fn pretty(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let lines: Vec<String> = items.iter().map(Value::to_string).collect();
            lines.join("\n")
        }
        value => serde_json::to_string_pretty(value).unwrap_or_default(),
    }
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text
        .trim_end()
        .lines()
        .map(|line| format!("  {line}"))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_what_came_in_and_out() {
        let stage = |outcome| Stage {
            name: "inlet",
            input: json!({"a": 1}),
            outcome,
            events: vec![json!({"type": "status"})],
            prints: vec!["hello".to_owned()],
            time: Duration::from_micros(1500),
        };
        let same = stage(Outcome::Output(json!({"a": 1}))).to_string();
        assert!(same.contains("== inlet (1.5 ms)") && same.contains("output: unchanged"));
        assert!(same.contains("event: {\"type\":\"status\"}") && same.contains("printed: hello"));
        let failed = stage(Outcome::Failed("ValueError: no".to_owned()));
        assert!(failed.to_string().contains("FAILED:\n  ValueError: no"));
        let report = Report {
            id: "x".to_owned(),
            kind: "filter".to_owned(),
            warnings: Vec::new(),
            stages: vec![failed],
        };
        assert!(!report.is_good());
        assert_eq!(report.to_json()["stages"][0]["error"], "ValueError: no");
    }
}
