//! A look into JSON that has passed the gate: nothing is checked a second time, nothing copied, nothing kept.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use super::keys::Key;
use super::{Kind, Span, kind_of, strings, unquote};

/// A value within a checked text.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    text: &'a [u8],
    start: usize,
    end: usize,
}

impl<'a> Node<'a> {
    /// The value at `range` of a text that has passed the gate.
    pub(super) fn new(text: &'a [u8], range: Range<usize>) -> Self {
        let Range { start, end } = range;
        Self { text, start, end }
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
        members.filter_map(|member| Some((member.key?.text(member.value.text), member.value)))
    }

    /// The elements of an array in order; none of any other value.
    pub fn elements(&self) -> impl Iterator<Item = Self> {
        self.parts(b'[').map(|element| element.value)
    }

    fn parts(&self, open: u8) -> Parts<'a> {
        let is_open = self.raw().first() == Some(&open);
        Parts {
            text: &self.text[..self.end],
            at: if is_open { self.start + 1 } else { self.end },
            has_keys: open == b'{',
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
    key: Option<Key>,
    value: Node<'a>,
}

impl Part<'_> {
    fn is_named(&self, name: &str) -> bool {
        self.key.is_some_and(|key| key.is(self.value.text, name))
    }
}

/// What stands in an object or an array, from behind its opening bracket on. Of a text that is no JSON it would give less
/// than there is; it does not panic.
struct Parts<'a> {
    text: &'a [u8],
    at: usize,
    has_keys: bool,
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        self.skip_to_part();
        let key = match self.has_keys {
            true => Some(self.key()?),
            false => None,
        };
        let start = self.at;
        self.at = value_end(self.text, start);
        let value = Node::new(self.text, start..self.at);
        (self.at > start).then_some(Part { key, value })
    }
}

impl Parts<'_> {
    /// Steps over what parts a part from the one before: blanks, and a comma or a colon.
    fn skip_to_part(&mut self) {
        let is_between = |byte: &&u8| matches!(byte, b',' | b':' | b' ' | b'\n' | b'\r' | b'\t');
        self.at += self.text[self.at..].iter().take_while(is_between).count();
    }

    /// The key that stands here, with its colon.
    fn key(&mut self) -> Option<Key> {
        let start = self.at;
        if self.text.get(start) != Some(&b'"') {
            return None;
        }
        let end = strings::end(self.text, start);
        self.at = end;
        self.skip_to_part();
        let escaped = memchr::memchr(b'\\', &self.text[start..end]).is_some();
        let span = Span {
            start: u32::try_from(start + 1).ok()?,
            end: u32::try_from(end - 1).ok()?,
        };
        (span.start <= span.end).then_some(Key { span, escaped })
    }
}

/// Where the value ends that begins at `start`; `start` itself if none does.
fn value_end(text: &[u8], start: usize) -> usize {
    match text.get(start) {
        Some(b'"') => strings::end(text, start),
        Some(b'{' | b'[') => nested_end(text, start),
        _ => {
            let ends =
                |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
            let length = text[start..].iter().position(ends);
            length.map_or(text.len(), |length| start + length)
        }
    }
}

/// Where the object or array ends that begins at `start`.
fn nested_end(text: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0usize);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => at = strings::end(text, at) - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;
    use crate::wire::json::Document;

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
        let document = Document::parse(TEXT.into()).unwrap();
        let root = document.root();
        assert_eq!(root.get("ab").unwrap().raw(), b"true");
        assert_eq!(root.get("x").unwrap().get("b\n").unwrap().raw(), b"false");
        assert_eq!(root.get("").unwrap().raw(), b"[ ]");
        assert!(root.get("b").is_none() && root.get("a").unwrap().get("a").is_none());
        assert_eq!(root.get("n").unwrap().elements().count(), 0);
    }

    #[test]
    fn a_text_that_is_no_json_does_no_harm() {
        for cut in 0..=TEXT.len() {
            for start in (0..cut).step_by(7) {
                count(Node::new(TEXT.as_bytes(), start..cut));
            }
        }
        let is_ascii = |place: &usize| TEXT.as_bytes()[*place].is_ascii();
        for place in (0..TEXT.len()).filter(is_ascii) {
            for byte in 0..=127 {
                let mut changed = TEXT.as_bytes().to_vec();
                changed[place] = byte;
                count(Node::new(&changed, 1..changed.len()));
            }
        }
    }
}
