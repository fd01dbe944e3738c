//! Texts one behind the other, each with its length before it: whoever reads them need not look for their ends.

use std::ops::Range;

use bytes::{BufMut, BytesMut};

/// Bytes that say how long a text is.
const LENGTH_BYTES: usize = 4;

/// Room for so many texts of `bytes` together.
#[must_use]
pub fn room(count: usize, bytes: usize) -> usize {
    count * LENGTH_BYTES + bytes
}

/// Appends `text`.
///
/// # Panics
///
/// If it is longer than 4 GiB, which no frame could carry.
pub fn add(out: &mut BytesMut, text: &[u8]) {
    out.reserve(LENGTH_BYTES + text.len());
    out.put_u32_le(length(text.len()));
    out.put_slice(text);
}

/// Appends the text that `write` appends; none if that fails.
///
/// # Errors
///
/// Those of `write`.
///
/// # Panics
///
/// As [`add`].
pub fn add_written<E>(
    out: &mut BytesMut,
    write: impl FnOnce(&mut BytesMut) -> Result<(), E>,
) -> Result<(), E> {
    let start = out.len();
    out.put_u32_le(0);
    let written = write(out);
    match &written {
        Ok(()) => {
            let text = start + LENGTH_BYTES;
            let length = length(out.len() - text);
            out[start..text].copy_from_slice(&length.to_le_bytes());
        }
        Err(_) => out.truncate(start),
    }
    written
}

/// Where each text of a payload stands in it; `None` if it is no such thing.
#[must_use]
pub fn places(payload: &[u8]) -> Option<Vec<Range<usize>>> {
    let mut places = Vec::new();
    let mut start = 0;
    while start < payload.len() {
        let length = payload[start..].first_chunk::<LENGTH_BYTES>()?;
        let text = start + LENGTH_BYTES;
        start = text.checked_add(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        places.push(text..start);
    }
    (start == payload.len()).then_some(places)
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a text fits into a frame")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(payload: &[u8]) -> Option<Vec<&[u8]>> {
        let places = places(payload)?.into_iter();
        Some(places.map(|place| &payload[place]).collect())
    }

    #[test]
    fn what_was_added_is_read_again() {
        let mut out = BytesMut::new();
        add(&mut out, b"one");
        add(&mut out, b"");
        let failed = add_written(&mut out, |out| {
            out.put_slice(b"half");
            Err(())
        });
        assert_eq!(failed, Err(()));
        let written = add_written::<()>(&mut out, |out| {
            out.put_slice(b"two");
            Ok(())
        });
        assert_eq!(written, Ok(()));
        assert_eq!(read(&out).unwrap(), [&b"one"[..], b"", b"two"]);
        assert_eq!(out.len(), room(3, 6));
    }

    #[test]
    fn what_is_cut_is_none() {
        let mut out = BytesMut::new();
        add(&mut out, b"one");
        for length in 1..out.len() {
            assert_eq!(read(&out[..length]), None, "{length}");
        }
        assert_eq!(read(b"").unwrap(), [b""; 0]);
        assert_eq!(read(&[0xff; 8]), None);
    }
}
