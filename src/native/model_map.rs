//! `model_map`: sends requests for one model to another.

use std::sync::Arc;

use super::fields::{Field, Mistake, PRIORITY_FIELD, Shape, Values};
use super::{Asker, Changed, Filter, Kind, Refusal};
use crate::wire::json::Document;

/// What ends a name that stands for all that begin so.
const WILDCARD: char = '*';

const PASS: &str = "pass";
const REFUSE: &str = "refuse";

pub(super) static KIND: Kind = Kind {
    name: "model_map",
    about: "Sends requests for one model to another.",
    handlers: &["inlet"],
    valves: &[
        PRIORITY_FIELD,
        Field {
            name: "map",
            about: "Pairs such as `gpt-4* = llama3`, divided by commas or line ends; the first that fits counts.",
            shape: Shape::Text(""),
        },
        Field {
            name: "others",
            about: "What happens to requests for other models.",
            shape: Shape::Choice(&[PASS, REFUSE]),
        },
    ],
    user_valves: &[],
    build,
};

fn build(values: &Values) -> Result<Arc<dyn Filter>, Mistake> {
    let pairs: Result<Vec<Pair>, Mistake> = values.list("map").into_iter().map(pair).collect();
    Ok(Arc::new(ModelMap {
        pairs: pairs?,
        refuses_others: values.text("others") == REFUSE,
    }))
}

fn pair(text: &str) -> Result<Pair, Mistake> {
    let sides = text
        .split_once('=')
        .map(|(from, to)| (from.trim(), to.trim()));
    let is_whole = |(from, to): &(&str, &str)| !from.is_empty() && !to.is_empty();
    let (from, to) = sides.filter(is_whole).ok_or_else(|| {
        Mistake::new("`map` must be pairs such as `gpt-4 = llama3`, divided by commas or line ends")
    })?;
    Ok(Pair {
        from: from.to_owned(),
        to: to.to_owned(),
    })
}

/// The filter.
#[derive(Debug)]
struct ModelMap {
    pairs: Vec<Pair>,
    refuses_others: bool,
}

/// A model, or all whose names begin alike, and the one that answers for it.
#[derive(Debug)]
struct Pair {
    from: String,
    to: String,
}

impl Pair {
    fn fits(&self, model: &str) -> bool {
        match self.from.strip_suffix(WILDCARD) {
            Some(start) => model.starts_with(start),
            None => model == self.from,
        }
    }
}

impl Filter for ModelMap {
    fn handles(&self, handler: &str) -> bool {
        handler == "inlet" && (self.refuses_others || !self.pairs.is_empty())
    }

    fn inlet(&self, body: &Document, _asker: &Asker<'_>) -> Changed {
        let model = body.string("model").unwrap_or_default();
        match self.pairs.iter().find(|pair| pair.fits(&model)) {
            Some(pair) if pair.to == model => Ok(None),
            Some(pair) => Ok(Some(body.edit().set_string("model", &pair.to).finish())),
            None if self.refuses_others => {
                let message = format!("The model `{model}` is not to be had here.");
                Err(Refusal::new(403, message))
            }
            None => Ok(None),
        }
    }
}
