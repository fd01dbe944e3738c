//! A checked text with the places of all its values, for texts that are looked into more than once.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::scanner::Scanner;
use super::{InvalidJson, Node, Span, root};

/// Where a key or a value is. A key stands before its value, and whatever has parts before them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    /// Its place; that of a key is without the quotes.
    pub(super) span: Span,
    /// Whether it is a key with escapes.
    pub(super) is_escaped: bool,
    /// The entry of what comes behind it and all of its parts.
    pub(super) next: usize,
}

/// A valid JSON value and where everything in it is.
#[derive(Clone)]
pub struct Tape {
    bytes: Bytes,
    /// Those of the text that it is like, if it is like one.
    entries: Arc<Vec<Entry>>,
    shift: Shift,
}

/// So many bytes further on, from a place on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shift {
    from: u32,
    by: u32,
}

/// Where everything in a text is.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    entries: &'a [Entry],
    shift: Shift,
}

impl Tape {
    /// Checks `bytes` from first to last, as [`super::validate`] does, and remembers where everything is.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with the text.
    pub fn parse(bytes: Bytes) -> Result<Self, InvalidJson> {
        let mut scanner = Scanner::start(&bytes)?.noting();
        scanner.value()?;
        scanner.end()?;
        let entries = scanner.into_tape();
        Ok(Self::of(bytes, entries))
    }

    /// A text that has passed the gate already, or that was made of such.
    #[must_use]
    pub fn checked(bytes: Bytes) -> Self {
        Self::parse(bytes.clone()).unwrap_or_else(|_| Self::of(bytes, Vec::new()))
    }

    fn of(bytes: Bytes, entries: Vec<Entry>) -> Self {
        Self {
            bytes,
            entries: Arc::new(entries),
            shift: Shift::NONE,
        }
    }

    /// A valid text in which everything is where it is in this one, or further on by `shift`.
    pub(super) fn with_text(&self, bytes: Bytes, shift: Shift) -> Self {
        Self {
            bytes,
            entries: Arc::clone(&self.entries),
            shift,
        }
    }

    /// The whole text as it came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// All of it, to look into.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node::noted(&self.bytes, self.places(), 0).unwrap_or_else(|| root(&self.bytes))
    }

    /// Where everything is.
    pub(super) fn places(&self) -> Places<'_> {
        Places {
            entries: &self.entries,
            shift: self.shift,
        }
    }
}

impl Shift {
    /// Everything is where it was.
    pub(super) const NONE: Self = Self {
        from: u32::MAX,
        by: 0,
    };

    /// That of what stands at `from` or behind it where a text of `was` bytes has become one of `is`. Neither is longer than
    /// the gate lets through, and so the sum is right whichever is.
    pub(super) fn new(from: u32, was: usize, is: usize) -> Self {
        let by = (is as u32).wrapping_sub(was as u32);
        Self { from, by }
    }

    fn of(self, place: u32) -> u32 {
        match place >= self.from {
            true => place.wrapping_add(self.by),
            false => place,
        }
    }
}

impl Places<'_> {
    /// Knows of nothing.
    pub(super) const NONE: Self = Self {
        entries: &[],
        shift: Shift::NONE,
    };

    /// How many keys and values there are.
    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    /// An entry.
    pub(super) fn get(&self, entry: usize) -> Option<Entry> {
        let entry = *self.entries.get(entry)?;
        let Span { start, end } = entry.span;
        let span = Span {
            start: self.shift.of(start),
            end: self.shift.of(end),
        };
        Some(Entry { span, ..entry })
    }
}

/// Without the text, which may be somebody's answer.
impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tape({} bytes)", self.bytes.len())
    }
}
