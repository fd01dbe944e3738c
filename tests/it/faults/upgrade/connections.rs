//! R04: what becomes of connections of every kind when a new process takes over.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::{model_server, setup};
use crate::PATIENCE;
use crate::faults::rig::{Raw, authorized};
use crate::support::{Gate, USER_KEY, streamed_chat, within};

/// Streams on each connection of HTTP/2, and connections of HTTP/1.
const STREAMS: usize = 8;
const CONNECTIONS: usize = 16;

/// A streamed chat that stands after its first event.
fn stream_request() -> Request<Full<Bytes>> {
    Request::post("http://gateway/v1/chat/completions")
        .header("host", "gateway")
        .header("authorization", format!("Bearer {USER_KEY}"))
        .header("content-type", "application/json")
        .body(streamed_chat("echo", "long").to_string().into())
        .unwrap()
}

fn health_request() -> Request<Full<Bytes>> {
    let request = Request::get("http://gateway/healthz").header("host", "gateway");
    request.body(Full::default()).unwrap()
}

/// An answer whose first event has come.
async fn first_event(response: hyper::Result<Response<Incoming>>) -> Incoming {
    let response = response.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    let frame = within(PATIENCE, "the first event", body.frame()).await;
    let first = frame.unwrap().unwrap().into_data().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("before"));
    body
}

/// Reads the rest of a stream, which must come to its end.
async fn finish(body: Incoming) {
    let rest = within(PATIENCE, "the rest of a stream", body.collect()).await;
    let rest = rest.unwrap().to_bytes();
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.contains("after") && rest.contains("[DONE]"), "{rest}");
}

/// A connection of HTTP/1, driven by a task that ends with it.
async fn http1_on(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    driving: &mut JoinSet<hyper::Result<()>>,
) -> http1::SendRequest<Full<Bytes>> {
    let (sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
    driving.spawn(connection);
    sender
}

/// A connection of HTTP/2, driven by a task that ends with it.
async fn http2_on(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    driving: &mut JoinSet<hyper::Result<()>>,
) -> http2::SendRequest<Full<Bytes>> {
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(io));
    let (sender, connection) = handshake.await.unwrap();
    driving.spawn(connection);
    sender
}

/// Every connection has ended without a fault.
async fn all_end(driving: JoinSet<hyper::Result<()>>) {
    let ended = within(PATIENCE, "the end of connections", driving.join_all()).await;
    ended.into_iter().for_each(|end| end.unwrap());
}

#[tokio::test]
async fn r04_streams_of_http2_finish_where_they_began() {
    let long = Gate::new();
    let upstream = model_server(&long, &Gate::new()).await;
    let mut gateway = setup(&upstream).start().await;
    let mut driving = JoinSet::new();
    let stream = tokio::net::TcpStream::connect(gateway.address).await;
    let mut sender = http2_on(stream.unwrap(), &mut driving).await;
    let mut bodies = Vec::new();
    for _ in 0..STREAMS {
        bodies.push(first_event(sender.send_request(stream_request()).await).await);
    }
    let successor = gateway.upgrade().await;
    gateway.logged("has taken over").await;
    bodies.iter().for_each(|_| long.open());
    for body in bodies {
        finish(body).await;
    }
    // The client has been told that nothing more is taken here.
    all_end(driving).await;
    sender.send_request(health_request()).await.unwrap_err();
    assert_eq!(gateway.ended().await.code(), Some(0));
    successor.stranger().get("/readyz").await.expect(200);
}

#[tokio::test]
async fn r04_idle_connections_have_their_next_request_answered_or_none_of_it() {
    let upstream = model_server(&Gate::new(), &Gate::new()).await;
    let mut gateway = setup(&upstream).start().await;
    let request = format!("GET /healthz HTTP/1.1\r\n{}\r\n", authorized());
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut raw = Raw::connect(gateway.address).await;
        raw.send(&request).await;
        raw.read_until("true").await;
        idle.push(raw);
    }
    let _successor = gateway.upgrade().await;
    gateway.logged("has taken over").await;
    let mut answered = 0;
    // Half of them ask at once, the others never do.
    let silent = idle.split_off(CONNECTIONS / 2);
    for mut raw in idle {
        raw.send(&request).await;
        let reply = raw.reply().await;
        if !reply.bytes.is_empty() {
            assert_eq!(reply.status(), 200, "{}", reply.text());
            assert!(reply.is_whole() && !reply.was_reset, "{}", reply.text());
            assert!(reply.text().contains("connection: close"));
            answered += 1;
        }
    }
    assert!(answered > 0, "none was answered");
    for raw in silent {
        let reply = raw.reply().await;
        assert!(reply.bytes.is_empty() && !reply.was_reset);
    }
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn r04_encrypted_connections_finish_and_new_ones_are_taken() {
    let long = Gate::new();
    let upstream = model_server(&long, &Gate::new()).await;
    let (mut gateway, encryption) = setup(&upstream).start_encrypted().await;
    let address = gateway.address;
    let mut driving = JoinSet::new();
    let one = encryption.connect(address, "http/1.1").await;
    let mut one = http1_on(one, &mut driving).await;
    let two = encryption.connect(address, "h2").await;
    let mut two = http2_on(two, &mut driving).await;
    let mut fresh = http1_on(encryption.connect(address, "http/1.1").await, &mut driving).await;
    let bodies = [
        first_event(one.send_request(stream_request()).await).await,
        first_event(two.send_request(stream_request()).await).await,
    ];
    let _successor = gateway.upgrade().await;
    gateway.logged("has taken over").await;
    let answer = fresh.send_request(health_request()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["connection"], "close");
    answer.into_body().collect().await.unwrap();
    for protocol in ["http/1.1", "h2"] {
        let mut new = JoinSet::new();
        let io = encryption.connect(address, protocol).await;
        let answer = if protocol == "h2" {
            http2_on(io, &mut new)
                .await
                .send_request(health_request())
                .await
        } else {
            http1_on(io, &mut new)
                .await
                .send_request(health_request())
                .await
        };
        assert_eq!(answer.unwrap().status(), StatusCode::OK, "{protocol}");
    }
    bodies.iter().for_each(|_| long.open());
    for body in bodies {
        finish(body).await;
    }
    all_end(driving).await;
    assert_eq!(gateway.ended().await.code(), Some(0));
}
