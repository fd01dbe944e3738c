//! What is refused before a handler sees it, and what only looks as if it should be.

use super::*;

#[tokio::test]
async fn bad_heads_are_answered_400_and_closed() {
    let gateway = start(&settings());
    let bad = [
        BAD,
        "\n",
        "get / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nx: y\r\n z\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    for bytes in bad {
        let answer = gateway.exchange(bytes).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{bytes:?}: {answer:?}");
    }
    gateway.end().await;
}

#[tokio::test]
async fn oversized_heads_are_answered_431_and_414() {
    let gateway = start(&settings());
    let with = |name: &str, count: usize| {
        let fields = format!("{name}: y\r\n").repeat(count);
        format!("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n")
    };
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(length));
    let cases = [
        (with("x", 98), "200"),
        (with("x", 99), "431"),
        (with("x", 10_000), "431"),
        (with(&"x".repeat(65_000), 1), "200"),
        (with(&"x".repeat(65_536), 1), "431"),
        (with(&"x".repeat(6_500_000), 1), "431"),
        (target(8192), "414"),
        (target(65_000), "414"),
        (target(70_000), "431"),
    ];
    for (bytes, status) in cases {
        let answer = gateway.exchange(&bytes).await;
        assert_eq!(&answer[9..12], status, "{}", bytes.len());
    }
    gateway.end().await;
}

#[tokio::test]
async fn a_good_request_is_answered_before_the_bad_one_behind_it() {
    let mut gateway = start(&settings());
    let mut stream = gateway.connect().await;
    ask(&mut stream, "/wait").await;
    gateway.began("/wait").await;
    stream.write_all(BAD.as_bytes()).await.unwrap();
    gateway.stage.go.add_permits(1);
    let answer = read_all(&mut stream).await;
    let (first, second) = answer.split_once("waited").unwrap();
    assert!(first.starts_with("HTTP/1.1 200 "));
    assert!(second.starts_with("HTTP/1.1 400 "));
    let answer = gateway.exchange(GET.to_owned() + BAD).await;
    assert!(answer.contains("helloHTTP/1.1 400 "));
    gateway.end().await;
}

#[tokio::test]
async fn bad_chunks_fail_the_body_and_close() {
    let gateway = start(&settings());
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let bad = [
        "5 \r\nhello\r\n",
        "5\nhello",
        "5\r\nhello\n",
        "5\r\nhelloX",
        "5;\r\n",
        "5;a\rb\r\n",
    ];
    let trailers = [
        "0\r\nHost: b\r\n\r\n",
        "0\r\nx : y\r\n\r\n",
        "0\r\nx: y\n\r\n",
    ];
    for body in bad.into_iter().chain(trailers) {
        let answer = gateway.exchange(head.to_owned() + body).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{body:?}: {answer:?}");
    }
    gateway.end().await;
}

#[tokio::test]
async fn good_bodies_and_an_ignored_upgrade_keep_the_connection() {
    let gateway = start(&settings());
    let bytes = [
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx: y\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABk\r\nContent-Length: 1\r\n\r\nb",
        "\r\nGET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ];
    let answer = gateway.exchange(bytes.concat()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer:?}");
    gateway.end().await;
}
