//! One walk over a text that checks all of it and remembers only where its parts are.

use std::str;

use super::keys::{self, Key};
use super::tape::Entry;
use super::{InvalidJson, MAX_DEPTH, Reason, Span, strings};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Room on a tape for an event of a stream.
const USUAL_ENTRIES: usize = 48;

/// A place in a text, and the keys of the objects that are still open there.
pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    deepest: usize,
    keys: Vec<Key>,
    /// Where all values are, if that is wanted.
    tape: Option<Vec<Entry>>,
}

impl<'a> Scanner<'a> {
    /// A scanner at the first byte that is no whitespace.
    pub(super) fn start(bytes: &'a [u8]) -> Result<Self, InvalidJson> {
        let mut scanner = Self {
            bytes,
            at: 0,
            depth: 0,
            deepest: MAX_DEPTH,
            keys: Vec::with_capacity(16),
            tape: None,
        };
        if bytes.starts_with(BYTE_ORDER_MARK) {
            return Err(scanner.invalid(Reason::ByteOrderMark));
        }
        if u32::try_from(bytes.len()).is_err() {
            return Err(scanner.invalid(Reason::TooLong));
        }
        scanner.skip_whitespace();
        match scanner.peek() {
            Some(_) => Ok(scanner),
            None => Err(scanner.invalid_at(0, Reason::Empty)),
        }
    }

    /// Lets so many levels more be open at once.
    pub(super) fn around(mut self, levels: usize) -> Self {
        self.deepest += levels;
        self
    }

    /// Notes where all keys and values are from here on.
    pub(super) fn noting(mut self) -> Self {
        self.tape = Some(Vec::with_capacity(USUAL_ENTRIES));
        self
    }

    /// What was noted.
    pub(super) fn into_tape(self) -> Vec<Entry> {
        self.tape.unwrap_or_default()
    }

    /// Any value, and where it is.
    pub(super) fn value(&mut self) -> Result<Span, InvalidJson> {
        let start = self.at;
        let entry = self.note();
        match self.peek() {
            Some(b'"') => drop(self.string()?),
            Some(b'{') => self.members(|_, _| ())?,
            Some(b'[') => self.elements(|_| ())?,
            Some(b't') => self.word(b"true")?,
            Some(b'f') => self.word(b"false")?,
            Some(b'n') => self.word(b"null")?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => return Err(self.no_value()),
        }
        let span = self.span(start, self.at);
        self.end_note(entry, span, false);
        Ok(span)
    }

    /// Makes room on the tape for what begins here: whoever contains others stands before them.
    fn note(&mut self) -> usize {
        let Some(tape) = &mut self.tape else {
            return 0;
        };
        tape.push(Entry::default());
        tape.len() - 1
    }

    fn end_note(&mut self, entry: usize, span: Span, is_escaped: bool) {
        if let Some(tape) = &mut self.tape {
            let next = tape.len();
            tape[entry] = Entry {
                span,
                is_escaped,
                next,
            };
        }
    }

    /// An object; its members are reported as they end.
    pub(super) fn members(
        &mut self,
        mut on_member: impl FnMut(Key, Span),
    ) -> Result<(), InvalidJson> {
        self.open()?;
        let first_key = self.keys.len();
        let mut more = !self.closes(b'}');
        while more {
            let key = self.key()?;
            let value = self.value()?;
            self.keys.push(key);
            on_member(key, value);
            more = self.comma_or(b'}')?;
        }
        self.refuse_duplicate(first_key)?;
        self.depth -= 1;
        Ok(())
    }

    /// An array; its elements are reported as they end.
    pub(super) fn elements(&mut self, mut on_element: impl FnMut(Span)) -> Result<(), InvalidJson> {
        self.open()?;
        let mut more = !self.closes(b']');
        while more {
            let element = self.value()?;
            on_element(element);
            more = self.comma_or(b']')?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Nothing but whitespace may follow.
    pub(super) fn end(&mut self) -> Result<(), InvalidJson> {
        self.skip_whitespace();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.invalid(Reason::TrailingData)),
        }
    }

    /// Why a value of the wrong kind is refused: where it is no JSON at all, that is said instead.
    pub(super) fn other_kind(&mut self, reason: Reason) -> InvalidJson {
        let start = self.at;
        match self.value().and_then(|_| self.end()) {
            Ok(()) => self.invalid_at(start, reason),
            Err(invalid) => invalid,
        }
    }

