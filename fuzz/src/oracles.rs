//! Slow and obvious readers to hold the fast ones against.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The lines of a text, each ended by LF, CR or CRLF, without their ends.
pub(crate) fn lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        let length = match (text[at], text.get(at + 1)) {
            (b'\r', Some(b'\n')) => 2,
            (b'\r' | b'\n', _) => 1,
            _ => 0,
        };
        if length > 0 {
            lines.push(&text[start..at]);
            start = at + length;
        }
        at += length.max(1);
    }
    if start < text.len() {
        lines.push(&text[start..]);
    }
    lines
}

/// The data lines of each event of a stream that has any, by the standard of server-sent events; what is unfinished
/// at the end counts.
pub(crate) fn events(stream: &[u8]) -> Vec<Vec<&[u8]>> {
    let stream = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let lines = lines(stream);
    let events = lines.split(|line| line.is_empty());
    let events = events.map(data_lines);
    events.filter(|data| !data.is_empty()).collect()
}

fn data_lines<'a>(lines: &[&'a [u8]]) -> Vec<&'a [u8]> {
    lines.iter().copied().filter_map(data_of).collect()
}

fn data_of(line: &[u8]) -> Option<&[u8]> {
    if line == b"data" {
        return Some(b"");
    }
    let value = line.strip_prefix(b"data:")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// A JSON value of which nothing is kept, read by the reference parser: an object with the same key twice is an error,
/// and so is a key that this parser takes for a mark of its own.
pub(crate) struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

struct StrictVisitor;

/// Values without anything in them, which are all well.
macro_rules! well {
    ($($name:ident: $kind:ty),+) => {
        $(fn $name<E>(self, _: $kind) -> Result<Strict, E> {
            Ok(Strict)
        })+
    };
}

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    well!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Strict, A::Error> {
        while items.next_element::<Strict>()?.is_some() {}
        Ok(Strict)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Strict, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = members.next_key::<String>()? {
            // A number that is kept as it is spelt comes as an object with this one key.
            if key == "$serde_json::private::Number" && keys.is_empty() {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            members.next_value::<Strict>()?;
            if !keys.insert(key) {
                return Err(serde::de::Error::custom("duplicate key"));
            }
        }
        Ok(Strict)
    }
}

/// A valid JSON text written otherwise: with blanks wherever they may stand, and an escape for each letter `a`.
pub(crate) fn respelt(json: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(json.len() * 3);
    let (mut in_string, mut escaped) = (false, 0);
    for byte in json {
        match byte {
            _ if escaped > 0 => {
                // Of an escape, no letter may change.
                escaped = if *byte == b'u' && escaped == 1 {
                    5
                } else {
                    escaped
                };
                escaped -= 1;
                written.push(*byte);
                continue;
            }
            b'\\' => escaped = 1,
            b'"' => in_string = !in_string,
            b'a' if in_string => {
                written.extend_from_slice(b"\\u0061");
                continue;
            }
            b'{' | b'}' | b'[' | b']' | b',' | b':' if !in_string => {
                written.extend_from_slice(&[b' ', *byte, b'\n']);
                continue;
            }
            _ => {}
        }
        written.push(*byte);
    }
    written
}
