//! The parameters that Ollama expects in `options`.

use serde_json::Value;

/// Those with the same name in both places.
const SAME: [&str; 28] = [
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "typical_p",
    "tfs_z",
    "seed",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "repeat_penalty",
    "repeat_last_n",
    "penalize_newline",
    "mirostat",
    "mirostat_eta",
    "mirostat_tau",
    "num_ctx",
    "num_predict",
    "num_keep",
    "num_batch",
    "num_gpu",
    "num_thread",
    "main_gpu",
    "low_vram",
    "numa",
    "use_mmap",
    "use_mlock",
    "vocab_only",
];

/// Ollama's name for a sampling parameter, `None` for a member that is none.
pub(super) fn name_of(key: &str) -> Option<&'static str> {
    match key {
        "max_tokens" | "max_completion_tokens" => Some("num_predict"),
        "repetition_penalty" => Some("repeat_penalty"),
        _ => SAME.into_iter().find(|name| *name == key),
    }
}

/// The parameter's value as Ollama takes it: `stop` only as a list.
pub(super) fn value_of(name: &str, value: Value) -> Value {
    match (name, value) {
        ("stop", Value::String(text)) => Value::Array(vec![text.into()]),
        (_, value) => value,
    }
}
