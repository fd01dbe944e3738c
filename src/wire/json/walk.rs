//! A walk through what stands in an object or an array of JSON that has passed the gate.

use std::ops::Range;
use std::str;

use super::strings;

/// What stands in an object or an array, from behind its opening bracket on. Of a text that is no JSON it would give less
/// than there is; it does not panic.
pub(super) struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    has_keys: bool,
}

impl<'a> Walk<'a> {
    /// From `at` on; in an object, where a key comes before each value.
    pub(super) fn new(text: &'a [u8], at: usize, has_keys: bool) -> Self {
        Self { text, at, has_keys }
    }

    /// The text that is walked through.
    pub(super) fn text(&self) -> &'a [u8] {
        self.text
    }

    /// The next key as it is written between its quotes, empty in an array, and where its value is.
    pub(super) fn next(&mut self) -> Option<(&'a str, Range<usize>)> {
        self.skip_to_part();
        let key = match self.has_keys {
            true => self.key()?,
            false => "",
        };
        let start = self.at;
        self.at = value_end(self.text, start);
        (self.at > start).then_some((key, start..self.at))
    }

    /// Steps over what parts a part from the one before: blanks, and a comma or a colon.
    fn skip_to_part(&mut self) {
        let is_between = |byte: &&u8| matches!(byte, b',' | b':' | b' ' | b'\n' | b'\r' | b'\t');
        self.at += self.text[self.at..].iter().take_while(is_between).count();
    }

    /// The key that stands here, with its colon.
    fn key(&mut self) -> Option<&'a str> {
        let start = self.at;
        if self.text.get(start) != Some(&b'"') {
            return None;
        }
        let end = strings::end(self.text, start);
        self.at = end;
        self.skip_to_part();
        str::from_utf8(self.text.get(start + 1..end - 1)?).ok()
    }
}

/// Where the value ends that begins at `start`; `start` itself if none does.
fn value_end(text: &[u8], start: usize) -> usize {
    match text.get(start) {
        Some(b'"') => strings::end(text, start),
        Some(b'{' | b'[') => nested_end(text, start),
        _ => {
            let ends =
                |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
            let length = text[start..].iter().position(ends);
            length.map_or(text.len(), |length| start + length)
        }
    }
}

/// Where the object or array ends that begins at `start`.
fn nested_end(text: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0usize);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => at = strings::end(text, at) - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            break;
        }
    }
    at
}
