//! Ways to model servers: TCP, and TLS where the address says so.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

use super::directory::SetupError;

/// The most that one read gives. hyper takes a buffer of twice the size whenever a read has filled the one it had, and an
/// answer that waits for a slow client keeps two or three of them alive.
const READ_BYTES: usize = (16 << 10) - 1;

/// Why there is no connection. Nothing of the request was sent.
#[derive(Debug)]
pub(super) enum ConnectFailure {
    /// No address, refused, or no answer in time.
    Unreachable(Box<dyn StdError + Send + Sync>),
    /// The certificate or the handshake.
    Tls(Box<dyn StdError + Send + Sync>),
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable(_) => "no connection",
            Self::Tls(_) => "no TLS session",
        })
    }
}

impl StdError for ConnectFailure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let (Self::Unreachable(source) | Self::Tls(source)) = self;
        Some(source.as_ref())
    }
}

/// Opens connections. There is no way from `https` to plain text.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    tls: TlsConnector,
    limit: Duration,
}

impl Connector {
    /// A connector that waits up to `limit` for TCP (the name's look-up included), and again for
    /// TLS.
    pub(super) fn new(tls: Arc<ClientConfig>, limit: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(limit));
        Self {
            tcp,
            tls: TlsConnector::from(tls),
            limit,
        }
    }

    /// A way to the host and port of `uri`.
    pub(super) async fn connect(&self, uri: &Uri) -> Result<Socket, ConnectFailure> {
        let tcp = timeout(self.limit, self.tcp.clone().call(uri.clone()))
            .await
            .map_err(|late| ConnectFailure::Unreachable(late.into()))?
            .map_err(|error| ConnectFailure::Unreachable(error.into()))?;
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Ok(Socket::Plain(tcp));
        }
        let tls = timeout(self.limit, self.handshake(uri, tcp.into_inner()))
            .await
            .map_err(|late| ConnectFailure::Tls(late.into()))?
            .map_err(|error| ConnectFailure::Tls(error.into()))?;
        Ok(Socket::Tls(Box::new(TokioIo::new(tls))))
    }

    async fn handshake(&self, uri: &Uri, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        self.tls.connect(name, tcp).await
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

/// The two ends of one connection, in plain text or not.
pub(super) enum Socket {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Read for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let most = buffer.remaining().min(READ_BYTES);
        let mut read = ReadBuf::uninit(&mut space[..most]);
        ready!(match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(context, read.unfilled()),
            Self::Tls(io) => Pin::new(io).poll_read(context, read.unfilled()),
        })?;
        buffer.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl Write for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(context, buffer),
            Self::Tls(io) => Pin::new(io).poll_write(context, buffer),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(context),
            Self::Tls(io) => Pin::new(io).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(context),
            Self::Tls(io) => Pin::new(io).poll_shutdown(context),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(context, buffers),
            Self::Tls(io) => Pin::new(io).poll_write_vectored(context, buffers),
        }
    }
}

/// The roots we trust: those in `ca_file`, and the public ones where a server `needs_public` ones.
/// With ring, named outright: there may be no process-wide provider.
pub(super) fn tls_config(
    ca_file: Option<&Path>,
    needs_public: bool,
) -> Result<Arc<ClientConfig>, SetupError> {
    let mut roots = RootCertStore::empty();
    if needs_public {
        add_public(&mut roots);
    }
    if let Some(path) = ca_file {
        add_file(&mut roots, path)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The system's, or the web's where the system has none, as in bare containers.
fn add_public(roots: &mut RootCertStore) {
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), SetupError> {
    let at_fault = |why: &dyn fmt::Display| {
        SetupError::new(format!(
            "cannot read certificates from `{}`: {why}",
            path.display()
        ))
    };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| at_fault(&error))?;
    let before = roots.len();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| at_fault(&error))?;
        roots.add(certificate).map_err(|error| at_fault(&error))?;
    }
    if roots.len() == before {
        return Err(at_fault(&"it holds none"));
    }
    Ok(())
}
