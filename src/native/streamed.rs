//! The texts of a streamed answer, which come in pieces: one text for each field of each choice, and one for the
//! arguments of each tool call. What may still become a match is held back, and given out with the finish reason.

mod delta;

use std::fmt;
use std::str;
use std::sync::Arc;

use bytes::Bytes;

use self::delta::{Call, Delta};
use super::json_text::JsonScanner;
use super::message::{self, TEXT_FIELDS};
use super::splice::{self, object};
use super::text::{Finder, PlainScanner, Scanner};
use super::{Changed, Events, Refusal};
use crate::wire::json::{Document, Kind, Node, Splices, Tape, quote};

/// The fields whose text is over when the answer begins.
const REASONING_FIELDS: [&str; 2] = ["reasoning_content", "reasoning"];

/// A streamed answer under way.
pub(super) struct Answers {
    finder: Arc<dyn Finder>,
    choices: Vec<(u64, Choice)>,
    /// The event before, after whose manner one is made for what is left in the end. A copy, because a part of what was
    /// read would keep all of that alive while the stream waits.
    last: Vec<u8>,
}

impl Answers {
    /// An answer of which nothing has come yet.
    pub(super) fn new(finder: Arc<dyn Finder>) -> Self {
        Self {
            finder,
            choices: Vec::new(),
            last: Vec::new(),
        }
    }

    fn choices_of(&mut self, event: Node<'_>, splices: &mut Splices) -> Result<(), Refusal> {
        let Some(choices) = event.get("choices") else {
            return Ok(());
        };
        let is_empty = choices.kind() == Kind::Array && choices.elements().next().is_none();
        if is_empty && has_usage(event) {
            // Of a server that gives no finish reason.
            let rest = self.rest_of_choices()?;
            if !rest.is_empty() {
                splices.add(choices.range(), splice::array(&rest));
            }
            return Ok(());
        }
        let finder = Arc::clone(&self.finder);
        for choice in choices
            .elements()
            .filter(|choice| choice.kind() == Kind::Object)
        {
            let index = number(choice.get("index")).unwrap_or(0);
            self.choice(index).chunk(&*finder, choice, splices)?;
        }
        Ok(())
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
    fn event(&mut self, event: &Tape) -> Changed {
        let mut splices = Splices::default();
        self.choices_of(event.root(), &mut splices)?;
        self.last.clear();
        self.last.extend_from_slice(event.bytes());
        Ok(splices.applied(event.bytes()))
    }

    fn rest(&mut self) -> Changed {
        let rest = self.rest_of_choices()?;
        if rest.is_empty() {
            return Ok(None);
        }
        let Ok(last) = Document::parse(Bytes::copy_from_slice(&self.last)) else {
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

fn has_usage(event: Node<'_>) -> bool {
    event
        .get("usage")
        .is_some_and(|usage| usage.members().next().is_some())
}

/// A value that is a whole number.
fn number(value: Option<Node<'_>>) -> Option<u64> {
    str::from_utf8(value?.raw()).ok()?.parse().ok()
}

/// The piece of each text that a chunk holds.
type Pieces<'a> = [Option<Node<'a>>; TEXT_FIELDS.len()];

/// The texts of one choice that are under way.
#[derive(Default)]
struct Choice {
    texts: [Option<PlainScanner>; TEXT_FIELDS.len()],
    calls: Vec<(Call, JsonScanner)>,
}

impl Choice {
    /// Notes what becomes of one chunk of this choice.
    fn chunk(
        &mut self,
        finder: &dyn Finder,
        choice: Node<'_>,
        splices: &mut Splices,
    ) -> Result<(), Refusal> {
        if let Some(pieces) = self.pieces(choice) {
            return self.go_on(finder, pieces, splices);
        }
        let Ok(document) = Document::parse(Bytes::copy_from_slice(choice.raw())) else {
            return Ok(());
        };
        if let Some(changed) = self.rewrite(finder, &document)? {
            splices.add(choice.range(), changed);
        }
        Ok(())
    }

    /// The pieces of texts in a chunk that is like nearly all others: no text begins or ends with it, and nothing is called.
    /// `None` for any other chunk.
    fn pieces<'a>(&self, choice: Node<'a>) -> Option<Pieces<'a>> {
        let mut pieces = Pieces::default();
        for (key, value) in choice.members() {
            let is_usual = match &*key {
                "delta" => self.add_pieces(&mut pieces, value),
                "message" => value.kind() != Kind::Object,
                "logprobs" => value.kind() == Kind::Null,
                "finish_reason" => value.string().is_none_or(|reason| reason.is_empty()),
                _ => true,
            };
            if !is_usual {
                return None;
            }
        }
        Some(pieces)
    }

    /// Adds the pieces in a `delta`; whether there is nothing else in it that is looked at.
    fn add_pieces<'a>(&self, pieces: &mut Pieces<'a>, delta: Node<'a>) -> bool {
        delta.members().all(|(key, value)| {
            let field = TEXT_FIELDS.iter().position(|field| *field == key);
            match (field, value.kind()) {
                (Some(_), Kind::String) if value.raw() == b"\"\"" => true,
                (Some(place), Kind::String) => {
                    pieces[place] = Some(value);
                    self.texts[place].is_some()
                }
                (Some(_), kind) => kind != Kind::Array,
                (None, kind) => match &*key {
                    "tool_calls" => kind != Kind::Array,
                    "function_call" => kind != Kind::Object,
                    _ => true,
                },
            }
        })
    }

    /// Passes pieces through the texts that they belong to.
    fn go_on(
        &mut self,
        finder: &dyn Finder,
        pieces: Pieces<'_>,
        splices: &mut Splices,
    ) -> Result<(), Refusal> {
        for (scanner, node) in self.texts.iter_mut().zip(pieces) {
            let Some((scanner, node)) = scanner.as_mut().zip(node) else {
                continue;
            };
            let piece = node.string().unwrap_or_default();
            let given = scanner.feed(finder, &piece, false)?;
            if given != piece {
                splices.add(node.range(), quote(&given));
            }
        }
        Ok(())
    }

    /// What becomes of a chunk, whatever is in it.
    fn rewrite(&mut self, finder: &dyn Finder, choice: &Document) -> Changed {
        let mut edit = choice.edit();
        let mut is_changed = false;
        if !matches!(choice.kind("logprobs"), None | Some(Kind::Null)) {
            // They spell the answer out.
            edit.set("logprobs", Bytes::from_static(b"null"));
            is_changed = true;
        }
        if let Some(message) = object(choice, "message") {
            let mut splices = Splices::default();
            message::rewrite(finder, message.root(), &mut splices)?;
            if let Some(message) = splices.applied(message.bytes()) {
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
        let index = number(call.node("index")).unwrap_or(place as u64);
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
