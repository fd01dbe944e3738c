//! Changes to a document, made by splicing: to the members of its top level, and to any place within their values.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use super::{Document, Member, write_quoted};

/// Changes to a [`Document`] that are made all at once in [`Edit::finish`]. Of two changes to one
/// key the later one counts.
pub struct Edit<'a> {
    document: &'a Document,
    changes: Vec<(String, Option<Bytes>)>,
    splices: Splices,
}

impl<'a> Edit<'a> {
    pub(super) fn new(document: &'a Document) -> Self {
        Self {
            document,
            changes: Vec::new(),
            splices: Splices::default(),
        }
    }

    /// Gives `key` the JSON value in `raw`, where it stands now or else at the end.
    pub fn set(&mut self, key: &str, raw: Bytes) -> &mut Self {
        self.change(key, Some(raw))
    }

    /// Gives `key` the string `text`.
    pub fn set_string(&mut self, key: &str, text: &str) -> &mut Self {
        self.set(key, super::quote(text))
    }

    /// Takes `key` out, if it is there.
    pub fn remove(&mut self, key: &str) -> &mut Self {
        self.change(key, None)
    }

    /// Changes within the values of members. A change to the member itself counts before them.
    pub fn splices(&mut self) -> &mut Splices {
        &mut self.splices
    }

    /// Whether nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.splices.is_empty()
    }

    /// The changed text, `None` without changes.
    #[must_use]
    pub fn changed(&self) -> Option<Bytes> {
        (!self.is_empty()).then(|| self.finish())
    }

    /// The changed text. Without changes it is the document's own memory.
    #[must_use]
    pub fn finish(&self) -> Bytes {
        if self.is_empty() {
            return self.document.bytes.clone();
        }
        let mut written = Vec::with_capacity(self.length_bound());
        let first = self.document.members.first();
        written.extend_from_slice(&self.source()[..first.map_or(self.open(), start_of)]);
        let kept = self.write_members(&mut written);
        self.write_new(&mut written, kept);
        let last = self.document.members.last();
        written.extend_from_slice(&self.source()[last.map_or(self.open(), end_of)..]);
        Bytes::from(written)
    }

    fn change(&mut self, key: &str, value: Option<Bytes>) -> &mut Self {
        match self.changes.iter_mut().find(|(other, _)| other == key) {
            Some((_, before)) => *before = value,
            None => self.changes.push((key.to_owned(), value)),
        }
        self
    }

    fn source(&self) -> &'a [u8] {
        &self.document.bytes
    }

    /// The offset behind the opening brace.
    fn open(&self) -> usize {
        memchr::memchr(b'{', self.source()).map_or(0, |at| at + 1)
    }

    fn length_bound(&self) -> usize {
        let length_of = |(key, value): &(String, Option<Bytes>)| {
            key.len() + 8 + value.as_ref().map_or(0, Bytes::len)
        };
        let changes = self.changes.iter().map(length_of).sum::<usize>();
        self.source().len() + changes + self.splices.length()
    }

    /// Writes the document's own members, each with what stood between it and the one before. Says
    /// whether any was left.
    fn write_members(&self, written: &mut Vec<u8>) -> bool {
        let mut kept = false;
        let mut separator_start = self.document.members.first().map_or(0, start_of);
        for member in &self.document.members {
            let separator = separator_start..start_of(member);
            separator_start = end_of(member);
            let change = self.change_of(member);
            if let Some(None) = change {
                continue;
            }
            if kept {
                written.extend_from_slice(&self.source()[separator]);
            }
            self.write_member(written, member, change.flatten());
            kept = true;
        }
        kept
    }

    fn write_member(&self, written: &mut Vec<u8>, member: &Member, value: Option<&Bytes>) {
        let value_start = member.value.range().start;
        written.extend_from_slice(&self.source()[start_of(member)..value_start]);
        match value {
            Some(value) => written.extend_from_slice(value),
            None => self
                .splices
                .write(written, self.source(), member.value.range()),
        }
    }

    /// Writes the members that the document does not have yet.
    fn write_new(&self, written: &mut Vec<u8>, mut comma: bool) {
        for (key, value) in &self.changes {
            let Some(value) = value else { continue };
            if self.document.member(key).is_some() {
                continue;
            }
            if comma {
                written.push(b',');
            }
            write_quoted(written, key);
            written.push(b':');
            written.extend_from_slice(value);
            comma = true;
        }
    }

    /// What happens to `member`: nothing, `Some(None)` for its removal, or a new value.
    fn change_of(&self, member: &Member) -> Option<Option<&Bytes>> {
        self.changes
            .iter()
            .find(|(key, _)| member.key.is(self.source(), key))
            .map(|(_, value)| value.as_ref())
    }
}

/// Changes to places of a text, made all at once.
#[derive(Default)]
pub struct Splices {
    /// In the order of their places.
    places: Vec<(Range<usize>, Bytes)>,
}

impl Splices {
    /// Puts `raw` in the place of what stands at `place`, which is that of a [`super::Node`], or at one of its ends. No two
    /// places may overlap.
    pub fn add(&mut self, place: Range<usize>, raw: Bytes) {
        let before = |(other, _): &(Range<usize>, Bytes)| other.start <= place.start;
        let at = self.places.partition_point(before);
        self.places.insert(at, (place, raw));
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The text that they make of `source`, `None` if there are none.
    #[must_use]
    pub fn applied(&self, source: &[u8]) -> Option<Bytes> {
        if self.is_empty() {
            return None;
        }
        let mut written = Vec::with_capacity(source.len() + self.length());
        self.write(&mut written, source, 0..source.len());
        Some(written.into())
    }

    /// Writes a part of `source` as it stands but for what is spliced into it.
    fn write(&self, written: &mut Vec<u8>, source: &[u8], part: Range<usize>) {
        let first = self
            .places
            .partition_point(|(place, _)| place.start < part.start);
        let mut at = part.start;
        for (place, raw) in &self.places[first..] {
            if place.end > part.end || place.start < at {
                break;
            }
            written.extend_from_slice(&source[at..place.start]);
            written.extend_from_slice(raw);
            at = place.end;
        }
        written.extend_from_slice(&source[at..part.end]);
    }

    /// How much they write.
    fn length(&self) -> usize {
        self.places.iter().map(|(_, raw)| raw.len()).sum()
    }
}

/// Without the values, which may be somebody's answer.
impl fmt::Debug for Splices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.places.iter().map(|(place, _)| place);
        f.debug_list().entries(places).finish()
    }
}

/// The offset of the quote before a member's key.
fn start_of(member: &Member) -> usize {
    member.key.span.range().start - 1
}

fn end_of(member: &Member) -> usize {
    member.value.range().end
}

/// Without the values, which may be somebody's prompt.
impl fmt::Debug for Edit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.changes.iter().map(|(key, _)| key);
        f.debug_set().entries(keys).finish()
    }
}
