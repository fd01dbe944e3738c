//! Whom we trust, and that nobody else gets a byte.

use std::io::Write;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::fake::{Fake, json};
use super::*;
use crate::error::Kind;

/// A server with a certificate for `name`, and a file with that certificate.
async fn server_for(name: &str) -> (Fake, NamedTempFile) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed([name.to_owned()]).unwrap();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(cert.pem().as_bytes()).unwrap();
    let key = signing_key.serialize_der().try_into().unwrap();
    let config =
        ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    (Fake::answering_tls(json("{}"), acceptor).await, file)
}

#[tokio::test]
async fn a_server_with_a_certificate_from_ca_file_is_trusted() {
    let (mut server, file) = server_for("127.0.0.1").await;
    let upstreams = with_settings(&server.url, |settings| {
        settings.ca_file = Some(file.path().to_owned());
    });
    Request::default().whole(&upstreams).await;
    assert_eq!(server.counts(), (1, 1));
}

#[tokio::test]
async fn an_unknown_certificate_gets_nothing() {
    let (mut server, _file) = server_for("127.0.0.1").await;
    let error = Request::default().error(&upstreams([&server.url])).await;
    assert_eq!(error.kind(), Kind::UpstreamTls);
    assert_eq!(error.message(), "upstream `pool` failed the TLS handshake");
    assert_eq!(server.counts().1, 0);
}

#[tokio::test]
async fn a_certificate_of_another_host_gets_nothing() {
    let (mut server, file) = server_for("other.test").await;
    let upstreams = with_settings(&server.url, |settings| {
        settings.ca_file = Some(file.path().to_owned());
    });
    let error = Request::default().error(&upstreams).await;
    assert_eq!(error.kind(), Kind::UpstreamTls);
    assert_eq!(server.counts().1, 0);
}

#[tokio::test]
async fn a_handshake_that_hangs_is_a_tls_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/v1", listener.local_addr().unwrap());
    let upstreams = with_settings(&url, |settings| {
        settings.connect = Duration::from_millis(100);
    });
    let error = Request::default().error(&upstreams).await;
    assert_eq!(error.kind(), Kind::UpstreamTls);
}

#[tokio::test]
async fn a_plain_server_behind_https_gets_no_request() {
    let mut server = Fake::answering(json("{}")).await;
    let url = server.url.replace("http:", "https:");
    let upstreams = with_settings(&url, |settings| {
        settings.connect = Duration::from_millis(100);
    });
    let error = Request::default().error(&upstreams).await;
    assert_eq!(error.kind(), Kind::UpstreamTls);
    assert_eq!(server.counts().1, 0);
}

#[test]
fn a_ca_file_that_holds_no_certificate_is_a_mistake() {
    let mut settings = settings();
    let empty = NamedTempFile::new().unwrap();
    for path in [empty.path(), "/nonexistent".as_ref()] {
        settings.ca_file = Some(path.to_owned());
        let error = Directory::build(&[], &settings).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
}
