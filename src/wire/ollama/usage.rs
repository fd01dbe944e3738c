//! The usage object: OpenAI's counts and Ollama's timings.

use serde::Deserialize;
use serde_json::{Value, json};

const NANOSECONDS: f64 = 1e9;

/// What Ollama counted, in the last line of an answer. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counters {
    total_duration: u64,
    load_duration: u64,
    prompt_eval_count: u64,
    prompt_eval_duration: u64,
    eval_count: u64,
    eval_duration: u64,
}

impl Counters {
    /// The `usage` object that says this.
    pub(super) fn to_json(self) -> Vec<u8> {
        let usage = json!({
            "input_tokens": self.prompt_eval_count,
            "output_tokens": self.eval_count,
            "total_tokens": self.prompt_eval_count.saturating_add(self.eval_count),
            "prompt_tokens": self.prompt_eval_count,
            "completion_tokens": self.eval_count,
            "response_token/s": per_second(self.eval_count, self.eval_duration),
            "prompt_token/s": per_second(self.prompt_eval_count, self.prompt_eval_duration),
            "total_duration": self.total_duration,
            "load_duration": self.load_duration,
            "prompt_eval_count": self.prompt_eval_count,
            "prompt_eval_duration": self.prompt_eval_duration,
            "eval_count": self.eval_count,
            "eval_duration": self.eval_duration,
            "approximate_total": clock(self.total_duration),
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        });
        usage.to_string().into_bytes()
    }
}

/// Tokens per second to two decimals, `N/A` where no time was measured.
fn per_second(tokens: u64, nanoseconds: u64) -> Value {
    if nanoseconds == 0 {
        return "N/A".into();
    }
    #[expect(clippy::cast_precision_loss, reason = "two decimals are shown")]
    let rate = tokens as f64 / (nanoseconds as f64 / NANOSECONDS);
    ((rate * 100.0).round() / 100.0).into()
}

fn clock(nanoseconds: u64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    format!("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
