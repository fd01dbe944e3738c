//! The user that a trusted proxy names: `X-OpenWebUI-User-{Id,Name,Email,Role}`, percent-encoded.

use http::HeaderMap;

use super::caller::User;
use crate::config::Role;
use crate::error::{Error, Kind, Result};

/// The user that the headers name, if they name one.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<User>> {
    let Some(id) = text(headers, "x-openwebui-user-id")? else {
        return Ok(None);
    };
    let name = text(headers, "x-openwebui-user-name")?.unwrap_or_else(|| id.clone());
    let email = text(headers, "x-openwebui-user-email")?.unwrap_or_default();
    let role = text(headers, "x-openwebui-user-role")?;
    let role = role.as_deref().and_then(Role::parse).unwrap_or(Role::User);
    Ok(Some(User {
        id,
        name,
        email,
        role,
    }))
}

/// A header's text, `None` if it is empty. Two different values mean that the proxy has let its
/// client's own header through, so neither is believed.
fn text(headers: &HeaderMap, name: &'static str) -> Result<Option<String>> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.any(|other| other != value) {
        let message = format!("header `{name}` was sent twice with different values");
        return Err(Error::new(Kind::InvalidRequest, message));
    }
    Ok(Some(percent_decode(value.as_bytes())).filter(|text| !text.is_empty()))
}

/// A percent sign that begins no escape stands for itself; bytes that are no UTF-8 become
/// replacement characters.
fn percent_decode(encoded: &[u8]) -> String {
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
    fn percent_decoding_takes_any_bytes() {
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
            assert_eq!(percent_decode(encoded.as_bytes()), expected, "{encoded}");
        }
    }
}
