//! Where functions wait until a test lets them go on.

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::ports::listen;
use super::wait::within;
use crate::PATIENCE;

/// A function connects to it, says who it is in one line, and waits for the end of the connection.
#[derive(Debug)]
pub(crate) struct Door {
    /// Where functions knock.
    pub(crate) port: u16,
    listener: TcpListener,
}

/// A function that waits. Dropping it lets the function go on.
#[derive(Debug)]
pub(crate) struct Waiting(TcpStream);

impl Waiting {
    /// Resolves once the function does not wait any more by itself.
    pub(crate) async fn left(mut self) {
        let end = self.0.read_u8();
        assert!(within(PATIENCE, "an end", end).await.is_err());
    }
}

impl Door {
    /// Begins to listen.
    pub(crate) async fn start() -> Self {
        let listener = listen().await;
        let port = listener.local_addr().unwrap().port();
        Self { port, listener }
    }

    /// Waits until `who` waits.
    pub(crate) async fn expect(&self, who: &str) -> Waiting {
        let knock = async {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let mut name = String::new();
            while !name.ends_with('\n') {
                name.push(char::from(stream.read_u8().await.unwrap()));
            }
            (stream, name)
        };
        let (stream, name) = within(PATIENCE, who, knock).await;
        assert_eq!(name.trim_end(), who);
        Waiting(stream)
    }
}
