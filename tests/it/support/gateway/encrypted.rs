//! Gateways that are spoken to in TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{Setup, TestGateway};

/// What a client needs to trust a gateway of a test.
#[derive(Clone, Debug)]
pub(crate) struct Encryption(RootCertStore);

impl Encryption {
    /// A connection on which this protocol is agreed on.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        protocol: &str,
    ) -> TlsStream<TcpStream> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.0.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.into()];
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(name, tcp).await.unwrap();
        assert_eq!(
            stream.get_ref().1.alpn_protocol(),
            Some(protocol.as_bytes())
        );
        stream
    }
}

impl Setup {
    /// Starts it with a certificate of its own and waits until it listens.
    pub(crate) async fn start_encrypted(self) -> (TestGateway, Encryption) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let (chain, key) = (self.home().join("cert.pem"), self.home().join("key.pem"));
        std::fs::write(&chain, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let settings = format!("tls.cert = {chain:?}\ntls.key = {key:?}");
        let gateway = self.settings(&settings).listening().await;
        (gateway, Encryption(roots))
    }
}
