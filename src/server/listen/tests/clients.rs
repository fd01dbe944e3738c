//! Clients that are slow, leave, or are too many.

use tokio::net::TcpSocket;
use tokio::time::sleep;

use super::*;

/// What one client that reads nothing may have asked for: what the system takes unsent, a batch, and what is on its way.
const UNREAD_BYTES: usize = 512 << 10;

#[tokio::test]
async fn slow_heads_and_bodies_and_idle_connections_are_closed() {
    let mut settings = settings();
    settings.limits.head = Duration::from_millis(20);
    settings.limits.body = Duration::from_millis(20);
    settings.limits.idle = Duration::from_millis(20);
    let gateway = start(&settings);
    let late = gateway.exchange("GET / HT").await;
    assert!(late.starts_with("HTTP/1.1 408 "), "{late:?}");
    let (head, body) = late.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    assert_eq!(gateway.exchange("").await, "");
    assert!(gateway.exchange(GET).await.ends_with("hello"));
    let body = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx";
    // The handler may still say that its body has failed, or not.
    gateway.exchange(body).await;
    gateway.end().await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let mut gateway = start(&settings());
    for path in ["/wait", "/stream"] {
        let mut stream = gateway.connect().await;
        ask(&mut stream, path).await;
        gateway.began(path).await;
        stream.shutdown().await.unwrap();
        gateway.left(path).await;
        assert_eq!(gateway.stage.go.available_permits(), 0);
    }
    gateway.end().await;
}

#[tokio::test]
async fn a_half_closed_client_is_served_if_wanted() {
    let mut settings = settings();
    settings.half_close = HalfClose::Serve;
    let mut gateway = start(&settings);
    let mut stream = gateway.connect().await;
    ask(&mut stream, "/wait").await;
    stream.shutdown().await.unwrap();
    gateway.began("/wait").await;
    gateway.stage.go.add_permits(1);
    assert!(read_all(&mut stream).await.ends_with("waited"));
    gateway.end().await;
}

#[tokio::test]
async fn connections_above_the_cap_are_answered_503() {
    let mut settings = settings();
    settings.connections = 1;
    let mut gateway = start(&settings);
    let mut first = gateway.connect().await;
    ask(&mut first, "/wait").await;
    gateway.began("/wait").await;
    let answer = gateway.exchange(GET).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 503 "));
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    drop(first);
    gateway.left("/wait").await;
    // The seat is given back right after; until then 503 goes on being the answer.
    while !gateway
        .exchange("GET /early HTTP/1.0\r\n\r\n")
        .await
        .starts_with("HTTP/1.0 413")
    {}
    gateway.end().await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_its_answer_up() {
    let mut gateway = start(&settings());
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(gateway.addr).await.unwrap();
    ask(&mut stream, "/endless").await;
    gateway.began("/endless").await;
    let (mut before, mut pulled) = (0, 1);
    while before < pulled {
        sleep(Duration::from_millis(100)).await;
        before = std::mem::replace(
            &mut pulled,
            gateway.stage.pulled_bytes.load(Ordering::Relaxed),
        );
    }
    assert!((1..UNREAD_BYTES).contains(&pulled), "{pulled} bytes");
    gateway.end().await;
}
