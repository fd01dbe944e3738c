//! Hears from functions inside their processes: each tells what happens to it over a connection of its own.

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::ports::listen;
use super::wait::within;
use crate::PATIENCE;

/// Listens for what functions have to tell.
#[derive(Debug)]
pub(crate) struct Witness {
    /// Where functions tell it.
    pub(crate) port: u16,
    heard: mpsc::UnboundedReceiver<(String, Instant)>,
}

impl Witness {
    /// Begins to listen.
    pub(crate) async fn start() -> Self {
        let listener = listen().await;
        let port = listener.local_addr().unwrap().port();
        let (tell, heard) = mpsc::unbounded_channel();
        // Ends with the test's runtime.
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(hear(stream, tell.clone()));
            }
        });
        Self { port, heard }
    }

    /// Waits for the next thing told, which must be `expected`; when it was heard.
    pub(crate) async fn expect(&mut self, expected: &str) -> Instant {
        let (text, at) = within(PATIENCE, expected, self.heard.recv()).await.unwrap();
        assert_eq!(text, expected);
        at
    }
}

async fn hear(mut stream: TcpStream, tell: mpsc::UnboundedSender<(String, Instant)>) {
    let mut text = String::new();
    if stream.read_to_string(&mut text).await.is_ok() {
        // The test may be over.
        let _ = tell.send((text, Instant::now()));
    }
}
