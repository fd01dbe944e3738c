//! The strict JSON gate: a body is either JSON that every reader understands alike, or refused.
//!
//! A gateway that reads a body more leniently than the model server behind it can be got round: of
//! two equal keys one reader takes the first and the other the last. So duplicate keys, lone
//! surrogates, `NaN`, byte order marks and the like are refused here, with the offset at which they
//! stand.

mod alike;
mod edit;
mod keys;
mod node;
mod same;
mod scanner;
mod strings;
mod tape;
mod walk;
mod writer;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::str;

use bytes::Bytes;

pub use alike::Alike;
pub use edit::{Edit, Splices};
use keys::Key;
pub use node::{Node, root};
pub use same::equivalent;
use scanner::Scanner;
pub use tape::Tape;
pub use writer::ObjectWriter;

/// How deep objects and arrays may be nested: as deep as serde_json reads them, so that whatever passes the gate can be
/// read as a tree too. A filter that could not read what the model server will would let it by.
pub const MAX_DEPTH: usize = 127;

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is nothing but whitespace.
    Empty,
    /// It is JSON, but no object.
    NotAnObject,
    /// It is JSON, but no array.
    NotAnArray,
    /// It starts with a byte order mark.
    ByteOrderMark,
    /// A string holds bytes that are no UTF-8.
    InvalidUtf8,
    /// It ends before it is complete.
    UnexpectedEnd,
    /// A byte that cannot stand there.
    UnexpectedByte,
    /// `NaN` or `Infinity`, which some writers send and JSON does not have.
    NotFinite,
    /// A number that is not spelt as JSON numbers are.
    InvalidNumber,
    /// A backslash that starts no escape sequence.
    InvalidEscape,
    /// Half of a surrogate pair, which is no character.
    LoneSurrogate,
    /// An unescaped control character in a string.
    ControlCharacter,
    /// The same key twice in one object.
    DuplicateKey,
    /// A key that a reader of ours takes for a mark of its own.
    ReservedKey,
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// Something follows the end of the value.
    TrailingData,
    /// More than 4 GiB.
    TooLong,
}

impl Reason {
    fn text(self) -> &'static str {
        match self {
            Self::Empty => "empty body",
            Self::NotAnObject => "not an object",
            Self::NotAnArray => "not an array",
            Self::ByteOrderMark => "byte order mark",
            Self::InvalidUtf8 => "invalid UTF-8",
            Self::UnexpectedEnd => "unexpected end",
            Self::UnexpectedByte => "unexpected byte",
            Self::NotFinite => "number is not finite",
            Self::InvalidNumber => "invalid number",
            Self::InvalidEscape => "invalid escape",
            Self::LoneSurrogate => "lone surrogate",
            Self::ControlCharacter => "control character in string",
            Self::DuplicateKey => "duplicate key",
            Self::ReservedKey => "reserved key",
            Self::TooDeep => "nested too deep",
            Self::TrailingData => "trailing data",
            Self::TooLong => "too long",
        }
    }
}

/// A text that is refused, and where the reason stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidJson {
    /// The offset in bytes of what is wrong.
    pub offset: usize,
    /// What is wrong there.
    pub reason: Reason,
}

impl fmt::Display for InvalidJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.reason.text(), self.offset)
    }
}

impl Error for InvalidJson {}

/// What kind of value stands in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// `1`
    Number,
    /// `true` or `false`
    Boolean,
    /// `null`
    Null,
}

/// The kind of the valid JSON value in `raw`, told by its first byte.
fn kind_of(raw: &[u8]) -> Kind {
    match raw.trim_ascii_start().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Boolean,
        Some(b'n') => Kind::Null,
        _ => Kind::Number,
    }
}

/// A part of the text. 32 bits each, so that a body of nothing but keys stays cheap to check.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    fn length(self) -> usize {
        (self.end - self.start) as usize
    }
}

/// A key of the top level and its value.
#[derive(Clone, Copy, Debug)]
struct Member {
    key: Key,
    value: Span,
}

/// A valid JSON object, unparsed but for the places of its top-level members.
#[derive(Clone)]
pub struct Document {
    bytes: Bytes,
    members: Vec<Member>,
}

impl Document {
    /// Checks `bytes` from first to last and remembers where the top-level members are.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with the text, or [`Reason::NotAnObject`].
    pub fn parse(bytes: Bytes) -> Result<Self, InvalidJson> {
        Self::parse_around(bytes, 0)
    }

    /// As [`Document::parse`], where `levels` of ours are wrapped around what may be as deep as a document itself.
    ///
    /// # Errors
    ///
    /// As [`Document::parse`].
    pub fn parse_around(bytes: Bytes, levels: usize) -> Result<Self, InvalidJson> {
        let mut scanner = Scanner::start(&bytes)?.around(levels);
        if scanner.peek() == Some(b'{') {
            let mut members = Vec::with_capacity(8);
            scanner.members(|key, value| members.push(Member { key, value }))?;
            scanner.end()?;
            return Ok(Self { bytes, members });
        }
        Err(scanner.other_kind(Reason::NotAnObject))
    }

