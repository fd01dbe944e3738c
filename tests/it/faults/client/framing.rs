//! Requests that two readers could understand differently, or that are larger than anybody needs.

use crate::faults::rig::{Rig, authorized, chat_request, get_request};
use crate::support::{answer_of, chat};

/// How much the system of a client may hold of a refusal on top of the request's own size.
const SLACK_KIB: u64 = 8 * 1024;

#[tokio::test]
async fn c04_heads_and_targets_are_limited_to_the_byte() {
    let rig = Rig::new(|_| answer_of("fine")).await;
    let fields = |count: usize| get_request("/v1/models", &"x: y\r\n".repeat(count - 4));
    let head_of = |length: usize| {
        let empty = get_request("/v1/models", "x: \r\n").len();
        get_request(
            "/v1/models",
            &format!("x: {}\r\n", "y".repeat(length - empty)),
        )
    };
    let target_of = |length: usize| {
        let path = format!("/v1/models?{}", "q".repeat(length - "/v1/models?".len()));
        get_request(&path, "")
    };
    let cases = [
        ("fields", fields(99), 200),
        ("fields", fields(100), 200),
        ("fields", fields(101), 431),
        ("fields", fields(10_000), 431),
        ("head", head_of(65_535), 200),
        ("head", head_of(65_537), 431),
        ("head", head_of(6_553_600), 431),
        ("target", target_of(8191), 200),
        ("target", target_of(8192), 200),
        ("target", target_of(8193), 414),
        ("target", target_of(60_000), 414),
    ];
    for (what, request, status) in cases {
        let reply = rig.exchange(&request).await;
        assert_eq!(reply.status(), status, "{what} of {} bytes", request.len());
    }
    rig.ends_unharmed("c04").await;
}

