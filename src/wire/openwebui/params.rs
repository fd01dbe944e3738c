//! `params` of requests and presets: what of them goes to a model, and as what.

use std::error::Error;
use std::fmt;

use serde_json::{Map, Number, Value};

use super::logit_bias;

/// Parameters that say something to Open WebUI's host.
const HOST_ONLY: &[&str] = &[
    "stream_response",
    "stream_delta_chunk_size",
    "function_calling",
    "reasoning_tags",
    "system",
];

/// Members of a request that are no parameters: who may set them was decided elsewhere.
const NEVER: &[&str] = &["model", "messages", "stream", "metadata"];

/// A parameter that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongParam {
    /// The parameter.
    pub name: String,
    /// What it has to be.
    pub expected: &'static str,
}

impl fmt::Display for WrongParam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the parameter `{}` must be {}", self.name, self.expected)
    }
}

impl Error for WrongParam {}

/// The parameters for a model: without those of the host, and with `custom_params` merged in. Texts in there are read
/// as JSON where they are JSON. What is null was not set.
#[must_use]
pub fn merge(mut params: Map<String, Value>) -> Map<String, Value> {
    let custom = params.shift_remove("custom_params");
    params.retain(|key, _| !HOST_ONLY.contains(&key.as_str()));
    if let Some(Value::Object(custom)) = custom {
        for (key, value) in custom {
            merge_member(&mut params, key, read(value));
        }
    }
    params.retain(|key, value| !value.is_null() && !NEVER.contains(&key.as_str()));
    params
}

/// A preset's parameter as a model takes it; `None`: it was not set. Forms and imports hold numbers as texts, too.
///
/// # Errors
///
/// If it cannot be what it has to be.
pub fn cast(name: &str, value: Value) -> Result<Option<Value>, WrongParam> {
    if value.is_null() || value.as_str() == Some("") {
        return Ok(None);
    }
    let (cast, expected) = match name {
        "temperature" | "top_p" | "min_p" | "frequency_penalty" | "presence_penalty"
        | "repeat_penalty" => (number(value), "a number"),
        "max_tokens" => (integer(value), "a whole number"),
        "reasoning_effort" => (Some(text(value)), "a text"),
        "stop" => (stop(value), "a list of texts"),
        "response_format" => (object(value), "an object"),
        "logit_bias" => (bias(value), "an object, or pairs like `50256:-100,11:5`"),
        _ => (Some(value), ""),
    };
    cast.map(Some).ok_or_else(|| WrongParam {
        name: name.to_owned(),
        expected,
    })
}

/// Objects are merged into objects, anything else takes the place of what was there.
fn merge_member(into: &mut Map<String, Value>, key: String, value: Value) {
    match (into.get_mut(&key), value) {
        (Some(Value::Object(known)), Value::Object(members)) => {
            for (key, value) in members {
                merge_member(known, key, value);
            }
        }
        (_, value) => drop(into.insert(key, value)),
    }
}

fn read(value: Value) -> Value {
    let parsed = value.as_str().map(serde_json::from_str);
    match parsed {
        Some(Ok(parsed)) => parsed,
        _ => value,
    }
}

fn number(value: Value) -> Option<Value> {
    match value {
        Value::Number(_) => Some(value),
        Value::String(text) => {
            let number = text.trim().parse().ok().and_then(Number::from_f64);
            number.map(Value::Number)
        }
        _ => None,
    }
}

fn integer(value: Value) -> Option<Value> {
    match &value {
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(value),
        Value::Number(number) => whole(number.as_f64()?),
        Value::String(text) => text.trim().parse::<i64>().ok().map(Value::from),
        _ => None,
    }
}

/// The whole part of a number, as far as numbers are exact.
fn whole(number: f64) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is whole and within i64"
    )]
    let whole = (number.abs() <= EXACT).then(|| number.trunc() as i64);
    whole.map(Value::from)
}

fn text(value: Value) -> Value {
    match value {
        Value::String(_) => value,
        other => Value::String(other.to_string()),
    }
}

fn stop(value: Value) -> Option<Value> {
    let texts = match value {
        Value::Array(texts) => texts,
        text => vec![text],
    };
    let unescaped = texts
        .iter()
        .map(|text| Some(Value::String(unescape(text.as_str()?))));
    unescaped.collect::<Option<Vec<_>>>().map(Value::Array)
}

