//! Server-sent events: cut a stream into whole events, read them, write them.
//!
//! Two readers for two needs. [`EventEnds`] lets a stream pass as it came and only keeps half
//! events back. [`Decoder`] hands out event by event, for filters.

mod carry;
mod decoder;
mod ends;
mod event;
mod lines;

use std::error::Error;
use std::fmt;

use bytes::Bytes;

pub use decoder::Decoder;
pub use ends::EventEnds;
pub use event::Event;
use lines::Lines;

/// The event that ends a stream of completions.
pub const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

/// The longest event that is let through.
pub const MAX_EVENT_BYTES: usize = 8 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// An event grew beyond [`MAX_EVENT_BYTES`]; the stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTooLong;

impl fmt::Display for EventTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event is longer than {MAX_EVENT_BYTES} bytes")
    }
}

impl Error for EventTooLong {}

/// An event that carries `data`.
#[must_use]
pub fn encode_data(data: &[u8]) -> Bytes {
    let mut written = Vec::with_capacity(data.len() + 8);
    write_data(&mut written, data);
    written.push(b'\n');
    Bytes::from(written)
}

/// Writes `data` as one line. Data with line ends, which would forge events, takes a line for each.
fn write_data(written: &mut Vec<u8>, data: &[u8]) {
    if memchr::memchr2(b'\n', b'\r', data).is_none() {
        return write_line(written, data);
    }
    for line in Lines::new(data) {
        write_line(written, line.text(data));
    }
}

fn write_line(written: &mut Vec<u8>, text: &[u8]) {
    written.extend_from_slice(b"data: ");
    written.extend_from_slice(text);
    written.push(b'\n');
}

/// Whether `data` is the end marker.
fn is_done(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]"
}

#[cfg(test)]
mod tests;
