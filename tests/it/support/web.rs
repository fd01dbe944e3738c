//! Small servers of the web, in the clear and with TLS, that answer all requests in one way.

use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use super::ports::listen;

/// A server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Web {
    /// Where it listens on 127.0.0.1.
    pub(crate) port: u16,
    serving: AbortHandle,
}

impl Web {
    /// One that answers everybody with this text.
    pub(crate) async fn saying(text: &str) -> Self {
        let length = text.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}");
        Self::start(listen().await, answer, None)
    }

    /// One that sends everybody elsewhere.
    pub(crate) async fn leading_to(location: &str) -> Self {
        let answer =
            format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        Self::start(listen().await, answer, None)
    }

    /// One that says this text over TLS as `127.0.0.1` and `localhost`; its certificate is put into a file.
    pub(crate) async fn encrypted(text: &str, certificate: &Path) -> Self {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        std::fs::write(certificate, made.cert.pem()).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        let length = text.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}");
        Self::start(listen().await, answer, Some(Arc::new(config).into()))
    }

    /// Host and port.
    pub(crate) fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn start(listener: TcpListener, answer: String, tls: Option<TlsAcceptor>) -> Self {
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, tls) = (answer.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &answer).await,
                        // A client that refuses the certificate has its reasons.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &answer).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            port,
            serving: serving.abort_handle(),
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Answers each head without a body that comes, until it is asked to close or the client leaves.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str) {
    let mut head = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut head).await {
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let is_last = String::from_utf8_lossy(&head).contains("Connection: close");
        if stream.write_all(answer.as_bytes()).await.is_err() || is_last {
            break;
        }
        head.clear();
    }
    // One that has gone needs no end.
    let _ = stream.shutdown().await;
}
