//! Whether two JSON texts say the same, whatever blanks and escapes they are written with.

use super::unquote;

/// Whether two valid JSON texts hold the same values in the same order. Numbers are compared as they are written.
#[must_use]
pub fn equivalent(one: &[u8], other: &[u8]) -> bool {
    one == other || Tokens(one).eq(Tokens(other))
}

/// The tokens of a valid JSON text.
struct Tokens<'a>(&'a [u8]);

/// One token: a string with its escapes resolved, or anything else as it is written.
#[derive(PartialEq)]
enum Token<'a> {
    Text(std::borrow::Cow<'a, str>),
    Other(&'a [u8]),
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
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
        Some(unquote(token).map_or(Token::Other(token), Token::Text))
    }
}

/// Length of the string at the front, quotes included.
fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    while at < text.len() && text[at] != b'"' {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
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
            ("1", ""),
        ] {
            assert!(
                !equivalent(one.as_bytes(), other.as_bytes()),
                "{one} {other}"
            );
        }
    }
}
