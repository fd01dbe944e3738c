//! The heads that pass the proxy: what is asked for, what goes on to the server, and what comes back.

/// What a client of the proxy asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The host, an IPv6 address in brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// What the server gets first; `None` for a tunnel, through which all that follows goes as it is.
    pub(super) head: Option<Vec<u8>>,
}

/// The headers between a client and its proxy, which the server does not get.
const FOR_THE_PROXY: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
];

impl Request {
    /// Reads a head with the empty line at its end.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn parse(head: &[u8]) -> Result<Self, &'static str> {
        let (line, fields) = split_at_line(head);
        let line = std::str::from_utf8(line).map_err(|_| "the request line is no text")?;
        let mut words = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("the request line is none");
        };
        if !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
            return Err("only HTTP/1.1 is spoken here");
        }
        if method == "CONNECT" {
            let (host, port) = authority(target, None).ok_or("the target is no host and port")?;
            return Ok(Self {
                host,
                port,
                head: None,
            });
        }
        let rest = target.strip_prefix("http://");
        let rest = rest.ok_or("the target is no address of http; hint: https goes by CONNECT")?;
        let (place, path) = split_at_path(rest);
        let (host, port) = authority(place, Some(80)).ok_or("the target has no valid host")?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        let start = format!("{method} {slash}{path} {version}\r\n");
        Ok(Self {
            host,
            port,
            head: Some(with_fields(start.into_bytes(), fields)),
        })
    }
}

/// The head of a server's answer as the client gets it, and whether the answer itself is still to come.
///
/// # Errors
///
/// If it is none.
pub(super) fn answer(head: &[u8]) -> Result<(Vec<u8>, bool), &'static str> {
    let (line, fields) = split_at_line(head);
    let status = line.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2));
    match status {
        Some(b'1') => Ok((head.to_vec(), true)),
        Some(_) => Ok((with_fields([line, b"\r\n"].concat(), fields), false)),
        None => Err("the answer is none of HTTP/1.1"),
    }
}

/// A head with the fields that go on. Both sides are told to close: one connection serves one request, because the next
/// one of this client may be for another host.
fn with_fields(mut head: Vec<u8>, mut fields: &[u8]) -> Vec<u8> {
    while let (line @ [_, ..], rest) = split_at_line(fields) {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let is_name = |it: &&str| name.eq_ignore_ascii_case(it.as_bytes());
        if !FOR_THE_PROXY.iter().any(is_name) {
            head.extend_from_slice(line);
            head.extend_from_slice(b"\r\n");
        }
        fields = rest;
    }
    head.extend_from_slice(b"Connection: close\r\n\r\n");
    head
}

/// The first line, without its end, and what follows. Values of fields need be no text: bytes stay as they are.
fn split_at_line(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memmem::find(text, b"\r\n") {
        Some(end) => (&text[..end], &text[end + 2..]),
        None => (text, &[]),
    }
}

fn split_at_path(text: &str) -> (&str, &str) {
    let end = text.find(['/', '?', '#']).unwrap_or(text.len());
    text.split_at(end)
}

/// Host and port of `host:port`.
fn authority(text: &str, usual: Option<u16>) -> Option<(String, u16)> {
    let end_of_host = match text.starts_with('[') {
        true => text.find(']')? + 1,
        false => text.find(':').unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at(end_of_host);
    let port = match rest.strip_prefix(':') {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok()?,
        Some(_) => return None,
        None if rest.is_empty() => usual?,
        None => return None,
    };
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    let is_host = !host.is_empty() && host.bytes().all(is_allowed);
    (is_host && port > 0).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_names_its_host_and_port() {
        let parse =
            |target: &str| Request::parse(format!("CONNECT {target} HTTP/1.1\r\n\r\n").as_bytes());
        let request = parse("api.test:443").unwrap();
        assert_eq!((request.host.as_str(), request.port), ("api.test", 443));
        assert_eq!(request.head, None);
        assert_eq!(parse("[::1]:80").unwrap().host, "[::1]");
        for target in [
            "api.test", ":443", "a@b:443", "a:b:443", "a:0", "a:+1", "[::1", "",
        ] {
            assert!(parse(target).is_err(), "{target}");
        }
    }

    #[test]
    fn a_plain_request_loses_what_was_for_the_proxy_and_is_the_last_of_its_connection() {
        let head =
            b"GET http://a.test:81/x?y=1 HTTP/1.1\r\nHost: a.test:81\r\nProxy-Authorization: s\r\n\
            Connection: keep-alive\r\nX-Own: 1\r\n\r\n";
        let request = Request::parse(head).unwrap();
        assert_eq!((request.host.as_str(), request.port), ("a.test", 81));
        let expected =
            "GET /x?y=1 HTTP/1.1\r\nHost: a.test:81\r\nX-Own: 1\r\nConnection: close\r\n\r\n";
        assert_eq!(request.head.as_deref(), Some(expected.as_bytes()));
        let bare = Request::parse(b"GET http://a.test HTTP/1.1\r\n\r\n").unwrap();
        assert!(bare.head.unwrap().starts_with(b"GET / HTTP/1.1\r\n"));
    }

    #[test]
    fn an_answer_says_that_it_is_the_last_of_its_connection() {
        let kept = answer(b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nX: \xe9\r\n\r\n").unwrap();
        let expected = b"HTTP/1.1 200 OK\r\nX: \xe9\r\nConnection: close\r\n\r\n";
        assert_eq!(kept, (expected.to_vec(), false));
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
        assert_eq!(answer(interim), Ok((interim.to_vec(), true)));
        assert!(answer(b"SSH-2.0-x\r\n\r\n").is_err());
    }

    #[test]
    fn what_is_no_request_for_a_proxy_is_refused() {
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET https://a.test/ HTTP/1.1\r\n\r\n",
            "GET http:///x HTTP/1.1\r\n\r\n",
            "GET http://u:p@a.test/ HTTP/1.1\r\n\r\n",
            "GET http://a.test/ HTTP/2\r\n\r\n",
            "GET http://a.test/ b HTTP/1.1\r\n\r\n",
            "nothing\r\n\r\n",
        ] {
            assert!(Request::parse(head.as_bytes()).is_err(), "{head}");
        }
    }
}
