//! The `delta` of a chunk that is changed in more than its pieces of text.

use std::borrow::Cow;

use bytes::Bytes;

use crate::native::splice::{self, object};
use crate::wire::json::{Document, Kind, elements, quote};

/// Which text of arguments is meant: that of a tool call, or that of the old `function_call`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// That with this index.
    Tool(u64),
    /// The old one.
    Function,
}

/// The `delta` of a chunk, and whether it is another one than came.
pub(super) struct Delta {
    /// It as it is now.
    pub(super) document: Document,
    is_changed: bool,
}

impl Delta {
    /// That of a chunk as it came.
    pub(super) fn new(document: Document) -> Self {
        Self {
            document,
            is_changed: false,
        }
    }

    /// That of a chunk which says nothing.
    pub(super) fn empty() -> Self {
        let empty = Document::parse(Bytes::from_static(b"{}"));
        Self::new(empty.expect("it is an object"))
    }

    /// Its bytes, if they are others than came.
    pub(super) fn changed(self) -> Option<Bytes> {
        self.is_changed.then(|| self.document.bytes().clone())
    }

    /// Whether a field holds a text, or a list of parts.
    pub(super) fn has_text(&self, field: &str) -> bool {
        match self.document.kind(field) {
            Some(Kind::String) => self.document.raw(field).is_some_and(|raw| raw.len() > 2),
            Some(Kind::Array) => true,
            _ => false,
        }
    }

    /// Gives a field another value.
    pub(super) fn set(&mut self, key: &str, raw: Bytes) {
        let edited = Document::parse(splice::with(&self.document, key, raw));
        self.document = edited.expect("a document with another value is one");
        self.is_changed = true;
    }

    /// As [`Delta::set`], if there is another value.
    pub(super) fn set_if(&mut self, key: &str, raw: Option<Bytes>) {
        if let Some(raw) = raw {
            self.set(key, raw);
        }
    }

    /// Adds text to the end of a field.
    pub(super) fn add_text(&mut self, field: &str, rest: &str) {
        if self.document.kind(field) == Some(Kind::Array) {
            let part = format!("{{\"type\":\"text\",\"text\":{}}}", text_of(&quote(rest)));
            self.push(field, part.into());
        } else {
            let known = self.document.string(field).unwrap_or_default();
            let text = quote(&(known.into_owned() + rest));
            self.set(field, text);
        }
    }

    /// Adds text to the end of a call's arguments.
    pub(super) fn add_arguments(&mut self, call: Call, rest: &str) {
        let Call::Tool(index) = call else {
            let function =
                object(&self.document, "function_call").unwrap_or_else(|| Self::empty().document);
            let known = function
                .string("arguments")
                .unwrap_or_default()
                .into_owned();
            let arguments = quote(&(known + rest));
            return self.set(
                "function_call",
                splice::with(&function, "arguments", arguments),
            );
        };
        let arguments = quote(rest);
        let arguments = text_of(&arguments);
        let call = format!("{{\"index\":{index},\"function\":{{\"arguments\":{arguments}}}}}");
        self.push("tool_calls", call.into());
    }

    /// Adds an element to the end of a list, which is made if it is not there.
    fn push(&mut self, key: &str, element: Bytes) {
        let known = self.document.raw(key).and_then(|raw| elements(&raw).ok());
        let mut items = known.unwrap_or_default();
        items.push(element);
        self.set(key, splice::array(&items));
    }
}

/// JSON that we wrote, as text.
fn text_of(json: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(json)
}
