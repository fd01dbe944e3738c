//! What code that was not loaded would have been, as far as its text tells.

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

/// What stands for code that was not loaded, for the reason `why`: a filter if its text does not say what it is, so
/// that requests fail rather than pass by it.
pub(super) fn learnt(id: &FunctionId, source: &str, why: &str) -> Learnt {
    let filter = (FunctionKind::Filter, "inlet");
    let (kind, handler) = match id.is_tool() {
        true => (FunctionKind::Tools, ""),
        false => class_of(source).unwrap_or(filter),
    };
    let handlers = [handler].into_iter().filter(|handler| !handler.is_empty());
    Learnt {
        handlers: handlers
            .map(|handler| (handler.to_owned(), Value::Null))
            .collect(),
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
        handlers: handlers
            .iter()
            .map(|&handler| (handler.to_owned(), Value::Null))
            .collect(),
        // Which models it is for is not known: all.
        targets: is_pipeline.then(|| vec![EVERY_MODEL.to_owned()]),
        is_unreadable: true,
        ..guessed
    }
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
