//! Heads and bodies that pass and that do not, each at every split.

use super::*;

/// Where the first refused byte stands, if one is refused.
fn refused_at<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<usize> {
    let mut check = HeadCheck::new();
    let mut start = 0;
    for piece in pieces {
        if let Verdict::Refuse { at } = check.feed(piece) {
            return Some(start + at);
        }
        start += piece.len();
    }
    None
}

/// The same, after making sure that no split changes it.
fn refused_at_any_split(bytes: &[u8]) -> Option<usize> {
    let whole = refused_at([bytes]);
    assert_eq!(refused_at(bytes.chunks(1)), whole, "byte by byte");
    for split in 0..=bytes.len() {
        let (left, right) = bytes.split_at(split);
        assert_eq!(refused_at([left, right]), whole, "split at {split}");
    }
    whole
}

fn post(fields: &str) -> String {
    format!("POST /v1/x HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n") + body
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

fn with_host(host: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

fn with_fields(count: usize) -> String {
    post(&"x: y\r\n".repeat(count - 1))
}

/// A complete head of exactly `length` bytes.
fn head_of(length: usize) -> String {
    let bare = post("x: \r\n").len();
    post(&format!("x: {}\r\n", "y".repeat(length - bare)))
}

fn good() -> Vec<String> {
    let mut good: Vec<String> = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET http://a:80/x?y HTTP/1.1\r\nhOsT: A:80\r\n\r\n",
        "GET HTTPS://a?y HTTP/1.1\r\nHost:a \t\r\n\r\n",
        "M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nUpgrade: h2c\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nx: tab\there, \u{e9}, empty next\r\ny:\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0 anything at all \n",
    ]
    .map(str::to_owned)
    .into();
    good.extend(["/", "/a%20b?c={d}&e=\"", "//a", "/;x=1"].map(get));
    good.extend(
        [
            "a",
            "a_b.c-d~e",
            "127.0.0.1:8080",
            "[::1]",
            "[::ffff:1.2.3.4]:65535",
        ]
        .map(with_host),
    );
    good.extend([
        post("Content-Length: 0\r\n") + "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        post("Content-Length: 0005\r\n") + "a\nb\r\0" + &get("/"),
        chunked("0\r\n\r\n") + &get("/"),
        chunked("5;a=b;c=\"d\"\r\na\r\n\nb\r\nA\r\n0123456789\r\n0\r\nx: y\r\n\r\n") + &get("/"),
        chunked("0000000000000001\r\na\r\n0\r\n\r\n"),
        post("transfer-encoding:CHUNKED\r\n") + "0\r\n\r\n",
        with_fields(FIELD_LIMIT),
        get("/1") + &get("/2") + &get("/3"),
    ]);
    good
}

fn bad_lines() -> Vec<String> {
    [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rx: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\tb: c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nx y: z\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: z\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nx\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nx(: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\u{e9}: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nx: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nx: \u{b}y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nx: \u{7f}\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "get / HTTP/1.1\r\nHost: a\r\n\r\n",
        "G\0T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET / HTTP/0.9\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSMx\r\n\r\n",
        "PRI * HTTP/2.0\r\nHost: a\r\n\r\n",
        "\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]
    .map(str::to_owned)
    .into()
}

fn bad_targets_and_hosts() -> Vec<String> {
    let targets = [
        "*", "a", "a/b", "/a#b", "/\u{1}", "/\u{e9}", "/\u{7f}", "ftp://a/",
    ];
    let absolute = [
        "http://b/",
        "http://a:80/",
        "http://u@a/",
        "http:///",
        "http:/a",
    ];
    let hosts = [
        "", "a b", "a, b", "a/b", "u@a", "a:b", "a:", "a:65536", "a:-1", ":80", "[::1", "[]",
        "::1", "[::1]x", "[g::]", "a\u{e9}", "a?b", "a[::1]",
    ];
    let mut bad: Vec<String> = targets.into_iter().chain(absolute).map(get).collect();
    bad.extend(hosts.map(with_host));
    bad.extend([
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(),
        "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n".to_owned(),
        "GET http://a/ HTTP/1.1\r\n\r\n".to_owned(),
    ]);
    bad
}

fn bad_framing() -> Vec<String> {
    let mut bad: Vec<String> = [
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: 1 1\r\n",
        "Content-Length: \r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
    ]
    .map(post)
    .into();
    bad.push("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned());
    bad
}

fn bad_chunks() -> Vec<String> {
    let long = "a".repeat(300);
    let mut bad: Vec<String> = [
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\n",
        "1 \r\n",
        "1 ;a\r\n",
        "1;\r\n",
        "1\n",
        "1,a\r\n",
        "1;a\u{1}\r\n",
        "1;a\rb\r\n",
        "00000000000000001\r\n",
        "11111111111111111\r\n",
        "1\r\nab\r\n",
        "1\r\na\n",
        "1\r\na\rb",
        "1\r\na0\r\n\r\n",
        "0\r\nx\r\n\r\n",
        "0\r\n x: y\r\n\r\n",
        "0\r\nx: y\n\r\n",
        "0\r\n\n",
        "0\r\nContent-Length: 1\r\n\r\n",
        "0\r\nHost: b\r\n\r\n",
        "0\r\ntransfer-encoding: chunked\r\n\r\n",
    ]
    .map(chunked)
    .into();
    bad.push(chunked(&format!("1;{long}\r\n")));
    bad.push(chunked(&format!(
        "0\r\n{}\r\n",
        "x: y\r\n".repeat(FIELD_LIMIT + 1)
    )));
    bad
}

#[test]
fn good_bytes_pass_at_every_split() {
    for bytes in good() {
        assert_eq!(refused_at_any_split(bytes.as_bytes()), None, "{bytes:?}");
    }
}

#[test]
fn bad_bytes_are_refused_at_the_same_place_at_every_split() {
    let lists = [
        bad_lines(),
        bad_targets_and_hosts(),
        bad_framing(),
        bad_chunks(),
    ];
    for bytes in lists.concat() {
        let at = refused_at_any_split(bytes.as_bytes());
        assert!(at.is_some(), "{bytes:?}");
    }
}

#[test]
fn what_was_refused_stays_refused() {
    let mut check = HeadCheck::new();
    assert_eq!(check.feed(b"\n"), Verdict::Refuse { at: 0 });
    assert_eq!(check.feed(b"GET"), Verdict::Refuse { at: 0 });
}

#[test]
fn a_bad_second_request_leaves_the_first_one_good() {
    let first = get("/");
    let both = first.clone() + "GET / HTTP/1.1\nHost: a\r\n\r\n";
    let at = refused_at_any_split(both.as_bytes()).expect("refused");
    assert_eq!(&both[at..=at], "\n");
    assert!(at > first.len());
}

#[test]
fn a_field_too_many_is_refused() {
    let bytes = with_fields(FIELD_LIMIT + 1);
    assert!(refused_at_any_split(bytes.as_bytes()).is_some());
}

#[test]
fn heads_are_limited_to_the_byte() {
    for length in [HEAD_LIMIT_BYTES - 1, HEAD_LIMIT_BYTES] {
        assert_eq!(refused_at([head_of(length).as_bytes()]), None);
        assert_eq!(refused_at(head_of(length).as_bytes().chunks(1)), None);
    }
    for length in [HEAD_LIMIT_BYTES + 1, HEAD_LIMIT_BYTES * 100] {
        let bytes = head_of(length);
        let whole = refused_at([bytes.as_bytes()]);
        assert!(whole.is_some_and(|at| at <= HEAD_LIMIT_BYTES));
        assert_eq!(refused_at(bytes.as_bytes().chunks(1)), whole);
        assert_eq!(refused_at(bytes.as_bytes().chunks(977)), whole);
    }
}

#[test]
fn phases_follow_the_message() {
    let mut check = HeadCheck::new();
    let steps: [(&[u8], Phase); 8] = [
        (b"", Phase::BetweenMessages),
        (b"\r\n", Phase::BetweenMessages),
        (b"P", Phase::InHead),
        (b"OST / HTTP/1.1\r\nHost: a\r\n", Phase::InHead),
        (b"Content-Length: 2\r\n\r\n", Phase::InBody),
        (b"a", Phase::InBody),
        (b"b", Phase::BetweenMessages),
        (b"GET", Phase::InHead),
    ];
    for (bytes, phase) in steps {
        assert_eq!(check.feed(bytes), Verdict::Pass);
        assert_eq!(check.phase(), phase);
    }
    assert_eq!(check.messages(), 1);
}

#[test]
fn the_preface_switches_the_check_off() {
    let mut check = HeadCheck::new();
    assert_eq!(check.feed(PREFACE), Verdict::Pass);
    assert!(check.is_http2());
    assert_eq!(check.feed(b"\n\n\0"), Verdict::Pass);
}
