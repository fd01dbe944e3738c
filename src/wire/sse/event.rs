//! One event of a stream.

use std::fmt;

use bytes::Bytes;

use super::lines::{Line, Lines};
use super::{BYTE_ORDER_MARK, is_done, write_data};

/// One event: the bytes as they came and the data they carry.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// The exact bytes, with the blank line that ends the event.
    pub raw: Bytes,
    /// The value of its `data` lines, joined by LF; `None` for comments, blank lines and other
    /// fields.
    pub data: Option<Bytes>,
    /// Where the first line starts: behind the byte order mark, if the stream began with one.
    first_line: usize,
}

impl Event {
    /// Reads one event. One data line shares the memory of `raw`; several are joined in a copy.
    #[must_use]
    pub fn parse(raw: Bytes) -> Self {
        Self::parse_from(raw, 0)
    }

    /// Reads the first event of a stream, which may begin with a byte order mark.
    pub(super) fn parse_first(raw: Bytes) -> Self {
        let marked = raw.starts_with(BYTE_ORDER_MARK);
        Self::parse_from(raw, if marked { BYTE_ORDER_MARK.len() } else { 0 })
    }

    fn parse_from(raw: Bytes, first_line: usize) -> Self {
        let data = join_data(&raw, first_line);
        Self {
            raw,
            data,
            first_line,
        }
    }

    /// Whether this is the end marker `[DONE]`.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.data.as_deref().is_some_and(is_done)
    }

    /// Whether there is nothing in it but comments, blank lines and fields other than data.
    #[must_use]
    pub fn is_comment_only(&self) -> bool {
        self.data.is_none()
    }

    /// The event with other data: its other fields and comments stay, every line ends with LF.
    #[must_use]
    pub fn with_data(&self, data: &[u8]) -> Bytes {
        let mut written = Vec::with_capacity(self.raw.len() + data.len());
        let mut missing = true;
        for line in self.lines().filter(|line| !line.is_blank()) {
            if line.data(&self.raw).is_none() {
                written.extend_from_slice(line.text(&self.raw));
                written.push(b'\n');
            } else if missing {
                write_data(&mut written, data);
                missing = false;
            }
        }
        if missing {
            write_data(&mut written, data);
        }
        written.push(b'\n');
        Bytes::from(written)
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = Line> {
        Lines::from(&self.raw, self.first_line)
    }
}

fn join_data(raw: &Bytes, first_line: usize) -> Option<Bytes> {
    let lines = Lines::from(raw, first_line);
    let mut values = lines.filter_map(|line| line.data(raw));
    let first = values.next()?;
    let Some(second) = values.next() else {
        return Some(raw.slice_ref(first));
    };
    let mut joined = first.to_vec();
    for value in std::iter::once(second).chain(values) {
        joined.push(b'\n');
        joined.extend_from_slice(value);
    }
    Some(Bytes::from(joined))
}

/// Without the data, which is somebody's answer.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({} bytes)", self.raw.len())
    }
}
