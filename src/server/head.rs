//! A strict reading of the raw HTTP/1 bytes of one connection; pure, does no IO.
//!
//! hyper forgives what two parsers may understand differently (two lengths, two hosts, bare line
//! feeds). Bytes pass this check before hyper sees them, so that what is forgiven there never
//! gets there. A line is judged when its line feed arrives: until then hyper cannot act on it,
//! and the judgement does not depend on how the bytes were split.

use std::mem;

use memchr::memchr;

mod chunk;
mod field;
mod request_line;
#[cfg(test)]
mod tests;

use field::{Fields, Framing};

/// What a request's head may take, blank line and line ends included.
pub(super) const HEAD_LIMIT_BYTES: usize = 64 * 1024;
/// How many fields a head may have.
pub(super) const FIELD_LIMIT: usize = 100;
const TRAILER_LIMIT_BYTES: usize = 16 * 1024;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PREFACE_LINE: &[u8] = b"PRI * HTTP/2.0";

/// What is to be done with bytes that were fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They may be passed on.
    Pass,
    /// Those before `at` may be passed on; nothing from there on, now or later.
    Refuse {
        /// Where the first refused byte stands in the bytes that were fed.
        at: usize,
    },
}

/// Where in a message a connection stands, which decides how long it may stay there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No byte of a request has come, or the last request came completely.
    BetweenMessages,
    /// A head has begun and not ended.
    InHead,
    /// A head has come and its body has not ended.
    InBody,
}

/// Something is not as the grammar wants it.
#[derive(Debug, PartialEq, Eq)]
struct Malformed;

#[derive(Debug)]
enum State {
    RequestLine { after_blank: bool },
    Fields,
    Body { left: u64 },
    ChunkSize,
    ChunkData { left: u64 },
    ChunkReturn,
    ChunkFeed,
    Trailers,
    Preface { matched: usize },
    Http2,
    Refused,
}

/// Follows the requests of one connection, one after the other.
#[derive(Debug)]
pub struct HeadCheck {
    state: State,
    /// The beginning of a line that has not ended.
    line: Vec<u8>,
    /// How many more bytes may come in lines before the state changes.
    room: usize,
    fields: Fields,
    messages: u64,
}

impl Default for HeadCheck {
    fn default() -> Self {
        Self::new()
    }
}

