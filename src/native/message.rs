//! The texts of whole messages: what is said, what was thought, and the arguments of the tools that are called.

use bytes::Bytes;

use super::json_text::JsonScanner;
use super::splice::{self, object};
use super::text::{self, Finder, Scanner};
use super::{Changed, Refusal};
use crate::wire::json::{Document, Kind, quote};

/// The members of a message that hold text.
pub(super) const TEXT_FIELDS: [&str; 4] = ["content", "refusal", "reasoning_content", "reasoning"];

/// Whose messages are looked at.
#[derive(Debug)]
pub(super) struct Roles(Vec<String>);

impl Roles {
    /// The roles of these names.
    pub(super) fn new(names: Vec<&str>) -> Self {
        Self(names.into_iter().map(str::to_owned).collect())
    }

    fn include(&self, message: &Document) -> bool {
        let role = message.string("role");
        role.is_some_and(|role| self.0.iter().any(|name| *name == role))
    }
}

/// The `messages` of a request with what a finder makes of those with one of `roles`.
pub(super) fn rewrite_all(finder: &dyn Finder, roles: &Roles, body: &Document) -> Changed {
    let Some(messages) = body.raw("messages") else {
        return Ok(None);
    };
    splice::items(&messages, |_, message| {
        let message = Document::parse(message.clone()).ok();
        match message.filter(|message| roles.include(message)) {
            Some(message) => rewrite(finder, &message),
            None => Ok(None),
        }
    })
}

/// A message with what a finder makes of its texts.
pub(super) fn rewrite(finder: &dyn Finder, message: &Document) -> Changed {
    let mut edit = message.edit();
    let mut is_changed = false;
    let mut set = |key: &str, raw: Option<Bytes>| {
        if let Some(raw) = raw {
            is_changed = true;
            edit.set(key, raw);
        }
    };
    for field in TEXT_FIELDS {
        set(field, rewrite_text(finder, message, field)?);
    }
    if let Some(calls) = message.raw("tool_calls") {
        let calls = splice::items(&calls, |_, call| match Document::parse(call.clone()) {
            Ok(call) => rewrite_member(finder, &call, "function"),
            Err(_) => Ok(None),
        });
        set("tool_calls", calls?);
    }
    if let Some(function) = object(message, "function_call") {
        set("function_call", rewrite_arguments(finder, &function)?);
    }
    Ok(is_changed.then(|| edit.finish()))
}

fn rewrite_text(finder: &dyn Finder, message: &Document, field: &str) -> Changed {
    match message.kind(field) {
        Some(Kind::String) => rewrite_string(finder, message, field),
        Some(Kind::Array) => {
            let parts = message.raw(field).unwrap_or_default();
            splice::items(&parts, |_, part| rewrite_part(finder, part))
        }
        _ => Ok(None),
    }
}

fn rewrite_part(finder: &dyn Finder, part: &Bytes) -> Changed {
    let Ok(part) = Document::parse(part.clone()) else {
        return Ok(None);
    };
    let text = rewrite_string(finder, &part, "text")?;
    Ok(text.map(|text| splice::with(&part, "text", text)))
}

fn rewrite_string(finder: &dyn Finder, document: &Document, key: &str) -> Changed {
    let Some(text) = document.string(key) else {
        return Ok(None);
    };
    Ok(text::rewrite(finder, &text)?.map(|text| quote(&text)))
}

fn rewrite_member(finder: &dyn Finder, call: &Document, key: &str) -> Changed {
    let Some(function) = object(call, key) else {
        return Ok(None);
    };
    let function = rewrite_arguments(finder, &function)?;
    Ok(function.map(|function| splice::with(call, key, function)))
}

fn rewrite_arguments(finder: &dyn Finder, function: &Document) -> Changed {
    let Some(arguments) = function.string("arguments") else {
        return Ok(None);
    };
    let rewritten = rewrite_json(finder, &arguments)?;
    Ok((rewritten != arguments).then(|| splice::with(function, "arguments", quote(&rewritten))))
}

fn rewrite_json(finder: &dyn Finder, text: &str) -> Result<String, Refusal> {
    JsonScanner::default().feed(finder, text, true)
}
