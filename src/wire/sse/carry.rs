//! Cuts a stream at the ends of events and carries the unfinished rest over to the next piece.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

use super::{EventTooLong, MAX_EVENT_BYTES};

/// What came before the next byte. A line ends with LF, CR or CRLF, and a CR takes effect at once:
/// on a stream of bare CRs nothing would follow that could be waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Between events.
    #[default]
    Between,
    /// Between events, and an LF still belongs to the event before.
    BetweenAfterCr,
    /// At the start of a line within an event.
    LineStart,
    /// The same, and an LF still belongs to the line before.
    LineStartAfterCr,
    /// Within a line.
    Text,
}

impl Place {
    /// The place after a line end byte.
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Text, b'\r') => Self::LineStartAfterCr,
            (Self::Text | Self::LineStartAfterCr, b'\n') => Self::LineStart,
            (_, b'\r') => Self::BetweenAfterCr,
            _ => Self::Between,
        }
    }

    fn is_between(self) -> bool {
        matches!(self, Self::Between | Self::BetweenAfterCr)
    }
}

/// Cuts a stream into pieces that hold whole events only.
#[derive(Default)]
pub(super) struct Carry {
    place: Place,
    /// Bytes of the unfinished event, those in `tail` and those just seen.
    unfinished: usize,
    tail: BytesMut,
}

impl Carry {
    /// The whole events that are there once `chunk` has come. Copies only where an event is spread
    /// over several chunks.
    pub(super) fn push(&mut self, mut chunk: Bytes) -> Result<Option<Bytes>, EventTooLong> {
        let Some(boundary) = self.scan(&chunk)? else {
            self.tail.extend_from_slice(&chunk);
            return Ok(None);
        };
        let rest = chunk.split_off(boundary);
        if !self.tail.is_empty() {
            // Not split off: what is left behind would grow in a buffer that the events keep alive.
            let mut whole = std::mem::take(&mut self.tail);
            whole.extend_from_slice(&chunk);
            chunk = whole.freeze();
        }
        self.tail.extend_from_slice(&rest);
        Ok(Some(chunk))
    }

    /// The unfinished event at the end of the stream.
    pub(super) fn finish(&mut self) -> Option<Bytes> {
        let rest = std::mem::take(&mut self.tail).freeze();
        (!rest.is_empty()).then_some(rest)
    }

    /// The end of the last event that ends in `chunk`.
    fn scan(&mut self, chunk: &[u8]) -> Result<Option<usize>, EventTooLong> {
        let mut boundary = None;
        let mut at = 0;
        while let Some(length) = memchr2(b'\n', b'\r', &chunk[at..]) {
            if length > 0 {
                self.place = Place::Text;
            }
            self.place = self.place.after(chunk[at + length]);
            at += length + 1;
            self.count(length + 1)?;
            if self.place.is_between() {
                boundary = Some(at);
                self.unfinished = 0;
            }
        }
        if at < chunk.len() {
            self.place = Place::Text;
            self.count(chunk.len() - at)?;
        }
        Ok(boundary)
    }

    fn count(&mut self, bytes: usize) -> Result<(), EventTooLong> {
        self.unfinished += bytes;
        if self.unfinished > MAX_EVENT_BYTES {
            return Err(EventTooLong);
        }
        Ok(())
    }
}
