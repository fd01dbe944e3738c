//! Percent-encoding, as paths and headers have it.

/// The text that `encoded` stands for. A percent sign that begins no escape stands for itself; bytes that are no UTF-8
/// become replacement characters.
#[must_use]
pub fn decode(encoded: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let [first, tail @ ..] = rest {
        let (byte, next) = match escape(rest) {
            Some(byte) => (byte, &rest[3..]),
            None => (*first, tail),
        };
        bytes.push(byte);
        rest = next;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A text as one segment of a path.
#[must_use]
pub fn encode_segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~:@".contains(&byte) => {
                encoded.push(char::from(byte));
            }
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else {
        return None;
    };
    Some(digit(*high)? << 4 | digit(*low)?)
}

fn digit(character: u8) -> Option<u8> {
    let value = char::from(character).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_takes_any_bytes() {
        for (encoded, expected) in [
            ("", ""),
            ("J%C3%BCrgen M%c3%bcller", "Jürgen Müller"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%zz%41", "%zzA"),
            ("%25%34%31", "%41"),
            ("%FF", "\u{fffd}"),
            ("a+b", "a+b"),
        ] {
            assert_eq!(decode(encoded.as_bytes()), expected, "{encoded}");
        }
    }

    #[test]
    fn a_segment_stays_one_segment_and_comes_back() {
        assert_eq!(encode_segment("ft:a-b::1"), "ft:a-b::1");
        assert_eq!(encode_segment("org/ü b?%41"), "org%2F%C3%BC%20b%3F%2541");
        for text in ["org/ü b?%41", "100%", "a+b", ""] {
            assert_eq!(decode(encode_segment(text).as_bytes()), text);
        }
    }
}
