//! A look into JSON that has passed the gate: nothing is checked a second time, and nothing copied.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::str;

use super::tape::Places;
use super::walk::Walk;
use super::{Kind, kind_of, strings, unquote};

/// The value that `text` is, to look into. The text has passed the gate; of any other it shows less than there is.
#[must_use]
pub fn root(text: &[u8]) -> Node<'_> {
    let blanks = |text: &[u8]| text.len() - text.trim_ascii_start().len();
    let end = text.trim_ascii_end().len();
    Node::new(text, blanks(text).min(end)..end)
}

/// A value within a checked text.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    text: &'a [u8],
    start: usize,
    end: usize,
    /// Where everything in the text is, and which entry is this value's; without that the text is walked through.
    places: Places<'a>,
    entry: usize,
}

impl<'a> Node<'a> {
    /// The value at `range` of a text that has passed the gate.
    pub(super) fn new(text: &'a [u8], range: Range<usize>) -> Self {
        let Range { start, end } = range;
        Self {
            text,
            start,
            end,
            places: Places::NONE,
            entry: 0,
        }
    }

    /// The value at an entry of the tape of `text`.
    pub(super) fn noted(text: &'a [u8], places: Places<'a>, entry: usize) -> Option<Self> {
        let Range { start, end } = places.get(entry)?.span.range();
        Some(Self {
            text,
            start,
            end,
            places,
            entry,
        })
    }

    /// The value as it is written.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        &self.text[self.range()]
    }

    /// Where it stands in the text of its document.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// What kind of value it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        kind_of(self.raw())
    }

    /// What it says, if it is a string; borrowed unless it has escapes.
    #[must_use]
    pub fn string(&self) -> Option<Cow<'a, str>> {
        unquote(self.raw())
    }

    /// The value of `key`, if it is an object with such a member.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Self> {
        let mut members = self.parts(b'{');
        let member = members.find(|member| member.is_named(key))?;
        Some(member.value)
    }

    /// The members of an object in order; none of any other value.
    pub fn members(&self) -> impl Iterator<Item = (Cow<'a, str>, Self)> {
        let members = self.parts(b'{');
        members.map(|member| (member.name(), member.value))
    }

    /// The elements of an array in order; none of any other value.
    pub fn elements(&self) -> impl Iterator<Item = Self> {
        self.parts(b'[').map(|element| element.value)
    }

    fn parts(&self, open: u8) -> Parts<'a> {
        let is_open = self.raw().first() == Some(&open);
        let has_keys = open == b'{';
        match self.places.get(self.entry) {
            Some(entry) => Parts::Noted(Notes {
                text: self.text,
                places: self.places,
                at: self.entry + 1,
                end: if is_open { entry.next } else { 0 },
                has_keys,
            }),
            None => {
                let start = if is_open { self.start + 1 } else { self.end };
                Parts::Walked(Walk::new(&self.text[..self.end], start, has_keys))
            }
        }
    }
}

/// Without the text, which may be somebody's prompt.
impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({:?})", self.kind())
    }
}

/// A member of an object or an element of an array.
struct Part<'a> {
    /// As it is written between its quotes; that of an element is empty.
    key: &'a str,
    /// Whether there may be escapes in the key.
    may_be_escaped: bool,
    value: Node<'a>,
}

impl<'a> Part<'a> {
    fn name(&self) -> Cow<'a, str> {
        match self.may_be_escaped {
            true => strings::unescape(self.key),
            false => Cow::Borrowed(self.key),
        }
    }

    fn is_named(&self, name: &str) -> bool {
        // What has escapes is longer than what it says.
        self.key == name || self.key.len() > name.len() && self.name() == name
    }
}

/// The parts of an object or an array.
enum Parts<'a> {
    Walked(Walk<'a>),
    Noted(Notes<'a>),
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        match self {
            Self::Walked(walk) => {
                let (key, value) = walk.next()?;
                Some(Part {
                    key,
                    may_be_escaped: true,
                    value: Node::new(walk.text(), value),
                })
            }
            Self::Noted(notes) => notes.next(),
        }
    }
}

/// The parts of an object or an array of which a tape tells where they are.
struct Notes<'a> {
    text: &'a [u8],
    places: Places<'a>,
    at: usize,
    end: usize,
    has_keys: bool,
}

