//! Which headers pass in which direction.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::directory::Upstream;

/// Room for what hyper adds to a request. As many as we add ourselves are left out of the caller's own, and more would
/// be kept for as long as the answer streams, which gets the same memory.
const ADDED_REQUEST_HEADERS: usize = 1;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-upstream-request-id");

/// The headers of a request to `upstream`: the caller's own without what is between the caller and
/// us or between us and others, then the upstream's key and configured headers.
pub(super) fn for_upstream(caller: &HeaderMap, upstream: &Upstream) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(caller.len() + ADDED_REQUEST_HEADERS);
    let lists_any = caller.contains_key(header::CONNECTION);
    for (name, value) in caller {
        let is_listed = lists_any && is_listed(caller, name);
        if !stays_here(name) && !is_hop_by_hop(name) && !is_listed {
            headers.append(name, value.clone());
        }
    }
    // Events are read on their way through, so they must not be compressed.
    headers.insert(
        header::ACCEPT_ENCODING,
        HeaderValue::from_static("identity"),
    );
    upstream.authorize(&mut headers);
    headers
}

/// The headers of an answer that a caller may see: its own map, which hyper makes and takes back, without the others.
pub(super) fn for_caller(mut headers: HeaderMap) -> HeaderMap {
    let lists_any = headers.contains_key(header::CONNECTION);
    let is_hidden = |name: &&HeaderName| {
        stays_at_upstream(name) || is_hop_by_hop(name) || lists_any && is_listed(&headers, name)
    };
    let hidden: Vec<HeaderName> = headers.keys().filter(is_hidden).cloned().collect();
    for name in hidden {
        headers.remove(name);
    }
    // Ours is in `x-request-id`; theirs is what their support asks for.
    if let Some(id) = headers.remove(REQUEST_ID) {
        headers.append(UPSTREAM_REQUEST_ID, id);
    }
    headers
}

/// Whether the body is server-sent events.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    has_media_type(headers, "text/event-stream")
}

/// Whether the body is a page for people.
pub(super) fn is_html(headers: &HeaderMap) -> bool {
    has_media_type(headers, "text/html")
}

/// Whether the body is compressed, which we asked it not to be.
pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn has_media_type(headers: &HeaderMap, media_type: &str) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return false;
    };
    let value = value.as_bytes().trim_ascii_start();
    let Some((own, rest)) = value.split_at_checked(media_type.len()) else {
        return false;
    };
    let ends = matches!(rest.trim_ascii_start().first(), None | Some(b';'));
    ends && own.eq_ignore_ascii_case(media_type.as_bytes())
}

/// Belongs to one connection, RFC 9110 section 7.6.1.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "content-length"
    )
}

/// Named in `Connection`, which makes it belong to that connection.
fn is_listed(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|listed| listed.trim().eq_ignore_ascii_case(name.as_str()))
}

/// Says who the caller is or how it reaches us; no model server's business.
fn stays_here(name: &HeaderName) -> bool {
    let name = name.as_str();
    // Many servers take one for the other.
    if name.as_bytes().contains(&b'_') {
        return is_private(&name.replace('_', "-"));
    }
    is_private(name)
}

fn is_private(name: &str) -> bool {
    matches!(
        name,
        "host"
            | "authorization"
            | "x-api-key"
            | "api-key"
            | "cookie"
            | "accept-encoding"
            | "expect"
            | "forwarded"
            | "x-real-ip"
    ) || ["x-forwarded-", "x-openwebui-", "x-sluicegate-"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// Speaks of the model server's site, or asks for our own credentials there.
fn stays_at_upstream(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(
        name,
        "set-cookie"
            | "server"
            | "date"
            | "alt-svc"
            | "strict-transport-security"
            | "www-authenticate"
            | "content-encoding"
    ) || ["access-control-", "x-sluicegate-"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &str) -> HeaderMap {
        let pair = |line: &str| {
            let (name, value) = line.trim().split_once(": ").unwrap();
            (
                HeaderName::try_from(name).unwrap(),
                HeaderValue::try_from(value).unwrap(),
            )
        };
        lines.trim().lines().map(pair).collect()
    }

    #[test]
    fn an_answer_keeps_its_own_headers_and_loses_the_connection_s() {
        let answer = headers(
            "connection: close, x-hop
             x-hop: 1
             transfer-encoding: chunked
             set-cookie: up=1
             server: nginx
             www-authenticate: Bearer
             x-sluicegate-function-errors: forged
             x-request-id: req-1
             retry-after: 7
             x-ratelimit-remaining-requests: 0
             openai-processing-ms: 12
             cache-control: no-cache",
        );
        let expected = headers(
            "x-upstream-request-id: req-1
             retry-after: 7
             x-ratelimit-remaining-requests: 0
             openai-processing-ms: 12
             cache-control: no-cache",
        );
        assert_eq!(for_caller(answer), expected);
    }

    #[test]
    fn media_types_are_read_without_their_parameters() {
        assert!(is_event_stream(&headers(
            "content-type: Text/Event-Stream; charset=utf-8"
        )));
        assert!(!is_event_stream(&headers("content-type: application/json")));
        assert!(!is_event_stream(&HeaderMap::new()));
        assert!(is_html(&headers("content-type: text/html;charset=x")));
    }

    #[test]
    fn identity_is_no_encoding() {
        assert!(!is_encoded(&HeaderMap::new()));
        assert!(!is_encoded(&headers("content-encoding: identity")));
        assert!(is_encoded(&headers("content-encoding: gzip")));
    }
}