#[tokio::test]
async fn c09_ambiguous_framing_is_refused_and_closed() {
    let rig = Rig::new(|_| answer_of("fine")).await;
    let body = chat("echo", "hi").to_string();
    let length = body.len();
    let host = authorized();
    let post = |fields: &str, body: &str| {
        format!("POST /v1/chat/completions HTTP/1.1\r\n{host}{fields}\r\n{body}")
    };
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let lengths = [
        format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: {length}\r\nContent-Length: 1\r\n"),
        format!("Content-Length: {length}, {length}\r\n"),
        format!("Content-Length: +{length}\r\n"),
        format!("Content-Length: 0x{length:x}\r\n"),
        "Content-Length: -1\r\n".to_owned(),
        "Content-Length: \r\n".to_owned(),
        "Content-Length: 99999999999999999999999\r\n".to_owned(),
        format!("Content-Length : {length}\r\n"),
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
    ];
    let codings = [
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\x0bchunked\r\n",
        "X: y\r\n Transfer-Encoding: chunked\r\n",
    ];
    let heads = [
        "Host: b\r\n",
        "X Y: z\r\n",
        ": z\r\n",
        "X: y\rz\r\n",
        "X: y\0\r\n",
        "X: y\n",
        "(x): y\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    ];
    let mut requests: Vec<String> = lengths.iter().map(|fields| post(fields, &body)).collect();
    requests.extend(codings.iter().map(|fields| post(fields, &chunked)));
    requests.extend(
        heads
            .iter()
            .map(|fields| post(&format!("{fields}Content-Length: {length}\r\n"), &body)),
    );
    let first_lines = [
        "CONNECT gateway:80 HTTP/1.1",
        "get /v1/models HTTP/1.1",
        "GET  /v1/models HTTP/1.1",
        "GET /v1/models HTTP/1.1 ",
        "GET /v1/models HTTP/2.0",
        "GET /v1/models HTTP/1.2",
        "GET /v1/models",
        "GET /v1/mo dels HTTP/1.1",
        "GET v1/models HTTP/1.1",
        "GET http://other/v1/models HTTP/1.1",
        "GET /v1/models#x HTTP/1.1",
        "\tGET /v1/models HTTP/1.1",
    ];
    requests.extend(
        first_lines
            .iter()
            .map(|line| format!("{line}\r\n{host}\r\n")),
    );
    requests.push(format!("GET /v1/models HTTP/1.1\n{host}\r\n"));
    requests.push("GET /v1/models HTTP/1.1\r\n\r\n".to_owned());
    for request in &requests {
        let reply = rig.exchange(request).await;
        assert_eq!(
            (reply.status(), reply.count()),
            (400, 1),
            "{request:?}: {}",
            reply.text()
        );
    }
    assert_eq!(rig.upstream.request_count(), 0);
    rig.ends_unharmed("c09").await;
}

#[tokio::test]
async fn c09_what_hides_behind_a_request_is_no_second_one() {
    let rig = Rig::new(|_| answer_of("fine")).await;
    // The body that one reader sees is another's second request.
    let hidden = String::from_utf8(chat_request("", &chat("danger", "smuggled"))).unwrap();
    let host = authorized();
    let head = "POST /v1/chat/completions HTTP/1.1\r\n";
    let smuggling = [
        format!(
            "{head}{host}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
        ),
        format!("{head}{host}Transfer-Encoding: chunked\r\n\r\n0\n\n{hidden}"),
        format!("{head}{host}Transfer-Encoding: chunked\r\n\r\n0 \r\n\r\n{hidden}"),
        format!("{head}{host}Transfer-Encoding: chunked\r\n\r\n1;a\r\n\r\n0\r\n\r\n{hidden}"),
        format!(
            "{head}{host}Connection: Upgrade\r\nUpgrade: h2\r\nContent-Length: 0\r\n\r\n{hidden}"
        ),
    ];
    for request in smuggling {
        let reply = rig.exchange(&request).await;
        assert!(
            reply.text().starts_with("HTTP/1.1 400 "),
            "{request:?}: {}",
            reply.text()
        );
        assert_eq!(reply.count(), 1, "{request:?}");
    }
    assert_eq!(rig.upstream.request_count(), 0);
    rig.ends_unharmed("c09 smuggling").await;
}

#[tokio::test]
async fn c05_bodies_over_the_limit_are_refused_at_the_limit() {
    let rig = Rig::configured("[limits]\nbody_bytes = 1048576\nbody_seconds = 1", |_| {
        answer_of("fine")
    })
    .await;
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\n{}", authorized());
    // Refused by its length alone: no byte of it is sent.
    let reply = rig
        .exchange(format!("{head}Content-Length: 1048577\r\n\r\n"))
        .await;
    assert_eq!(
        (reply.status(), reply.code()),
        (413, "body_too_large".to_owned())
    );
    // Chunks without end: 64 MiB are on offer.
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 65_536], b"\r\n".to_vec()].concat();
    let endless = [
        format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes(),
        chunk.repeat(1024),
    ]
    .concat();
    for _ in 0..4 {
        let reply = rig.exchange(&endless).await;
        assert_eq!(reply.status(), 413);
    }
    assert!(rig.growth_kib() < SLACK_KIB, "{} KiB", rig.growth_kib());
    // A length that is less than what comes: the rest is no request.
    let body = chat("echo", "hi").to_string();
    let short = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len() - 1);
    let reply = rig.exchange(short + "\r\n\r\n").await;
    assert_eq!(reply.status(), 400, "{}", reply.text());
    // A length that is more than what comes.
    let reply = rig
        .exchange(format!(
            "{head}Content-Length: {}\r\n\r\n{body}",
            body.len() + 1
        ))
        .await;
    assert_eq!(
        (reply.status(), reply.code()),
        (408, "request_timeout".to_owned()),
        "{}",
        reply.text()
    );
    assert_eq!(rig.upstream.request_count(), 0);
    rig.ends_unharmed("c05").await;
}
