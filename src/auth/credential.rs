//! The credential that a request carries: a bearer token or `x-api-key`.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{Error, Kind, Result};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The one credential of a request. Two different ones are refused: whichever we took, something
/// before or after us might take the other.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<&[u8]>> {
    let bearers = headers
        .get_all(AUTHORIZATION)
        .iter()
        .filter_map(bearer_token);
    let api_keys = headers
        .get_all(API_KEY)
        .iter()
        .map(|value| value.as_bytes().trim_ascii());
    let mut tokens = bearers.chain(api_keys).filter(|token| !token.is_empty());
    let first = tokens.next();
    if tokens.any(|token| Some(token) != first) {
        return Err(Error::new(
            Kind::InvalidRequest,
            "two different credentials were sent",
        ));
    }
    Ok(first)
}

/// The token of `Bearer <token>`. Other schemes are none of ours, and count as no credential.
fn bearer_token(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked("bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sent: &[(&'static str, &'static str)], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let token = read(&headers)
            .map(|token| token.map(|token| String::from_utf8_lossy(token).into_owned()));
        match expected {
            Some("refused") => {
                assert_eq!(token.unwrap_err().kind(), Kind::InvalidRequest, "{sent:?}")
            }
            expected => assert_eq!(token.unwrap().as_deref(), expected, "{sent:?}"),
        }
    }

    #[test]
    fn both_forms_are_read() {
        check(&[], None);
        check(&[("authorization", "Bearer sk-1")], Some("sk-1"));
        check(&[("authorization", "bEARER   sk-1 ")], Some("sk-1"));
        check(&[("x-api-key", "sk-1")], Some("sk-1"));
        check(
            &[("authorization", "Bearer sk-1"), ("x-api-key", "sk-1")],
            Some("sk-1"),
        );
    }

    #[test]
    fn empty_and_other_schemes_are_no_credential() {
        check(&[("authorization", "Bearer")], None);
        check(&[("authorization", "Bearer ")], None);
        check(&[("authorization", "Basic YTpi")], None);
        check(&[("authorization", "sk-1")], None);
        check(&[("x-api-key", "")], None);
        check(
            &[("authorization", "Bearer "), ("x-api-key", "sk-1")],
            Some("sk-1"),
        );
    }

    #[test]
    fn two_different_credentials_are_refused() {
        check(
            &[("authorization", "Bearer a"), ("x-api-key", "b")],
            Some("refused"),
        );
        check(
            &[("authorization", "Bearer a"), ("authorization", "Bearer b")],
            Some("refused"),
        );
        check(
            &[("x-api-key", "a"), ("x-api-key", "a"), ("x-api-key", "b")],
            Some("refused"),
        );
    }
}