impl HeadCheck {
    /// A check for a connection on which nothing has come.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::RequestLine { after_blank: false },
            line: Vec::new(),
            room: HEAD_LIMIT_BYTES,
            fields: Fields::default(),
            messages: 0,
        }
    }

    /// Judges the next bytes of the connection.
    pub fn feed(&mut self, bytes: &[u8]) -> Verdict {
        let mut start = 0;
        while start < bytes.len() {
            match self.step(&bytes[start..]) {
                Ok(used) => start += used,
                Err(good) => {
                    self.state = State::Refused;
                    return Verdict::Refuse { at: start + good };
                }
            }
        }
        Verdict::Pass
    }

    /// Where in a message the connection stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.state {
            _ if self.is_between_messages() => Phase::BetweenMessages,
            State::Http2 | State::Refused => Phase::BetweenMessages,
            State::RequestLine { .. } | State::Fields | State::Preface { .. } => Phase::InHead,
            _ => Phase::InBody,
        }
    }

    /// Whether all that has begun has come completely. Never said of HTTP/2, nor of what was refused.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        matches!(self.state, State::RequestLine { .. }) && self.line.is_empty()
    }

    /// How many messages have come completely.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Whether the connection speaks HTTP/2, which is not judged here.
    #[must_use]
    pub fn is_http2(&self) -> bool {
        matches!(self.state, State::Http2)
    }

    /// Takes some of `rest`, which is not empty: how many bytes, or how many of them are good.
    fn step(&mut self, rest: &[u8]) -> Result<usize, usize> {
        match self.state {
            State::RequestLine { .. } | State::Fields | State::ChunkSize | State::Trailers => {
                self.step_line(rest)
            }
            State::Body { left } => Ok(self.step_body(rest, left)),
            State::ChunkData { left } => Ok(self.step_chunk_data(rest, left)),
            State::ChunkReturn => self.step_byte(rest, b'\r', State::ChunkFeed),
            State::ChunkFeed => {
                self.room = chunk::SIZE_LINE_LIMIT_BYTES;
                self.step_byte(rest, b'\n', State::ChunkSize)
            }
            State::Preface { matched } => self.step_preface(rest[0], matched),
            State::Http2 => Ok(rest.len()),
            State::Refused => Err(0),
        }
    }

    fn step_line(&mut self, rest: &[u8]) -> Result<usize, usize> {
        let seen = &rest[..rest.len().min(self.room)];
        match memchr(b'\n', seen) {
            Some(end) => {
                self.room -= end + 1;
                let judged = self.end_line(&seen[..end]);
                judged.map(|()| end + 1).map_err(|Malformed| end)
            }
            None if rest.len() > self.room => Err(self.room),
            None => {
                self.room -= rest.len();
                self.line.extend_from_slice(rest);
                Ok(rest.len())
            }
        }
    }

    fn end_line(&mut self, tail: &[u8]) -> Result<(), Malformed> {
        if self.line.is_empty() {
            return self.on_line(tail);
        }
        let mut line = mem::take(&mut self.line);
        line.extend_from_slice(tail);
        self.on_line(&line)
    }

    fn on_line(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let line = line.strip_suffix(b"\r").ok_or(Malformed)?;
        match self.state {
            State::RequestLine { after_blank } => self.on_request_line(line, after_blank),
            State::Fields if line.is_empty() => self.end_head(),
            State::Fields => self.fields.add(line),
            State::ChunkSize => {
                let size = chunk::parse_size_line(line)?;
                self.begin_chunk(size);
                Ok(())
            }
            State::Trailers if line.is_empty() => {
                self.end_message();
                self.fields.check_count()
            }
            _ => self.fields.add_trailer(line),
        }
    }

    fn on_request_line(&mut self, line: &[u8], after_blank: bool) -> Result<(), Malformed> {
        if line.is_empty() && !after_blank {
            // One blank line before a request is a habit of old clients (RFC 9112, 2.2).
            self.state = State::RequestLine { after_blank: true };
        } else if line == PREFACE_LINE && self.messages == 0 && !after_blank {
            let matched = PREFACE_LINE.len() + 2;
            self.state = State::Preface { matched };
        } else {
            self.fields = Fields::of(request_line::parse(line)?);
            self.state = State::Fields;
        }
        Ok(())
    }

    fn end_head(&mut self) -> Result<(), Malformed> {
        match self.fields.finish()? {
            Framing::Length(0) => self.end_message(),
            Framing::Length(left) => self.state = State::Body { left },
            Framing::Chunked => {
                self.room = chunk::SIZE_LINE_LIMIT_BYTES;
                self.state = State::ChunkSize;
            }
        }
        Ok(())
    }

    fn begin_chunk(&mut self, size: u64) {
        if size > 0 {
            self.state = State::ChunkData { left: size };
        } else {
            self.room = TRAILER_LIMIT_BYTES;
            self.fields = Fields::default();
            self.state = State::Trailers;
        }
    }

    fn end_message(&mut self) {
        self.messages += 1;
        self.room = HEAD_LIMIT_BYTES;
        self.state = State::RequestLine { after_blank: false };
    }

    fn step_body(&mut self, rest: &[u8], left: u64) -> usize {
        let (used, left) = skip(rest, left);
        self.state = State::Body { left };
        if left == 0 {
            self.end_message();
        }
        used
    }

    fn step_chunk_data(&mut self, rest: &[u8], left: u64) -> usize {
        let (used, left) = skip(rest, left);
        self.state = match left {
            0 => State::ChunkReturn,
            left => State::ChunkData { left },
        };
        used
    }

    fn step_byte(&mut self, rest: &[u8], expected: u8, next: State) -> Result<usize, usize> {
        if rest[0] != expected {
            return Err(0);
        }
        self.state = next;
        Ok(1)
    }

    fn step_preface(&mut self, byte: u8, matched: usize) -> Result<usize, usize> {
        if PREFACE[matched] != byte {
            return Err(0);
        }
        self.state = match matched + 1 {
            all if all == PREFACE.len() => State::Http2,
            matched => State::Preface { matched },
        };
        Ok(1)
    }
}

/// How many bytes of `rest` belong to a run of `left` bytes, and how many are left then.
fn skip(rest: &[u8], left: u64) -> (usize, u64) {
    let used = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
    (used, left - used as u64)
}
