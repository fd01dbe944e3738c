//! The inside of JSON strings: finding their end quickly, and reading and writing their escapes.

use std::borrow::Cow;
use std::str;

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
/// Keys, names and words end within so many words of eight bytes; what is longer is text.
const SHORT_WORDS: usize = 4;
/// What is looked at in one step where a text is written: short enough to be a plain run of few words.
const BLOCK: usize = SHORT_WORDS * 8;

/// A stretch of string that holds no quote, no backslash and no control character.
pub(super) struct PlainRun {
    pub(super) length: usize,
    /// False if a byte of it may be beyond ASCII and the string has to be checked for UTF-8.
    pub(super) ascii: bool,
}

/// The plain run at the start of `bytes`, looked at eight bytes at a time for as long as it may be short.
pub(super) fn plain_run(bytes: &[u8]) -> PlainRun {
    let (words, _) = bytes.as_chunks::<8>();
    let mut seen = 0;
    for (index, word) in words.iter().take(SHORT_WORDS).enumerate() {
        let word = u64::from_le_bytes(*word);
        seen |= word;
        let stops = stops_in(word);
        if stops != 0 {
            return PlainRun {
                length: index * 8 + stops.trailing_zeros() as usize / 8,
                ascii: seen & HIGH_BITS == 0,
            };
        }
    }
    let is_ascii = seen & HIGH_BITS == 0;
    if words.len() > SHORT_WORDS {
        long_run(bytes, SHORT_WORDS * 8, is_ascii)
    } else {
        short_run(bytes, words.len() * 8, is_ascii)
    }
}

/// The end of a plain run that goes on for longer than words do. Two passes in the machine's widest steps take less time
/// than one in eights.
fn long_run(bytes: &[u8], from: usize, ascii: bool) -> PlainRun {
    let rest = &bytes[from..];
    let end = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
    let text = &rest[..end];
    let least_and_all = |(least, all): (u8, u8), byte: &u8| (least.min(*byte), all | byte);
    let (least, all) = text.iter().fold((u8::MAX, 0), least_and_all);
    let control = (least < 0x20).then(|| text.iter().position(|byte| *byte < 0x20));
    PlainRun {
        length: from + control.flatten().unwrap_or(end),
        ascii: ascii && all.is_ascii(),
    }
}

/// The end of a plain run among the last bytes, which fill no word.
fn short_run(bytes: &[u8], from: usize, ascii: bool) -> PlainRun {
    let rest = &bytes[from..];
    let is_stop = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let length = rest.iter().position(is_stop).unwrap_or(rest.len());
    PlainRun {
        length: from + length,
        ascii: ascii && rest[..length].is_ascii(),
    }
}

/// The high bit of the first byte in `word` that ends a plain run. Bits above it mean nothing: the
/// subtraction may borrow from there.
fn stops_in(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let is_quote = quote.wrapping_sub(ONES) & !quote;
    let is_backslash = backslash.wrapping_sub(ONES) & !backslash;
    let is_control = word.wrapping_sub(ONES * 0x20) & !word;
    (is_quote | is_backslash | is_control) & HIGH_BITS
}

/// Where the string ends, its quotes included, that begins at `start` of a checked text.
pub(super) fn end(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(length) = text
        .get(at..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        at += length;
        if text[at] == b'"' {
            return at + 1;
        }
        // Whatever is escaped is no end.
        at += 2;
    }
    text.len()
}

/// The text of a string without its quotes.
pub(super) fn unescape(inner: &str) -> Cow<'_, str> {
    let mut rest = inner;
    let mut text = String::new();
    while let Some(length) = memchr::memchr(b'\\', rest.as_bytes()) {
        if text.is_empty() {
            text.reserve(inner.len());
        }
        text.push_str(&rest[..length]);
        let mut behind = rest[length + 1..].chars();
        text.extend(escaped(&mut behind));
        rest = behind.as_str();
    }
    if rest.len() == inner.len() {
        return Cow::Borrowed(inner);
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// Appends what stands between the quotes of a string that says `text`.
pub(super) fn write_escaped(written: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let (plain, behind) = rest.split_at(unescaped_run(rest));
        written.extend_from_slice(plain);
        let Some((byte, behind)) = behind.split_first() else {
            return;
        };
        write_escape(written, *byte);
        rest = behind;
    }
}

/// How many bytes at the front are written as they are. Unlike [`plain_run`] it looks no further than a block behind
/// their end: texts have line ends everywhere.
fn unescaped_run(bytes: &[u8]) -> usize {
    let is_stop = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let is_plain =
        |block: &&[u8; BLOCK]| !block.iter().fold(false, |any, byte| any | is_stop(byte));
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let plain = blocks.iter().take_while(is_plain).count() * BLOCK;
    let next = &bytes[plain..bytes.len().min(plain + BLOCK)];
    plain + plain_run(next).length
}

/// Writes a byte that cannot stand in a string as it is.
fn write_escape(written: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        0x8 => b'b',
        0xC => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let digits = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
            written.extend_from_slice(b"\\u00");
            return written.extend_from_slice(&digits);
        }
    };
    written.extend_from_slice(&[b'\\', short]);
}

/// The characters of a string without its quotes.
pub(super) fn characters(inner: &str) -> impl Iterator<Item = char> {
    let mut rest = inner.chars();
    std::iter::from_fn(move || match rest.next()? {
        '\\' => escaped(&mut rest),
        character => Some(character),
    })
}

fn escaped(rest: &mut str::Chars<'_>) -> Option<char> {
    Some(match rest.next()? {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => unicode(rest),
        character => character,
    })
}

/// The character of `\uXXXX`, of which `rest` holds what follows the `u`.
fn unicode(rest: &mut str::Chars<'_>) -> char {
    let unit = hex(rest);
    if (0xD800..0xDC00).contains(&unit) {
        let mut ahead = rest.clone();
        let follows = ahead.next() == Some('\\') && ahead.next() == Some('u');
        let low = hex(&mut ahead);
        if follows && (0xDC00..0xE000).contains(&low) {
            *rest = ahead;
            return character(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00));
        }
    }
    character(unit)
}

fn character(code: u32) -> char {
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn hex(rest: &mut str::Chars<'_>) -> u32 {
    rest.take(4)
        .fold(0, |unit, digit| unit * 16 + digit.to_digit(16).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped_by_us(text: &str) -> String {
        let mut written = Vec::new();
        write_escaped(&mut written, text);
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn texts_are_written_as_the_reference_writer_does_and_read_back() {
        let longest = 3 * BLOCK;
        for character in (0..=0x80)
            .map(char::from)
            .chain(['é', '\u{2028}', '\u{1f680}'])
        {
            for place in 0..longest {
                let behind = "b".repeat(longest - place);
                let text = format!("{}{character}{behind}{character}", "a".repeat(place));
                let written = escaped_by_us(&text);
                assert_eq!(
                    format!("\"{written}\""),
                    serde_json::to_string(&text).unwrap()
                );
                assert_eq!(unescape(&written), text);
            }
        }
        assert_eq!(escaped_by_us(""), "");
    }

    #[test]
    fn escapes_are_read_as_they_are_one_by_one() {
        let parts = [
            "\\n",
            "\\\"",
            "\\\\",
            "\\u0040",
            "\\ud83d\\ude80",
            "\\ud83d",
            "a",
            "é",
            "\\u00",
            "\\",
        ];
        for first in parts {
            for second in parts {
                for third in parts {
                    let text = [first, second, third].concat();
                    let expected: String = characters(&text).collect();
                    assert_eq!(unescape(&text), expected, "{text}");
                }
            }
        }
    }
}
