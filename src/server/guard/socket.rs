//! What the guard asks of a socket, whether it is encrypted or not.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A client's connection.
pub(in crate::server) trait Socket: AsyncRead + AsyncWrite + Unpin {
    /// Lets the system forget, when the socket is dropped, what its client has not taken: it would keep that for minutes
    /// for a client that reads nothing.
    fn reset_on_close(&self);
}

impl Socket for TcpStream {
    fn reset_on_close(&self) {
        // A connection that is gone already has nothing to forget.
        let _ = self.set_zero_linger();
    }
}

impl<S: Socket> Socket for TlsStream<S> {
    fn reset_on_close(&self) {
        self.get_ref().0.reset_on_close();
    }
}