fn object(value: Value) -> Option<Value> {
    match read(value) {
        Value::Object(members) => Some(Value::Object(members)),
        _ => None,
    }
}

fn bias(value: Value) -> Option<Value> {
    match value {
        Value::String(text) => logit_bias(&text).map(Value::Object),
        other => object(other),
    }
}

/// Escape sequences, which forms hold as they were typed, as the characters that they stand for. What is no sequence
/// stays as it is.
fn unescape(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        written.push_str(&rest[..at]);
        let (character, length) = escaped(&rest[at + 1..]).unwrap_or(('\\', 0));
        written.push(character);
        rest = &rest[at + 1 + length..];
    }
    written.push_str(rest);
    written
}

/// The character that a sequence stands for, and the length of the sequence behind its backslash.
fn escaped(sequence: &str) -> Option<(char, usize)> {
    let character = match sequence.chars().next()? {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'v' => '\u{b}',
        'a' => '\u{7}',
        quoted @ ('\\' | '"' | '\'') => quoted,
        'x' => return numbered(sequence, 2),
        'u' => return numbered(sequence, 4),
        'U' => return numbered(sequence, 8),
        _ => return None,
    };
    Some((character, 1))
}

fn numbered(sequence: &str, digits: usize) -> Option<(char, usize)> {
    let hex = sequence.get(1..=digits)?;
    let is_hex = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_hex.then(|| u32::from_str_radix(hex, 16).ok())??;
    Some((char::from_u32(number)?, digits + 1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(params: &Value) -> Value {
        Value::Object(merge(params.as_object().unwrap().clone()))
    }

    #[test]
    fn params_of_the_host_stay_and_custom_ones_are_read_and_merged() {
        let params = json!({
            "temperature": 1, "system": "S", "function_calling": "native", "stream_response": false,
            "reasoning_tags": null, "stream_delta_chunk_size": 3, "seed": null, "extra": {"a": 1, "b": 2},
            "custom_params": {"foo": "[1]", "bar": "z", "extra": "{\"b\": 3}", "none": "null"},
        });
        let expected = json!({"temperature": 1, "extra": {"a": 1, "b": 3}, "foo": [1], "bar": "z"});
        assert_eq!(merged(&params), expected);
        assert_eq!(merged(&json!({"custom_params": "x"})), json!({}));
    }

    #[test]
    fn params_never_choose_the_model_or_the_messages() {
        let params = json!({
            "model": "other", "messages": [], "custom_params": {"model": "other", "stream": "true", "metadata": "{}"},
        });
        assert_eq!(merged(&params), json!({}));
    }

    #[test]
    fn params_are_cast_as_models_take_them() {
        for (name, given, expected) in [
            ("temperature", json!("0.3"), json!(0.3)),
            ("temperature", json!(1), json!(1)),
            ("max_tokens", json!("7"), json!(7)),
            ("max_tokens", json!(7.9), json!(7)),
            ("reasoning_effort", json!(3), json!("3")),
            (
                "stop",
                json!(["a\\n", "\\x41\\u00e9", "é\\q\\"]),
                json!(["a\n", "Aé", "é\\q\\"]),
            ),
            ("stop", json!("END"), json!(["END"])),
            (
                "response_format",
                json!("{\"type\": \"text\"}"),
                json!({"type": "text"}),
            ),
            ("logit_bias", json!("5:1"), json!({"5": 1})),
            ("logit_bias", json!({"5": 1}), json!({"5": 1})),
            ("num_ctx", json!("x"), json!("x")),
        ] {
            assert_eq!(cast(name, given), Ok(Some(expected)), "{name}");
        }
        assert_eq!(cast("temperature", Value::Null), Ok(None));
        assert_eq!(cast("temperature", json!("")), Ok(None));
    }

    #[test]
    fn params_that_cannot_be_cast_are_named() {
        for (name, given) in [
            ("temperature", json!("warm")),
            ("temperature", json!(true)),
            ("temperature", json!("inf")),
            ("max_tokens", json!("7.5")),
            ("stop", json!([1])),
            ("response_format", json!([])),
            ("logit_bias", json!("x")),
        ] {
            let error = cast(name, given).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
