//! The lines of a text, ended by LF, CR or CRLF.

use std::ops::Range;

use memchr::memchr2;

/// Where a line is: its text, and the end of whatever ends it.
pub(super) struct Line {
    pub(super) range: Range<usize>,
    pub(super) end: usize,
}

impl Line {
    pub(super) fn text<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.range.clone()]
    }

    /// The value of a `data` field, `None` for any other line.
    pub(super) fn data<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let rest = self.text(bytes).strip_prefix(b"data")?;
        match rest.strip_prefix(b":") {
            Some(value) => Some(value.strip_prefix(b" ").unwrap_or(value)),
            None => rest.is_empty().then_some(rest),
        }
    }

    pub(super) fn is_blank(&self) -> bool {
        self.range.is_empty()
    }
}

/// The lines of a text in order. The last one may lack its end.
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self::from(bytes, 0)
    }

    /// The lines from offset `at` on, with offsets that count from the start of `bytes`.
    pub(super) fn from(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }
}

impl Iterator for Lines<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let start = self.at;
        let rest = &self.bytes[start..];
        if rest.is_empty() {
            return None;
        }
        let length = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let terminator = match &rest[length..] {
            [] => 0,
            [b'\r', b'\n', ..] => 2,
            _ => 1,
        };
        self.at = start + length + terminator;
        Some(Line {
            range: start..start + length,
            end: self.at,
        })
    }
}