    /// The byte that comes next.
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn open(&mut self) -> Result<(), InvalidJson> {
        if self.depth == self.deepest {
            return Err(self.invalid(Reason::TooDeep));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Steps over `close` where an object or array is empty.
    fn closes(&mut self, close: u8) -> bool {
        self.skip_whitespace();
        let closes = self.peek() == Some(close);
        self.at += usize::from(closes);
        closes
    }

    /// Steps over a comma and says yes, or over `close` and says no.
    fn comma_or(&mut self, close: u8) -> Result<bool, InvalidJson> {
        self.skip_whitespace();
        let more = match self.peek() {
            Some(b',') => true,
            Some(byte) if byte == close => false,
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        if more {
            self.skip_whitespace();
        }
        Ok(more)
    }

    /// A key with its colon.
    fn key(&mut self) -> Result<Key, InvalidJson> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        let start = self.at;
        let entry = self.note();
        let key = self.string()?;
        self.end_note(entry, key.span, key.escaped);
        if key.is_reserved(self.bytes) {
            return Err(self.invalid_at(start, Reason::ReservedKey));
        }
        self.skip_whitespace();
        if self.peek() != Some(b':') {
            return Err(self.unexpected());
        }
        self.at += 1;
        self.skip_whitespace();
        Ok(key)
    }

    fn refuse_duplicate(&mut self, first_key: usize) -> Result<(), InvalidJson> {
        let duplicate = keys::duplicate(&mut self.keys[first_key..], self.bytes);
        self.keys.truncate(first_key);
        match duplicate {
            None => Ok(()),
            // The offset of the quote, where a reader of the message looks for the key.
            Some(offset) => Err(self.invalid_at(offset - 1, Reason::DuplicateKey)),
        }
    }

    fn string(&mut self) -> Result<Key, InvalidJson> {
        self.at += 1;
        let start = self.at;
        let mut ascii = true;
        let mut escaped = false;
        loop {
            let run = strings::plain_run(&self.bytes[self.at..]);
            self.at += run.length;
            ascii &= run.ascii;
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.invalid(Reason::ControlCharacter)),
                None => return Err(self.unexpected()),
            }
            escaped = true;
        }
        let span = self.span(start, self.at);
        self.at += 1;
        if !ascii {
            self.check_utf8(span)?;
        }
        Ok(Key { span, escaped })
    }

    fn check_utf8(&self, span: Span) -> Result<(), InvalidJson> {
        match str::from_utf8(&self.bytes[span.range()]) {
            Ok(_) => Ok(()),
            Err(error) => {
                let offset = span.range().start + error.valid_up_to();
                Err(self.invalid_at(offset, Reason::InvalidUtf8))
            }
        }
    }

    fn escape(&mut self) -> Result<(), InvalidJson> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => self.at += self.unicode_escape_length()?,
            Some(_) => return Err(self.invalid(Reason::InvalidEscape)),
            None => return Err(self.invalid_at(self.bytes.len(), Reason::UnexpectedEnd)),
        }
        Ok(())
    }

    fn unicode_escape_length(&self) -> Result<usize, InvalidJson> {
        match self.unit(self.at) {
            None => Err(self.invalid(Reason::InvalidEscape)),
            Some(0xD800..0xDC00) => match self.unit(self.at + 6) {
                Some(0xDC00..0xE000) => Ok(12),
                _ => Err(self.invalid(Reason::LoneSurrogate)),
            },
            Some(0xDC00..0xE000) => Err(self.invalid(Reason::LoneSurrogate)),
            Some(_) => Ok(6),
        }
    }

    /// The UTF-16 unit of an escape `\uXXXX` at `at`.
    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |unit, digit| {
            Some(unit * 16 + char::from(*digit).to_digit(16)?)
        })
    }

    fn number(&mut self) -> Result<(), InvalidJson> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.bytes[self.at..].starts_with(b"Infinity") {
            return Err(self.invalid_at(start, Reason::NotFinite));
        }
        let leading = self.peek();
        let whole = self.digits();
        let spelt = whole == 1 || (whole > 1 && leading != Some(b'0'));
        if spelt && self.fraction() && self.exponent() {
            return Ok(());
        }
        Err(self.invalid_at(start, Reason::InvalidNumber))
    }

    fn fraction(&mut self) -> bool {
        if self.peek() != Some(b'.') {
            return true;
        }
        self.at += 1;
        self.digits() > 0
    }

    fn exponent(&mut self) -> bool {
        if !matches!(self.peek(), Some(b'e' | b'E')) {
            return true;
        }
        self.at += 1;
        self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
        self.digits() > 0
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn word(&mut self, word: &[u8]) -> Result<(), InvalidJson> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        if word.starts_with(rest) {
            return Err(self.invalid_at(self.bytes.len(), Reason::UnexpectedEnd));
        }
        Err(self.unexpected())
    }

    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        let narrow = |at| u32::try_from(at).expect("longer texts are refused at the start");
        Span {
            start: narrow(start),
            end: narrow(end),
        }
    }

    fn no_value(&self) -> InvalidJson {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(b"NaN") || rest.starts_with(b"Infinity") {
            return self.invalid(Reason::NotFinite);
        }
        self.unexpected()
    }

    fn unexpected(&self) -> InvalidJson {
        match self.peek() {
            None => self.invalid(Reason::UnexpectedEnd),
            Some(_) => self.invalid(Reason::UnexpectedByte),
        }
    }

    fn invalid(&self, reason: Reason) -> InvalidJson {
        self.invalid_at(self.at, reason)
    }

    fn invalid_at(&self, offset: usize, reason: Reason) -> InvalidJson {
        InvalidJson { offset, reason }
    }
}