    /// The whole text as it came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// All of it, to look into without checking anything again.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        root(&self.bytes)
    }

    /// The value of `key`, to look into without checking anything again.
    #[must_use]
    pub fn node(&self, key: &str) -> Option<Node<'_>> {
        let member = self.member(key)?;
        Some(Node::new(&self.bytes, member.value.range()))
    }

    /// The text of the value of `key`, sharing the document's memory.
    #[must_use]
    pub fn raw(&self, key: &str) -> Option<Bytes> {
        let member = self.member(key)?;
        Some(self.bytes.slice(member.value.range()))
    }

    /// The value of `key` if it is a string; borrowed unless it has escapes.
    #[must_use]
    pub fn string(&self, key: &str) -> Option<Cow<'_, str>> {
        unquote(self.text(key)?)
    }

    /// Whether the value of `key` is a string that stands for `text`.
    #[must_use]
    pub fn says(&self, key: &str, text: &str) -> bool {
        let spelt = self.text(key).and_then(inside_quotes);
        // Nearly all strings are spelt as they read.
        let is_plain = spelt == Some(text.as_bytes()) && !text.contains('\\');
        is_plain || spelt.is_some() && self.string(key).as_deref() == Some(text)
    }

    /// The value of `key` if it is `true` or `false`.
    #[must_use]
    pub fn boolean(&self, key: &str) -> Option<bool> {
        match self.text(key)? {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// What kind of value `key` has, `None` where there is no such key.
    #[must_use]
    pub fn kind(&self, key: &str) -> Option<Kind> {
        self.text(key).map(kind_of)
    }

    /// Every member in order: its key and the text of its value.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'_, str>, Bytes)> {
        self.members.iter().map(|member| {
            let value = self.bytes.slice(member.value.range());
            (member.key.text(&self.bytes), value)
        })
    }

    /// A changed copy is made by splicing; what is not touched stays byte for byte.
    #[must_use]
    pub fn edit(&self) -> Edit<'_> {
        Edit::new(self)
    }

    /// Whether the other document says the same, as [`equivalent`] tells it.
    #[must_use]
    pub fn is_equivalent(&self, other: &Self) -> bool {
        let is_same = |(one, two): (&Member, &Member)| {
            one.key.text(&self.bytes) == two.key.text(&other.bytes)
                && equivalent(
                    &self.bytes[one.value.range()],
                    &other.bytes[two.value.range()],
                )
        };
        self.members.len() == other.members.len()
            && self.members.iter().zip(&other.members).all(is_same)
    }

    fn text(&self, key: &str) -> Option<&[u8]> {
        self.member(key)
            .map(|member| &self.bytes[member.value.range()])
    }

    fn member(&self, key: &str) -> Option<&Member> {
        self.members
            .iter()
            .find(|member| member.key.is(&self.bytes, key))
    }
}

/// Without the text, which may be somebody's prompt.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({} bytes)", self.bytes.len())
    }
}

/// Checks a JSON array as [`Document::parse`] checks an object; gives the text of each element.
///
/// # Errors
///
/// The first thing that is wrong with the text, or [`Reason::NotAnArray`].
pub fn elements(bytes: &Bytes) -> Result<Vec<Bytes>, InvalidJson> {
    elements_around(bytes, 0)
}

/// As [`elements`], where `levels` of ours, the array among them, are wrapped around what may be as deep as a document.
///
/// # Errors
///
/// As [`elements`].
pub fn elements_around(bytes: &Bytes, levels: usize) -> Result<Vec<Bytes>, InvalidJson> {
    let mut scanner = Scanner::start(bytes)?.around(levels);
    if scanner.peek() == Some(b'[') {
        let mut found = Vec::new();
        scanner.elements(|element| found.push(bytes.slice(element.range())))?;
        scanner.end()?;
        return Ok(found);
    }
    Err(scanner.other_kind(Reason::NotAnArray))
}

/// Checks a JSON value of any kind as [`Document::parse`] checks an object.
///
/// # Errors
///
/// The first thing that is wrong with the text.
pub fn validate(bytes: &[u8]) -> Result<(), InvalidJson> {
    let mut scanner = Scanner::start(bytes)?;
    scanner.value()?;
    scanner.end()
}

/// The text of the JSON string in `raw`, `None` where `raw` is something else. In a string that did
/// not come through the gate, half a surrogate pair becomes the replacement character.
#[must_use]
pub fn unquote(raw: &[u8]) -> Option<Cow<'_, str>> {
    let inner = inside_quotes(raw)?;
    str::from_utf8(inner).ok().map(strings::unescape)
}

fn inside_quotes(raw: &[u8]) -> Option<&[u8]> {
    raw.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// `text` as a JSON string with its quotes.
#[must_use]
pub fn quote(text: &str) -> Bytes {
    let mut written = Vec::with_capacity(text.len() + 2);
    write_quoted(&mut written, text);
    Bytes::from(written)
}

/// Appends what stands between the quotes of a JSON string that says `text`.
pub fn write_escaped(written: &mut Vec<u8>, text: &str) {
    strings::write_escaped(written, text);
}

/// Appends `text` as a JSON string with its quotes.
pub(super) fn write_quoted(written: &mut Vec<u8>, text: &str) {
    written.push(b'"');
    strings::write_escaped(written, text);
    written.push(b'"');
}

#[cfg(test)]
mod tests;
