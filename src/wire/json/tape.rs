//! A checked text with the places of all its values, for texts that are looked into more than once.

use std::fmt;

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
    entries: Vec<Entry>,
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
        Ok(Self { bytes, entries })
    }

    /// A text that has passed the gate already, or that was made of such.
    #[must_use]
    pub fn checked(bytes: Bytes) -> Self {
        Self::parse(bytes.clone()).unwrap_or(Self {
            bytes,
            entries: Vec::new(),
        })
    }

    /// A valid text, and where everything in it is.
    pub(super) fn of(bytes: Bytes, entries: Vec<Entry>) -> Self {
        Self { bytes, entries }
    }

    /// Where everything is.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The whole text as it came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// All of it, to look into.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node::noted(&self.bytes, &self.entries, 0).unwrap_or_else(|| root(&self.bytes))
    }
}

/// Without the text, which may be somebody's answer.
impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tape({} bytes)", self.bytes.len())
    }
}
