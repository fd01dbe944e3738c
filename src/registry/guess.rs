//! What code that was not loaded would have been, as far as its text tells.

use std::collections::BTreeMap;

use serde_json::Value;

use super::frontmatter;
use super::function::{EVERY_MODEL, FunctionId, FunctionKind, Learnt};

/// The classes that make a module a function, in the order in which the loader looks for them, with the handler that
/// stands for the rest.
const CLASSES: &[(&str, FunctionKind, &str)] = &[
    ("Pipe", FunctionKind::Pipe, "pipe"),
    ("Filter", FunctionKind::Filter, "inlet"),
    ("Action", FunctionKind::Action, "action"),
    ("Event", FunctionKind::Event, "event"),
    ("Tools", FunctionKind::Tools, ""),
];

/// What a filter may have.
const FILTER_HANDLERS: &[&str] = &["inlet", "request", "stream", "outlet"];

/// What stands for code that was not loaded, for the reason `why`: a filter if its text does not say what it is, so
/// that requests fail rather than pass by it.
pub(super) fn learnt(id: &FunctionId, source: &str, why: &str) -> Learnt {
    let filter = (FunctionKind::Filter, "inlet");
    let (kind, handler) = match id.is_tool() {
        true => (FunctionKind::Tools, ""),
        false => class_of(source).unwrap_or(filter),
    };
    let mut handlers: Vec<&str> = match kind {
        // It may load later, and what its text has not told is not asked of it then.
        FunctionKind::Filter => FILTER_HANDLERS.to_vec(),
        _ => Vec::new(),
    };
    handlers.retain(|handler| defines(source, handler));
    if handlers.is_empty() && !handler.is_empty() {
        handlers.push(handler);
    }
    Learnt {
        handlers: named(&handlers),
        native: frontmatter::native(source),
        not_loaded: Some(why.to_owned()),
        ..Learnt::of(kind)
    }
}

/// What stands for a function that could not be read, for the reason `why`; `kind` is what it is known to be. It has
/// every handler by which a request could pass it.
pub(super) fn unreadable(
    id: &FunctionId,
    kind: Option<FunctionKind>,
    source: &str,
    why: &str,
) -> Learnt {
    let guessed = learnt(id, source, why);
    let kind = kind.unwrap_or(guessed.kind);
    let handlers: &[&str] = match kind {
        FunctionKind::Filter => &["inlet", "stream", "outlet"],
        FunctionKind::Pipe => &["pipe"],
        FunctionKind::Action => &["action"],
        FunctionKind::Tools | FunctionKind::Event => &[],
    };
    let is_pipeline = frontmatter::is_pipeline(source);
    Learnt {
        kind,
        handlers: named(handlers),
        // Which models it is for is not known: all.
        targets: is_pipeline.then(|| vec![EVERY_MODEL.to_owned()]),
        is_unreadable: true,
        ..guessed
    }
}

fn named(handlers: &[&str]) -> BTreeMap<String, Value> {
    let named = handlers.iter();
    named
        .map(|handler| ((*handler).to_owned(), Value::Null))
        .collect()
}

/// Whether the text defines a function of this name, in a class or beside it.
fn defines(source: &str, name: &str) -> bool {
    source.lines().any(|line| {
        let line = line.trim_start();
        let line = line
            .strip_prefix("async ")
            .map_or(line, |rest| rest.trim_start());
        let rest = line
            .strip_prefix("def ")
            .and_then(|rest| rest.trim_start().strip_prefix(name));
        rest.is_some_and(|rest| rest.trim_start().starts_with('('))
    })
}

/// Whether the text has a class that makes it a function.
#[must_use]
pub fn is_function(source: &str) -> bool {
    class_of(source).is_some()
}

fn class_of(source: &str) -> Option<(FunctionKind, &'static str)> {
    if frontmatter::is_pipeline(source) {
        let is_filter = ["type = \"filter\"", "type = 'filter'"].iter();
        return Some(
            match is_filter.into_iter().any(|mark| source.contains(mark)) {
                true => (FunctionKind::Filter, "inlet"),
                false => (FunctionKind::Pipe, "pipe"),
            },
        );
    }
    let defines = |class: &str| {
        source.lines().any(|line| {
            let rest = line
                .strip_prefix("class ")
                .and_then(|line| line.trim_start().strip_prefix(class));
            rest.is_some_and(|rest| rest.trim_start().starts_with([':', '(']))
        })
    };
    CLASSES
        .iter()
        .find(|(class, ..)| defines(class))
        .map(|(_, kind, handler)| (*kind, *handler))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_tells_what_a_filter_handles() {
        let id = FunctionId::parse("x").unwrap();
        let handlers = |source| -> Vec<String> {
            let learnt = learnt(&id, source, "why");
            learnt.handlers.into_keys().collect()
        };
        assert_eq!(
            handlers(
                "class Filter:\n    async  def stream (self, event):\n        ...\n    def outlet(self, body): ...\n"
            ),
            ["outlet", "stream"]
        );
        assert_eq!(
            handlers("class Filter(Base):\n    def inlets(self): ...\n"),
            ["inlet"]
        );
        assert_eq!(
            handlers("class Pipe:\n    def inlet(self): ...\n"),
            ["pipe"]
        );
    }

    #[test]
    fn the_text_tells_the_kind() {
        let id = FunctionId::parse("x").unwrap();
        let kind = |source| learnt(&id, source, "why").kind;
        assert_eq!(
            kind("class Filter:\n    pass\nclass Pipe(Base):\n"),
            FunctionKind::Pipe
        );
        assert_eq!(
            kind("class Action :\n    class Filter:\n"),
            FunctionKind::Action
        );
        assert_eq!(kind("class FilterBase:\n"), FunctionKind::Filter);
        assert!(!is_function("class FilterBase:\n") && is_function("class Tools:\n"));
    }
}
