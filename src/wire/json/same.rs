//! Whether two JSON texts say the same, whatever blanks and escapes they are written with.

use super::{strings, unquote};

/// Whether two valid JSON texts hold the same values in the same order. Numbers are compared as they are written.
#[must_use]
pub fn equivalent(one: &[u8], other: &[u8]) -> bool {
    one == other || Tokens(one).eq(Tokens(other))
}

/// The tokens of a valid JSON text.
struct Tokens<'a>(&'a [u8]);

/// One token as it is written.
struct Token<'a>(&'a [u8]);

impl PartialEq for Token<'_> {
    fn eq(&self, other: &Self) -> bool {
        let is_escaped = |token: &Self| memchr::memchr(b'\\', token.0).is_some();
        self.0 == other.0
            || (is_escaped(self) || is_escaped(other))
                && unquote(self.0).is_some_and(|text| Some(text) == unquote(other.0))
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let rest = self.0.trim_ascii_start();
        let length = match rest.first()? {
            b'"' => strings::end(rest, 0),
            b'{' | b'}' | b'[' | b']' | b':' | b',' => 1,
            _ => rest
                .iter()
                .position(|byte| b"{}[]:,\" \t\r\n".contains(byte))
                .unwrap_or(rest.len()),
        };
        let (token, rest) = rest.split_at(length);
        self.0 = rest;
        Some(Token(token))
    }
}

#[cfg(test)]
mod tests {
    use super::equivalent;
    use crate::wire::json::Document;

    #[test]
    fn documents_are_compared_as_their_texts_are() {
        let texts = [
            "{}",
            " { } ",
            r#"{"a":1}"#,
            r#"{ "\u0061" : 1 }"#,
            r#"{"a":1,"b":[2, {"c":"\n"}]}"#,
            r#"{"a":1,"b":[2,{"\u0063":"\u000a"}]}"#,
            r#"{"b":[2,{"c":"\n"}],"a":1}"#,
            r#"{"a":1.0}"#,
        ];
        for one in texts {
            for other in texts {
                let documents = [one, other].map(|text| Document::parse(text.into()).unwrap());
                let is_same = equivalent(one.as_bytes(), other.as_bytes());
                assert_eq!(
                    documents[0].is_equivalent(&documents[1]),
                    is_same,
                    "{one} {other}"
                );
            }
        }
    }

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
