//! Lets a stream pass unparsed, whole event by whole event, and notes how it ends.

use std::fmt;
use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;

use super::carry::Carry;
use super::lines::{Line, Lines};
use super::{BYTE_ORDER_MARK, Event, EventTooLong, is_done};

/// A longer event is not kept as the last one: no event that reports usage is as long.
const MAX_KEPT_BYTES: usize = 64 << 10;

static FINISH_REASON: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(b"\"finish_reason\""));

/// Passes a stream on in whole events, so that a cut never lets half an event out and an error
/// event can follow cleanly.
#[derive(Default)]
pub struct EventEnds {
    carry: Carry,
    started: bool,
    saw_done: bool,
    saw_finish_reason: bool,
    /// The last event with data before the end marker. A copy, because a part of the chunk would
    /// keep the connection's whole buffer alive while the stream is idle.
    last: Vec<u8>,
}

impl EventEnds {
    /// A scanner at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The whole events that are there once `chunk` has come, as they came. Without an unfinished
    /// event before or after they are `chunk` itself.
    ///
    /// # Errors
    ///
    /// [`EventTooLong`] once an event has grown beyond the limit.
    pub fn push(&mut self, chunk: Bytes) -> Result<Option<Bytes>, EventTooLong> {
        let whole = self.carry.push(chunk)?;
        if let Some(whole) = &whole {
            self.note_events(whole);
        }
        Ok(whole)
    }

    /// What is left of an unfinished event at the end of the stream. It counts for the questions
    /// below.
    pub fn finish(&mut self) -> Option<Bytes> {
        let rest = self.carry.finish()?;
        self.note_events(&rest);
        Some(rest)
    }

    /// Whether the end marker `[DONE]` has come.
    #[must_use]
    pub fn saw_done(&self) -> bool {
        self.saw_done
    }

    /// Whether an event has named a reason for the end of the answer.
    #[must_use]
    pub fn saw_finish_reason(&self) -> bool {
        self.saw_finish_reason
    }

    /// The data of the last event before the end marker, where usage is reported.
    #[must_use]
    pub fn last_data(&self) -> Option<Bytes> {
        Event::parse(Bytes::copy_from_slice(&self.last)).data
    }

    fn note_events(&mut self, bytes: &[u8]) {
        let mut last = None;
        let mut event_start = self.skip_mark(bytes);
        let mut has_data = false;
        for line in Lines::from(bytes, event_start) {
            has_data |= self.note_line(&line, bytes);
            let ends = line.is_blank() || line.end == bytes.len();
            if ends && has_data {
                last = Some(&bytes[event_start..line.end]);
            }
            if ends {
                has_data = false;
                event_start = line.end;
            }
        }
        self.keep(last);
    }

    /// Says whether the line is data that may report usage.
    fn note_line(&mut self, line: &Line, bytes: &[u8]) -> bool {
        let Some(data) = line.data(bytes) else {
            return false;
        };
        if is_done(data) {
            self.saw_done = true;
            return false;
        }
        self.saw_finish_reason = self.saw_finish_reason || names_finish_reason(data);
        !self.saw_done
    }

    fn keep(&mut self, last: Option<&[u8]>) {
        let Some(last) = last else { return };
        self.last.clear();
        if last.len() <= MAX_KEPT_BYTES {
            self.last.extend_from_slice(last);
        }
    }

    fn skip_mark(&mut self, bytes: &[u8]) -> usize {
        let first = !std::mem::replace(&mut self.started, true);
        if first && bytes.starts_with(BYTE_ORDER_MARK) {
            return BYTE_ORDER_MARK.len();
        }
        0
    }
}

/// Only the text is looked at: inside a JSON string the quotes would have backslashes before them.
fn names_finish_reason(data: &[u8]) -> bool {
    FINISH_REASON.find_iter(data).any(|at| {
        let rest = data[at + FINISH_REASON.needle().len()..].trim_ascii_start();
        let value = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        value.is_some_and(|value| !value.is_empty() && !value.starts_with(b"null"))
    })
}

/// Without the events, which are somebody's answer.
impl fmt::Debug for EventEnds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventEnds")
            .field("saw_done", &self.saw_done)
            .field("saw_finish_reason", &self.saw_finish_reason)
            .finish_non_exhaustive()
    }
}
