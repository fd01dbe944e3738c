//! JSON text that comes in pieces, as the arguments of tool calls do: seen through its escapes, and kept JSON.

use super::Refusal;
use super::text::{Finder, Match, Scanner, look_behind};
use crate::wire::json::quote;

/// `\uXXXX`: what is shorter may still become one.
const LONGEST_ESCAPE_BYTES: usize = 6;

/// One character of a JSON text.
struct Cell {
    /// Where it begins in the meaning.
    meant_at: usize,
    /// Where it begins as it is written.
    written_at: usize,
    /// Whether it stands in a string.
    in_string: bool,
}

/// A JSON text that comes in pieces. Strings are read as what they mean, so that `\u0040` is an @.
#[derive(Default)]
pub(super) struct JsonScanner {
    /// What the text means, as far as it is not out, and a little before it.
    meant: String,
    /// The same as it is written.
    written: String,
    cells: Vec<Cell>,
    /// Where the part of the meaning begins that is not out.
    start: usize,
    /// An escape that is not complete yet.
    unread: String,
    in_string: bool,
}

impl Scanner for JsonScanner {
    fn feed(&mut self, finder: &dyn Finder, piece: &str, is_last: bool) -> Result<String, Refusal> {
        self.read(piece, is_last);
        let (matches, end) = finder.scan(&self.meant, self.start, is_last);
        let mut given = String::with_capacity(piece.len() + 16);
        for found in &matches {
            given.push_str(self.source(self.start, found.range.start));
            given.push_str(&self.replacement(finder, found)?);
            self.start = found.range.end;
        }
        let end = end.max(self.start);
        given.push_str(self.source(self.start, end));
        self.forget(end);
        Ok(given)
    }
}

impl JsonScanner {
    fn read(&mut self, piece: &str, is_last: bool) {
        self.unread.push_str(piece);
        let unread = std::mem::take(&mut self.unread);
        let mut rest = unread.as_str();
        while let Some(length) = cell_length(rest, is_last) {
            let (cell, after) = rest.split_at(length);
            self.add(cell);
            rest = after;
        }
        self.unread = rest.to_owned();
    }

    fn add(&mut self, cell: &str) {
        if cell == "\"" {
            self.in_string = !self.in_string;
        }
        self.cells.push(Cell {
            meant_at: self.meant.len(),
            written_at: self.written.len(),
            in_string: self.in_string,
        });
        self.meant.push(meaning(cell));
        self.written.push_str(cell);
    }

    /// A stretch of the meaning as it is written.
    fn source(&self, start: usize, end: usize) -> &str {
        &self.written[self.written_at(start)..self.written_at(end)]
    }

    fn written_at(&self, meant: usize) -> usize {
        let cell = self.cells.partition_point(|cell| cell.meant_at < meant);
        self.cells
            .get(cell)
            .map_or(self.written.len(), |cell| cell.written_at)
    }

    /// What stands in the place of a match: part of a string, or a string of its own.
    fn replacement(&self, finder: &dyn Finder, found: &Match) -> Result<String, Refusal> {
        let quoted = quote(&finder.replacement(found)?);
        let quoted = String::from_utf8_lossy(&quoted).into_owned();
        let start = found.range.start;
        let cell = self.cells.partition_point(|cell| cell.meant_at < start);
        let in_string = self.cells.get(cell).is_some_and(|cell| cell.in_string);
        Ok(match in_string {
            true => quoted[1..quoted.len() - 1].to_owned(),
            false => quoted,
        })
    }

    fn forget(&mut self, end: usize) {
        let cut = look_behind(&self.meant, end);
        let written_cut = self.written_at(cut);
        self.cells.retain(|cell| cell.meant_at >= cut);
        for cell in &mut self.cells {
            cell.meant_at -= cut;
            cell.written_at -= written_cut;
        }
        self.meant.drain(..cut);
        self.written.drain(..written_cut);
        self.start = end - cut;
    }
}

/// The length of the character that is written at the front, `None` while it is not complete. A backslash that begins
/// no escape is taken as it stands.
fn cell_length(rest: &str, is_last: bool) -> Option<usize> {
    let first = rest.chars().next()?;
    if first != '\\' {
        return Some(first.len_utf8());
    }
    match rest[1..].chars().next() {
        Some('u') => {
            let digits = rest.as_bytes().get(2..LONGEST_ESCAPE_BYTES);
            let is_escape = digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
            match is_escape {
                true => Some(LONGEST_ESCAPE_BYTES),
                false if !is_last && rest.chars().nth(LONGEST_ESCAPE_BYTES - 1).is_none() => None,
                false => Some(1),
            }
        }
        Some(escaped) => Some(1 + escaped.len_utf8()),
        None if is_last => Some(1),
        None => None,
    }
}

/// What a character means that is written so. Half of a surrogate pair means nothing that anybody looks for.
fn meaning(cell: &str) -> char {
    let mut characters = cell.chars();
    match (characters.next(), characters.next()) {
        (Some('\\'), Some('u')) if cell.len() == LONGEST_ESCAPE_BYTES => {
            let code = u32::from_str_radix(&cell[2..], 16).unwrap_or_default();
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        (Some('\\'), Some('b')) => '\u{8}',
        (Some('\\'), Some('f')) => '\u{c}',
        (Some('\\'), Some('n')) => '\n',
        (Some('\\'), Some('r')) => '\r',
        (Some('\\'), Some('t')) => '\t',
        (Some('\\'), Some(escaped)) => escaped,
        (Some(character), _) => character,
        (None, _) => char::REPLACEMENT_CHARACTER,
    }
}