impl<'a> Notes<'a> {
    fn next(&mut self) -> Option<Part<'a>> {
        if self.at >= self.end {
            return None;
        }
        let (mut key, mut may_be_escaped) = ("", false);
        if self.has_keys {
            let entry = self.places.get(self.at)?;
            key = str::from_utf8(&self.text[entry.span.range()]).ok()?;
            may_be_escaped = entry.is_escaped;
            self.at += 1;
        }
        let value = Node::noted(self.text, self.places, self.at)?;
        self.at = self.places.get(self.at)?.next;
        Some(Part {
            key,
            may_be_escaped,
            value,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;
    use crate::wire::json::{Document, Tape};

    /// Blanks, escapes and brackets wherever they may stand.
    const TEXT: &str = r#" { "" : [ ] ,"a":"}\"]\\", "n" :-1.5e3,"messages":[{"role" : "user","content":"a\"\u00e9é\n[{"} ,{ }, [[1 ,"\\"],{"x":{"y":null}}]],"\u0061b":true,"x":{"b\n":false } } "#;

    /// What a node holds, read by nothing but nodes.
    fn tree(node: Node<'_>) -> Value {
        match node.kind() {
            Kind::Object => {
                let members = node
                    .members()
                    .map(|(key, value)| (key.into_owned(), tree(value)));
                Value::Object(members.collect::<Map<_, _>>())
            }
            Kind::Array => Value::Array(node.elements().map(tree).collect()),
            Kind::String => Value::String(node.string().unwrap().into_owned()),
            _ => serde_json::from_slice(node.raw()).unwrap(),
        }
    }

    /// How many nodes there are.
    fn count(node: Node<'_>) -> usize {
        let members = node.members().map(|(_, value)| count(value));
        let elements = node.elements().map(count);
        1 + members.sum::<usize>() + elements.sum::<usize>()
    }

    #[test]
    fn nodes_hold_what_the_reference_parser_reads() {
        let texts = [
            TEXT,
            "{}",
            " { } ",
            r#"{"a":1}"#,
            r#"{"a":{"b":{"c":[[],[{}]]}}}"#,
        ];
        for text in texts {
            let document = Document::parse(text.into()).unwrap();
            let expected: Value = serde_json::from_str(text).unwrap();
            assert_eq!(tree(document.root()), expected, "{text}");
            let tape = Tape::parse(text.into()).unwrap();
            assert_eq!(tree(tape.root()), expected, "{text}");
            assert_eq!(count(tape.root()), count(document.root()));
            assert_eq!(document.root().raw(), text.trim().as_bytes());
            for (key, value) in document.root().members() {
                assert_eq!(document.node(&key).unwrap().range(), value.range());
                assert_eq!(document.root().get(&key).unwrap().range(), value.range());
                assert_eq!(document.raw(&key).unwrap(), value.raw());
            }
        }
    }

    #[test]
    fn members_are_found_by_what_their_keys_mean() {
        let tape = Tape::parse(TEXT.into()).unwrap();
        for root in [tape.root(), root(TEXT.as_bytes())] {
            assert_eq!(root.get("ab").unwrap().raw(), b"true");
            assert_eq!(root.get("x").unwrap().get("b\n").unwrap().raw(), b"false");
            assert_eq!(root.get("").unwrap().raw(), b"[ ]");
            assert!(root.get("b").is_none() && root.get("a").unwrap().get("a").is_none());
            assert_eq!(root.get("n").unwrap().elements().count(), 0);
        }
    }

    #[test]
    fn a_text_that_is_no_json_does_no_harm() {
        for text in ["", " ", "\"", "{", "{\"", "[\"\\"] {
            count(root(text.as_bytes()));
        }
        for cut in 0..=TEXT.len() {
            for start in (0..cut).step_by(7) {
                count(Node::new(TEXT.as_bytes(), start..cut));
            }
        }
        for place in 0..TEXT.len() {
            for byte in 0..=255 {
                let mut changed = TEXT.as_bytes().to_vec();
                changed[place] = byte;
                count(root(&changed));
                assert!(root(&changed).get("nobody").is_none());
            }
        }
    }
}
