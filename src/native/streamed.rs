//! The texts of a streamed answer, which come in pieces: one text for each field of each choice, and one for the
//! arguments of each tool call. What may still become a match is held back, and given out with the finish reason.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::json_text::JsonScanner;
use super::message::{self, TEXT_FIELDS};
use super::splice::{self, object};
use super::text::{Finder, PlainScanner, Scanner};
use super::{Changed, Events, Refusal};
use crate::wire::json::{Document, Kind, elements, quote};

/// The fields whose text is over when the answer begins.
const REASONING_FIELDS: [&str; 2] = ["reasoning_content", "reasoning"];

/// A streamed answer under way.
pub(super) struct Answers {
    finder: Arc<dyn Finder>,
    choices: Vec<(u64, Choice)>,
    /// The event before, after whose manner one is made for what is left in the end.
    last: Option<Bytes>,
}

impl Answers {
    /// An answer of which nothing has come yet.
    pub(super) fn new(finder: Arc<dyn Finder>) -> Self {
        Self {
            finder,
            choices: Vec::new(),
            last: None,
        }
    }

    fn choices_of(&mut self, event: &Document) -> Changed {
        let Some(choices) = event.raw("choices") else {
            return Ok(None);
        };
        if is_empty_array(&choices) && has_usage(event) {
            // Of a server that gives no finish reason.
            let rest = self.rest_of_choices()?;
            return Ok((!rest.is_empty()).then(|| splice::array(&rest)));
        }
        splice::items(&choices, |_, choice| {
            let Ok(choice) = Document::parse(choice.clone()) else {
                return Ok(None);
            };
            let index = number(&choice, "index").unwrap_or(0);
            let finder = Arc::clone(&self.finder);
            self.choice(index).chunk(&*finder, &choice)
        })
    }

    fn choice(&mut self, index: u64) -> &mut Choice {
        let known = self.choices.iter().position(|(known, _)| *known == index);
        let place = known.unwrap_or_else(|| {
            self.choices.push((index, Choice::default()));
            self.choices.len() - 1
        });
        &mut self.choices[place].1
    }

    /// A chunk for each choice of which something is held back.
    fn rest_of_choices(&mut self) -> Result<Vec<Bytes>, Refusal> {
        let mut rest = Vec::new();
        for (index, choice) in &mut self.choices {
            let mut delta = Delta::empty();
            choice.finish(&*self.finder, &mut delta)?;
            if let Some(delta) = delta.changed() {
                let head = format!("{{\"index\":{index},\"delta\":");
                let parts = [head.as_bytes(), &delta, b",\"finish_reason\":null}"];
                rest.push(parts.concat().into());
            }
        }
        Ok(rest)
    }
}

impl Events for Answers {
    fn event(&mut self, event: &Document) -> Changed {
        let choices = self.choices_of(event)?;
        self.last = Some(event.bytes().clone());
        Ok(choices.map(|choices| splice::with(event, "choices", choices)))
    }

    fn rest(&mut self) -> Changed {
        let rest = self.rest_of_choices()?;
        let last = self.last.clone().filter(|_| !rest.is_empty());
        let Some(last) = last.and_then(|last| Document::parse(last).ok()) else {
            return Ok(None);
        };
        let mut event = last.edit();
        event.remove("usage").set("choices", splice::array(&rest));
        Ok(Some(event.finish()))
    }
}

/// Without the texts, which are somebody's answer.
impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answers({} choices)", self.choices.len())
    }
}

fn is_empty_array(raw: &[u8]) -> bool {
    let inner = raw
        .strip_prefix(b"[")
        .and_then(|raw| raw.strip_suffix(b"]"));
    inner.is_some_and(|inner| inner.trim_ascii().is_empty())
}

fn has_usage(event: &Document) -> bool {
    object(event, "usage").is_some_and(|usage| usage.iter().next().is_some())
}

/// A member that is a whole number.
fn number(document: &Document, key: &str) -> Option<u64> {
    let raw = document.raw(key)?;
    std::str::from_utf8(&raw).ok()?.parse().ok()
}

/// Which text of arguments is meant: that of a tool call, or that of the old `function_call`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Tool(u64),
    Function,
}

/// The texts of one choice that are under way.
#[derive(Default)]
struct Choice {
    texts: [Option<PlainScanner>; TEXT_FIELDS.len()],
    calls: Vec<(Call, JsonScanner)>,
}

impl Choice {
    /// What becomes of one chunk of this choice.
    fn chunk(&mut self, finder: &dyn Finder, choice: &Document) -> Changed {
        let mut edit = choice.edit();
        let mut is_changed = false;
        if !matches!(choice.kind("logprobs"), None | Some(Kind::Null)) {
            // They spell the answer out.
            edit.set("logprobs", Bytes::from_static(b"null"));
            is_changed = true;
        }
        if let Some(message) = object(choice, "message") {
            let mut edited = message.edit();
            message::rewrite(finder, message.root(), &mut edited)?;
            if let Some(message) = edited.changed() {
                edit.set("message", message);
                is_changed = true;
            }
        }
        let mut delta = object(choice, "delta").map_or_else(Delta::empty, Delta::new);
        self.delta(finder, &mut delta)?;
        if choice
            .string("finish_reason")
            .is_some_and(|reason| !reason.is_empty())
        {
            self.finish(finder, &mut delta)?;
        }
        if let Some(delta) = delta.changed() {
            edit.set("delta", delta);
            is_changed = true;
        }
        Ok(is_changed.then(|| edit.finish()))
    }

