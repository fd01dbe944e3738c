//! Where the values of a JSON text stand that have no parts of their own.

use std::ops::Range;

/// The values without parts of a text, in order.
#[derive(Debug)]
pub(crate) struct Leaves {
    /// Where each stands, a string with its quotes.
    pub(crate) places: Vec<Range<usize>>,
    /// How many members have names, one that stands twice counted twice.
    pub(crate) names: usize,
}

impl Leaves {
    /// Those of `text`, which must be valid JSON: of anything else there is no saying what is found.
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut found = Self {
            places: Vec::new(),
            names: 0,
        };
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            let end = match byte {
                b'"' => end_of_string(text, at),
                b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => {
                    at += 1;
                    continue;
                }
                _ => end_of_word(text, at),
            };
            match *byte == b'"' && is_before_colon(text, end) {
                true => found.names += 1,
                false => found.places.push(at..end),
            }
            at = end;
        }
        found
    }
}

fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = text.get(at) {
        at += match byte {
            b'"' => return at + 1,
            b'\\' => 2,
            _ => 1,
        };
    }
    text.len()
}

fn end_of_word(text: &[u8], start: usize) -> usize {
    let is_behind = |byte: &u8| matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace();
    let length = text[start..].iter().position(is_behind);
    length.map_or(text.len(), |length| start + length)
}

fn is_before_colon(text: &[u8], end: usize) -> bool {
    text.get(end..)
        .is_some_and(|rest| rest.trim_ascii_start().starts_with(b":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_and_names_counted() {
        let text = br#" { "a\"" : [1, -2.5e3 ,"x\\"], "b":{"c":null,"c":true}, "d":[], "e":"" } "#;
        let found = Leaves::of(text);
        let leaves: Vec<_> = found.places.into_iter().map(|place| &text[place]).collect();
        let expected: [&[u8]; 6] = [b"1", b"-2.5e3", br#""x\\""#, b"null", b"true", br#""""#];
        assert_eq!(leaves, expected);
        assert_eq!(found.names, 6);
        let alone = Leaves::of(b"\"alone\"");
        assert_eq!((alone.places[0].clone(), alone.names), (0..7, 0));
    }
}
