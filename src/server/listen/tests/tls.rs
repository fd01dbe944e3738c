//! Encrypted connections.

use http_body_util::Empty;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::*;

/// A server's configuration and a client's that trusts it.
fn configs() -> (Arc<ServerConfig>, ClientConfig) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (crate::server::tls::load(&chain, &key).unwrap(), client)
}

async fn negotiate(protocols: &[&str]) -> (Gateway, tokio_rustls::client::TlsStream<TcpStream>) {
    let (server, mut client) = configs();
    client.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let mut settings = settings();
    settings.tls = Some(server);
    let gateway = start(&settings);
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(client));
    let stream = connector
        .connect(name, gateway.connect().await)
        .await
        .unwrap();
    (gateway, stream)
}

#[tokio::test]
async fn http1_is_served_and_checked_inside() {
    let (gateway, mut stream) = negotiate(&["http/1.1"]).await;
    ask(&mut stream, "/hello").await;
    read_until(&mut stream, "hello").await;
    stream.write_all(BAD.as_bytes()).await.unwrap();
    read_until(&mut stream, "400 Bad Request").await;
    gateway.end().await;
}

#[tokio::test]
async fn http2_is_negotiated() {
    let (gateway, stream) = negotiate(&["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    let driving = tokio::spawn(connection);
    let request = Request::get("https://localhost/hello")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "hello"
    );
    driving.abort();
    gateway.end().await;
}

#[tokio::test]
async fn a_handshake_that_hangs_is_closed() {
    let (server, _) = configs();
    let mut settings = settings();
    settings.tls = Some(server);
    settings.limits.head = Duration::from_millis(20);
    let gateway = start(&settings);
    assert_eq!(gateway.exchange("\u{16}\u{3}").await, "");
    gateway.end().await;
}
