//! Python strings as JSON strings.

use bytes::{BufMut, BytesMut};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// Appends `text` as a JSON string.
///
/// Python strings may hold halves of surrogate pairs, which UTF-8 cannot say: two that belong together are
/// joined, others become U+FFFD.
///
/// # Errors
///
/// If Python has no memory left.
pub(crate) fn write_string(text: &Bound<'_, PyString>, out: &mut BytesMut) -> PyResult<()> {
    match text.to_str() {
        Ok(text) => write_str(text, out),
        Err(_) => write_str(&without_surrogates(text)?, out),
    }
    Ok(())
}

/// The text without any surrogates, as UTF-8.
///
/// # Errors
///
/// If Python has no memory left.
pub(crate) fn without_surrogates(text: &Bound<'_, PyString>) -> PyResult<String> {
    // SAFETY: a valid string object and two C strings; the result is a new reference or null with an
    // exception set, which is what `from_owned_ptr_or_err` expects.
    let units = unsafe {
        Bound::from_owned_ptr_or_err(
            text.py(),
            ffi::PyUnicode_AsEncodedString(
                text.as_ptr(),
                c"utf-16-le".as_ptr(),
                c"surrogatepass".as_ptr(),
            ),
        )?
    };
    let units = units.cast_into::<PyBytes>()?;
    let units = units.as_bytes().chunks_exact(2);
    let units = units.map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    Ok(char::decode_utf16(units)
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect())
}

/// Appends `text` as a JSON string.
pub(crate) fn write_str(text: &str, out: &mut BytesMut) {
    out.reserve(text.len() + 2);
    out.put_u8(b'"');
    let mut rest = text.as_bytes();
    while let Some(position) = find_special(rest) {
        out.put_slice(&rest[..position]);
        write_escape(rest[position], out);
        rest = &rest[position + 1..];
    }
    out.put_slice(rest);
    out.put_u8(b'"');
}

/// Whether these bytes stand in a JSON string as they are, and not for something else.
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    find_special(bytes).is_none()
}

/// Where the first byte stands that a JSON string cannot hold as it is.
fn find_special(bytes: &[u8]) -> Option<usize> {
    let passed = plain_blocks::<LONG_BLOCK>(bytes);
    let passed = passed + plain_blocks::<SHORT_BLOCK>(&bytes[passed..]);
    let special = bytes[passed..].iter().position(|byte| is_special(*byte));
    special.map(|position| passed + position)
}

/// How many bytes of whole blocks there are before the first block with such a byte.
fn plain_blocks<const BYTES: usize>(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<BYTES>();
    // Every byte is looked at, whatever the ones before it are: that is what vector instructions can do.
    let has_special =
        |block: &[u8; BYTES]| block.iter().fold(false, |any, it| any | is_special(*it));
    let plain = blocks.iter().position(has_special);
    plain.unwrap_or(blocks.len()) * BYTES
}

fn is_special(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

/// Bytes looked at together: a body is mostly one long text without escapes.
const LONG_BLOCK: usize = 128;

/// The same where less is left.
const SHORT_BLOCK: usize = 16;

fn write_escape(byte: u8, out: &mut BytesMut) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            out.put_slice(b"\\u00");
            out.put_u8(HEX[usize::from(byte >> 4)]);
            out.put_u8(HEX[usize::from(byte & 15)]);
            return;
        }
    };
    out.put_slice(&[b'\\', short]);
}