    fn delta(&mut self, finder: &dyn Finder, delta: &mut Delta) -> Result<(), Refusal> {
        let answer_begins = delta.has_text("content") && self.texts[0].is_none();
        for (place, field) in TEXT_FIELDS.into_iter().enumerate() {
            if delta.has_text(field) {
                let scanner = self.texts[place].get_or_insert_default();
                feed_text(scanner, finder, delta, field)?;
            }
        }
        if answer_begins {
            self.finish_texts(finder, delta, &REASONING_FIELDS)?;
        }
        if let Some(calls) = delta.document.raw("tool_calls") {
            let calls = splice::items(&calls, |place, call| self.tool_call(finder, place, call))?;
            delta.set_if("tool_calls", calls);
        }
        if let Some(function) = object(&delta.document, "function_call") {
            let function = self.arguments(finder, Call::Function, &function)?;
            delta.set_if("function_call", function);
        }
        Ok(())
    }

    fn tool_call(&mut self, finder: &dyn Finder, place: usize, call: &Bytes) -> Changed {
        let Ok(call) = Document::parse(call.clone()) else {
            return Ok(None);
        };
        let Some(function) = object(&call, "function") else {
            return Ok(None);
        };
        let index = number(&call, "index").unwrap_or(place as u64);
        let function = self.arguments(finder, Call::Tool(index), &function)?;
        Ok(function.map(|function| splice::with(&call, "function", function)))
    }

    fn arguments(&mut self, finder: &dyn Finder, call: Call, function: &Document) -> Changed {
        let Some(arguments) = function.string("arguments") else {
            return Ok(None);
        };
        let given = self.scanner(call).feed(finder, &arguments, false)?;
        Ok(Some(splice::with(function, "arguments", quote(&given))))
    }

    fn scanner(&mut self, call: Call) -> &mut JsonScanner {
        let known = self.calls.iter().position(|(known, _)| *known == call);
        let place = known.unwrap_or_else(|| {
            self.calls.push((call, JsonScanner::default()));
            self.calls.len() - 1
        });
        &mut self.calls[place].1
    }

    /// Adds to `delta` all that was held back.
    fn finish(&mut self, finder: &dyn Finder, delta: &mut Delta) -> Result<(), Refusal> {
        self.finish_texts(finder, delta, &TEXT_FIELDS)?;
        for (call, scanner) in &mut self.calls {
            let rest = scanner.feed(finder, "", true)?;
            if !rest.is_empty() {
                delta.add_arguments(*call, &rest);
            }
        }
        Ok(())
    }

    fn finish_texts(
        &mut self,
        finder: &dyn Finder,
        delta: &mut Delta,
        fields: &[&str],
    ) -> Result<(), Refusal> {
        let texts = TEXT_FIELDS.into_iter().zip(&mut self.texts);
        for (field, scanner) in texts.filter(|(field, _)| fields.contains(field)) {
            let Some(scanner) = scanner else { continue };
            let rest = scanner.feed(finder, "", true)?;
            if !rest.is_empty() {
                delta.add_text(field, &rest);
            }
        }
        Ok(())
    }
}

/// Passes a field's piece through its text.
fn feed_text(
    scanner: &mut PlainScanner,
    finder: &dyn Finder,
    delta: &mut Delta,
    field: &str,
) -> Result<(), Refusal> {
    if let Some(piece) = delta.document.string(field) {
        let given = scanner.feed(finder, &piece, false)?;
        if given != piece {
            delta.set(field, quote(&given));
        }
        return Ok(());
    }
    let parts = delta.document.raw(field).unwrap_or_default();
    let parts = splice::items(&parts, |_, part| {
        let Ok(part) = Document::parse(part.clone()) else {
            return Ok(None);
        };
        let Some(piece) = part.string("text") else {
            return Ok(None);
        };
        let given = scanner.feed(finder, &piece, false)?;
        Ok(Some(splice::with(&part, "text", quote(&given))))
    })?;
    delta.set_if(field, parts);
    Ok(())
}

/// The `delta` of a chunk, and whether it is another one than came.
struct Delta {
    document: Document,
    is_changed: bool,
}

impl Delta {
    fn new(document: Document) -> Self {
        Self {
            document,
            is_changed: false,
        }
    }

    /// That of a chunk which says nothing.
    fn empty() -> Self {
        let empty = Document::parse(Bytes::from_static(b"{}"));
        Self::new(empty.expect("it is an object"))
    }

    /// Its bytes, if they are others than came.
    fn changed(self) -> Option<Bytes> {
        self.is_changed.then(|| self.document.bytes().clone())
    }

    fn has_text(&self, field: &str) -> bool {
        match self.document.kind(field) {
            Some(Kind::String) => self.document.raw(field).is_some_and(|raw| raw.len() > 2),
            Some(Kind::Array) => true,
            _ => false,
        }
    }

    fn set(&mut self, key: &str, raw: Bytes) {
        let edited = Document::parse(splice::with(&self.document, key, raw));
        self.document = edited.expect("a document with another value is one");
        self.is_changed = true;
    }

    fn set_if(&mut self, key: &str, raw: Option<Bytes>) {
        if let Some(raw) = raw {
            self.set(key, raw);
        }
    }

    /// Adds text to the end of a field.
    fn add_text(&mut self, field: &str, rest: &str) {
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
    fn add_arguments(&mut self, call: Call, rest: &str) {
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
fn text_of(json: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(json)
}
