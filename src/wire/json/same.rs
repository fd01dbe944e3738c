//! Whether two JSON texts say the same, whatever blanks and escapes they are written with.

use memchr::memchr2;

use super::unquote;

/// Whether two valid JSON texts hold the same values in the same order. Numbers are compared as they are written.
#[must_use]
pub fn equivalent(one: &[u8], other: &[u8]) -> bool {
    let (mut one, mut other) = (Tokens(one), Tokens(other));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(token), Some(other)) if is_same(token, other) => {}
            _ => return false,
        }
    }
}

/// Whether two tokens say the same. Nearly all that do are written alike, so escapes are looked at only if not.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one == other
        || matches!((unquote(one), unquote(other)), (Some(one), Some(other)) if one == other)
}

/// The tokens of a valid JSON text, as they are written.
struct Tokens<'a>(&'a [u8]);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0.trim_ascii_start();
        let length = match rest.first()? {
            b'"' => string_length(rest),
            b'{' | b'}' | b'[' | b']' | b':' | b',' => 1,
            _ => rest
                .iter()
                .position(|byte| b"{}[]:,\" \t\r\n".contains(byte))
                .unwrap_or(rest.len()),
        };
        let (token, rest) = rest.split_at(length);
        self.0 = rest;
        Some(token)
    }
}

/// Length of the string at the front, quotes included.
fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if text[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::equivalent;

    #[test]
    fn blanks_and_escapes_do_not_matter() {
        assert!(equivalent(
            br#"{ "a" : [1, "\u00e9\/"] }"#,
            "{\"a\":[1,\"é/\"]}".as_bytes()
        ));
        assert!(equivalent(b"[]", b" [ ] "));
        for (one, other) in [
            ("[1]", "[2]"),
            ("[\"1\"]", "[1]"),
            ("[1,2]", "[12]"),
            ("[1]", "[1,1]"),
            (r#"["a\\","b"]"#, r#"["a\\","c"]"#),
            (r#"["a\"","b"]"#, r#"["a","b"]"#),
            ("1", ""),
        ] {
            assert!(
                !equivalent(one.as_bytes(), other.as_bytes()),
                "{one} {other}"
            );
        }
    }
}
