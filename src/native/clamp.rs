//! `clamp`: keeps the parameters of requests within bounds.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;

use super::fields::{Field, Mistake, PRIORITY_FIELD, Shape, Values};
use super::{Asker, Changed, Filter, Kind};
use crate::wire::json::{Document, Kind as JsonKind};

/// The two names of the longest answer, of which a request uses one.
const TOKENS: [&str; 2] = ["max_tokens", "max_completion_tokens"];

/// Members that a request cannot do without.
const NEEDED: [&str; 3] = ["model", "messages", "stream"];

pub(super) static KIND: Kind = Kind {
    name: "clamp",
    about: "Keeps the parameters of requests within bounds.",
    handlers: &["inlet"],
    valves: &[
        PRIORITY_FIELD,
        count(
            "max_tokens",
            "Tokens of an answer, also where a request names none; 0 for no limit.",
        ),
        Field {
            name: "limit_parameter",
            about: "What the limit is called in requests that name none.",
            shape: Shape::Choice(&TOKENS),
        },
        bound("min_temperature", 0.0, 0.0, 2.0, "Lowest temperature."),
        bound("max_temperature", 2.0, 0.0, 2.0, "Highest temperature."),
        bound("min_top_p", 0.0, 0.0, 1.0, "Lowest top_p."),
        bound("max_top_p", 1.0, 0.0, 1.0, "Highest top_p."),
        bound(
            "max_penalty",
            2.0,
            0.0,
            2.0,
            "Largest presence and frequency penalty, either way.",
        ),
        count("max_n", "Answers to one request, 0 for no limit."),
        Field {
            name: "remove",
            about: "Parameters to take out, by commas.",
            shape: Shape::Text(""),
        },
    ],
    user_valves: &[],
    build,
};

const fn count(name: &'static str, about: &'static str) -> Field {
    Field {
        name,
        about,
        shape: Shape::Integer { default: 0, min: 0 },
    }
}

const fn bound(name: &'static str, default: f64, min: f64, max: f64, about: &'static str) -> Field {
    Field {
        name,
        about,
        shape: Shape::Number { default, min, max },
    }
}

fn build(values: &Values) -> Result<Arc<dyn Filter>, Mistake> {
    let remove: Vec<String> = values
        .list("remove")
        .into_iter()
        .map(str::to_owned)
        .collect();
    if let Some(needed) = remove.iter().find(|key| NEEDED.contains(&key.as_str())) {
        let message = format!("`remove` must not name `{needed}`, which every request needs");
        return Err(Mistake::new(message));
    }
    let penalty = values.number("max_penalty");
    let ranges = vec![
        (
            "temperature",
            range(values, "min_temperature", "max_temperature")?,
        ),
        ("top_p", range(values, "min_top_p", "max_top_p")?),
        ("presence_penalty", -penalty..=penalty),
        ("frequency_penalty", -penalty..=penalty),
    ];
    let limit_parameter = TOKENS
        .into_iter()
        .find(|name| *name == values.text("limit_parameter"));
    Ok(Arc::new(Clamp {
        tokens: values.count("max_tokens"),
        limit_parameter: limit_parameter.unwrap_or(TOKENS[0]),
        answers: values.count("max_n"),
        ranges,
        remove,
    }))
}

fn range(values: &Values, min: &str, max: &str) -> Result<RangeInclusive<f64>, Mistake> {
    let range = values.number(min)..=values.number(max);
    match range.is_empty() {
        true => Err(Mistake::new(format!("`{min}` must not be above `{max}`"))),
        false => Ok(range),
    }
}

/// The filter; 0 is no limit.
#[derive(Debug)]
struct Clamp {
    tokens: u64,
    limit_parameter: &'static str,
    answers: u64,
    ranges: Vec<(&'static str, RangeInclusive<f64>)>,
    remove: Vec<String>,
}

impl Filter for Clamp {
    fn handles(&self, handler: &str) -> bool {
        handler == "inlet"
    }

    fn inlet(&self, body: &Document, _asker: &Asker<'_>) -> Changed {
        let mut changes = self.clamped(body);
        changes.extend(self.token_limit(body));
        let removed = self.remove.iter().filter(|key| body.kind(key).is_some());
        let mut removed = removed.peekable();
        if changes.is_empty() && removed.peek().is_none() {
            return Ok(None);
        }
        let mut edit = body.edit();
        for (key, value) in changes {
            edit.set(key, value);
        }
        for key in removed {
            edit.remove(key);
        }
        Ok(Some(edit.finish()))
    }
}

impl Clamp {
    /// The parameters that are out of bounds, with the bound that they pass.
    fn clamped(&self, body: &Document) -> Vec<(&'static str, Bytes)> {
        let ranges = self.ranges.iter().filter_map(|(key, range)| {
            let value = number(body, key)?;
            let clamped = value.clamp(*range.start(), *range.end());
            (clamped != value).then(|| (*key, clamped.to_string().into()))
        });
        let counts = TOKENS.map(|key| (key, self.tokens));
        let counts = counts.into_iter().chain([("n", self.answers)]);
        let counts = counts.filter(|(key, most)| {
            *most > 0 && number(body, key).is_some_and(|count| count > *most as f64)
        });
        ranges
            .chain(counts.map(|(key, most)| (key, most.to_string().into())))
            .collect()
    }

    /// The limit of an answer's tokens, for a request that names none.
    fn token_limit(&self, body: &Document) -> Option<(&'static str, Bytes)> {
        let is_named = |key: &&str| !matches!(body.kind(key), None | Some(JsonKind::Null));
        let is_wanted = self.tokens > 0 && !TOKENS.iter().any(is_named);
        is_wanted.then(|| (self.limit_parameter, self.tokens.to_string().into()))
    }
}

fn number(body: &Document, key: &str) -> Option<f64> {
    let raw = body.raw(key)?;
    std::str::from_utf8(&raw).ok()?.parse().ok()
}
