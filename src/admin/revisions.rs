//! Compare and set over HTTP: `ETag` says in which state a thing was read, `If-Match` for which one a change is.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;

use super::reply::Refusal;
use crate::registry::{Expected, Revision, Stale};

/// JSON with the state of the thing that it shows.
#[derive(Debug)]
pub(super) struct Tagged {
    pub(super) body: Value,
    pub(super) revision: Revision,
}

/// What a handler gives back whose answer shows one thing.
pub(super) type TaggedAnswer = Result<Tagged, Refusal>;

impl IntoResponse for Tagged {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        set_tag(response.headers_mut(), &self.revision);
        response
    }
}

/// Says in which state a thing is.
pub(super) fn set_tag(headers: &mut HeaderMap, revision: &Revision) {
    // Letters and digits in quotes are always a header's value.
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", revision.as_str())) {
        headers.insert(header::ETAG, tag);
    }
}

/// What a change that came too late is answered.
pub(super) fn stale(stale: Stale) -> Refusal {
    let refusal = Refusal::new(StatusCode::PRECONDITION_FAILED, stale.to_string());
    match stale.0 {
        Some(revision) => refusal.tagged(revision),
        None => refusal,
    }
}

/// For which state of its thing a request is: what its `If-Match` says.
#[derive(Debug)]
pub(super) struct IfMatch(pub(super) Expected);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        let expected = expected(&parts.headers).ok_or_else(|| {
            let detail =
                "`If-Match` must be `*` or a list of ETags in quotes: `\"0a1b\", \"2c3d\"`";
            Refusal::new(StatusCode::BAD_REQUEST, detail)
        })?;
        Ok(Self(expected))
    }
}

/// Whether a request is to make something only if it is not there yet: `If-None-Match: *`.
#[derive(Debug)]
pub(super) struct OnlyNew(pub(super) bool);

impl<S: Send + Sync> FromRequestParts<S> for OnlyNew {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        match parts
            .headers
            .get(header::IF_NONE_MATCH)
            .map(HeaderValue::as_bytes)
        {
            None => Ok(Self(false)),
            Some(b"*") => Ok(Self(true)),
            Some(_) => {
                let detail = "of `If-None-Match` only `*` can be used here";
                Err(Refusal::new(StatusCode::BAD_REQUEST, detail))
            }
        }
    }
}

impl OnlyNew {
    /// The refusal of something that is there already, as who asked so expects it.
    pub(super) fn taken(&self, refusal: Refusal) -> Refusal {
        match self.0 {
            true => refusal.with_status(StatusCode::PRECONDITION_FAILED),
            false => refusal,
        }
    }
}

/// What `If-Match` asks for, `None` if it is none.
fn expected(headers: &HeaderMap) -> Option<Expected> {
    let mut names = Vec::new();
    let lines = headers.get_all(header::IF_MATCH);
    if lines.iter().next().is_none() {
        return Some(Expected::Any);
    }
    for line in &lines {
        let line = line.to_str().ok()?.trim();
        if line == "*" {
            return Some(Expected::Present);
        }
        for tag in line.split(',') {
            names.extend(name_of(tag.trim())?);
        }
    }
    Some(Expected::OneOf(names))
}

/// The revision in an entity tag. A weak one is well formed and equal to none (RFC 9110, 8.8.3.2).
fn name_of(tag: &str) -> Option<Option<String>> {
    let strong = tag.strip_prefix("W/");
    let quoted = strong.unwrap_or(tag).strip_prefix('"')?.strip_suffix('"')?;
    if quoted.contains('"') {
        return None;
    }
    Some(strong.is_none().then(|| quoted.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&'static str]) -> Option<Expected> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::IF_MATCH, HeaderValue::from_static(line));
        }
        expected(&headers)
    }

    fn one_of(names: &[&str]) -> Option<Expected> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Some(Expected::OneOf(names))
    }

    #[test]
    fn if_match_is_read() {
        assert_eq!(of(&[]), Some(Expected::Any));
        assert_eq!(of(&["*"]), Some(Expected::Present));
        assert_eq!(of(&["\"a\""]), one_of(&["a"]));
        assert_eq!(of(&["\"a\", \"b\"", "\"c\""]), one_of(&["a", "b", "c"]));
        assert_eq!(of(&["W/\"a\""]), one_of(&[]));
        for wrong in ["a", "\"a", "\"a\" \"b\"", "", "\"a\",", "\""] {
            assert_eq!(of(&[wrong]), None, "{wrong:?}");
        }
    }
}
