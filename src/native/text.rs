//! Texts in which something is looked for and replaced, whole or in pieces.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use super::{Changed, Refusal};
use crate::wire::json::{Node, write_escaped};

/// What a finder may look at before the place where it looks, in characters.
const LOOK_BEHIND: usize = 2;

/// Looks for something in texts. It holds none of them.
pub(super) trait Finder: fmt::Debug + Send + Sync {
    /// The matches from `start` on that no further text can change, in order, and where the part of the text ends of
    /// which that can be said; with `is_last` no further text comes. A match that begins in this part may end behind it.
    fn scan(&self, text: &str, start: usize, is_last: bool) -> (Vec<Match>, usize);

    /// What stands in the place of a match.
    ///
    /// # Errors
    ///
    /// If a text with a match is refused.
    fn replacement(&self, found: &Match) -> Result<Cow<'_, str>, Refusal>;
}

/// A place in a text, and which of the things that are looked for stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// The place, in bytes.
    pub(super) range: Range<usize>,
    /// What stands there, as its finder knows it.
    pub(super) what: &'static str,
}

/// What a finder makes of a string of JSON: the string with its matches replaced, `None` if it has none.
pub(super) fn rewrite(finder: &dyn Finder, string: Node<'_>) -> Changed {
    let Some(text) = string.string() else {
        return Ok(None);
    };
    let (matches, _) = finder.scan(&text, 0, true);
    if matches.is_empty() {
        return Ok(None);
    }
    let keep: fn(&mut Vec<u8>, &str) = match text {
        // Without escapes it is written as it is meant.
        Cow::Borrowed(_) => |written, text| written.extend_from_slice(text.as_bytes()),
        Cow::Owned(_) => write_escaped,
    };
    let mut written = Vec::with_capacity(string.raw().len() + 16);
    written.push(b'"');
    let mut start = 0;
    for found in &matches {
        keep(&mut written, &text[start..found.range.start]);
        write_escaped(&mut written, &finder.replacement(found)?);
        start = found.range.end;
    }
    keep(&mut written, &text[start..]);
    written.push(b'"');
    Ok(Some(written.into()))
}

/// One text that comes in pieces.
pub(super) trait Scanner: Send {
    /// Takes a piece and gives what can be given out; with `is_last` all of it.
    ///
    /// # Errors
    ///
    /// If the text is refused.
    fn feed(&mut self, finder: &dyn Finder, piece: &str, is_last: bool) -> Result<String, Refusal>;
}

/// A plain text that comes in pieces.
#[derive(Default)]
pub(super) struct PlainScanner {
    /// What is not out yet, and a little before it for the finder to look at.
    text: String,
    /// Where the part begins that is not out.
    start: usize,
}

impl Scanner for PlainScanner {
    fn feed(&mut self, finder: &dyn Finder, piece: &str, is_last: bool) -> Result<String, Refusal> {
        self.text.push_str(piece);
        let (matches, end) = finder.scan(&self.text, self.start, is_last);
        let mut given = String::with_capacity(piece.len() + 16);
        for found in &matches {
            given.push_str(&self.text[self.start..found.range.start]);
            given.push_str(&finder.replacement(found)?);
            self.start = found.range.end;
        }
        let end = end.max(self.start);
        given.push_str(&self.text[self.start..end]);
        let cut = look_behind(&self.text, end);
        self.text.drain(..cut);
        self.start = end - cut;
        Ok(given)
    }
}

/// Where the part begins that must be kept before `end`.
pub(super) fn look_behind(text: &str, end: usize) -> usize {
    let mut before = text[..end].char_indices().rev();
    before.nth(LOOK_BEHIND - 1).map_or(0, |(at, _)| at)
}

/// The character before a place.
pub(super) fn before(text: &str, at: usize) -> Option<char> {
    text[..at].chars().next_back()
}

/// The character at a place.
pub(super) fn at(text: &str, at: usize) -> Option<char> {
    text[at..].chars().next()
}
