//! A client that is bytes in, bytes out.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::PATIENCE;
use crate::support::{USER_KEY, eventually, within};

/// A connection to the gateway.
pub(crate) struct Raw(TcpStream);

/// All that came back on a connection until the gateway closed it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) bytes: Vec<u8>,
    /// Whether it ended with a reset.
    pub(crate) was_reset: bool,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// A connection whose system takes next to nothing before the program reads it.
    pub(crate) async fn connect_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self(socket.connect(address).await.unwrap())
    }

    /// Sends bytes; a gateway that has closed already takes none.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Sends bytes one by one, so often, until all are sent or the gateway closes.
    pub(crate) async fn trickle(&mut self, bytes: &[u8], pause: Duration) {
        for byte in bytes {
            if !self.send([*byte]).await {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Reads until `wanted` is there.
    pub(crate) async fn read_until(&mut self, wanted: &str) -> String {
        let mut seen = Vec::new();
        let read = async {
            while !String::from_utf8_lossy(&seen).contains(wanted) {
                let count = self.0.read_buf(&mut seen).await.unwrap();
                assert_ne!(count, 0, "ended: {}", String::from_utf8_lossy(&seen));
            }
        };
        within(PATIENCE, wanted, read).await;
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// Waits until the gateway has read all that was sent: its system holds none of it back.
    pub(crate) async fn taken(&self) {
        let (ours, theirs) = (self.0.local_addr().unwrap(), self.0.peer_addr().unwrap());
        let is_empty = async || {
            let waiting = waiting_bytes(ours, theirs)? + waiting_bytes(theirs, ours)?;
            (waiting == 0).then_some(())
        };
        eventually(PATIENCE, "the gateway to read everything", is_empty).await;
    }

    /// What comes within this time, `None` if nothing does.
    pub(crate) async fn reads_within(&mut self, time: Duration) -> Option<String> {
        let mut seen = Vec::new();
        let read = tokio::time::timeout(time, self.0.read_buf(&mut seen)).await;
        read.is_ok()
            .then(|| String::from_utf8_lossy(&seen).into_owned())
    }

    /// Reads until the gateway closes.
    pub(crate) async fn reply(mut self) -> Reply {
        let mut bytes = Vec::new();
        let read = self.0.read_to_end(&mut bytes);
        let ended = within(PATIENCE, "the end of a connection", read).await;
        Reply {
            bytes,
            was_reset: ended.is_err(),
        }
    }

    /// The same from another address of this machine.
    pub(crate) async fn connect_from(from: &str, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket
            .bind(SocketAddr::new(from.parse().unwrap(), 0))
            .unwrap();
        Self(socket.connect(address).await.unwrap())
    }

    /// Sends bytes and reads until the gateway closes.
    pub(crate) async fn asks(mut self, bytes: &str) -> Reply {
        self.send(bytes).await;
        self.reply().await
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn half_close(&mut self) {
        self.0.shutdown().await.unwrap();
    }

    /// Leaves without a word.
    pub(crate) fn reset(self) {
        self.0.set_zero_linger().unwrap();
    }
}

/// Sends bytes on a connection of their own, and reads until the gateway closes.
pub(crate) async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Reply {
    let mut raw = Raw::connect(address).await;
    raw.send(bytes).await;
    raw.reply().await
}

/// How many bytes the system holds for this end of a connection, sent and not taken or received and not read.
fn waiting_bytes(here: SocketAddr, there: SocketAddr) -> Option<u64> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |place: &str| u16::from_str_radix(place.rsplit(':').next()?, 16).ok();
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, remote) = (port(fields.next()?)?, port(fields.next()?)?);
        let (sent, received) = fields.nth(1)?.split_once(':')?;
        let bytes = |hex: &str| u64::from_str_radix(hex, 16).ok();
        let is_it = (local, remote) == (here.port(), there.port());
        is_it.then_some(bytes(sent)? + bytes(received)?)
    })
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The status of the first answer, 0 if there is none.
    pub(crate) fn status(&self) -> u16 {
        let text = self.text();
        let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
        status.and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// How many answers came.
    pub(crate) fn count(&self) -> usize {
        self.text().matches("HTTP/1.").count()
    }

    /// Whether the framing says that the answer is whole.
    pub(crate) fn is_whole(&self) -> bool {
        let (head, body) = self.split();
        let head = head.to_ascii_lowercase();
        if head.contains("transfer-encoding: chunked") {
            return body.ends_with(b"0\r\n\r\n");
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        length.map_or(!self.was_reset, |length| length.parse() == Ok(body.len()))
    }

    /// The `code` of an error's body.
    pub(crate) fn code(&self) -> String {
        let (_, body) = self.split();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        body["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    fn split(&self) -> (String, Vec<u8>) {
        let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = self
            .bytes
            .split_at(end.map_or(self.bytes.len(), |end| end + 4));
        (String::from_utf8_lossy(head).into_owned(), body.to_vec())
    }
}

/// Fields that let a request in.
pub(crate) fn authorized() -> String {
    format!(
        "Host: gateway\r\nAuthorization: Bearer {USER_KEY}\r\nContent-Type: application/json\r\n"
    )
}

/// A chat, with these fields besides the usual ones, each with its line end.
pub(crate) fn chat_request(fields: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\n{}{fields}Content-Length: {}\r\n\r\n",
        authorized(),
        body.len()
    );
    (head + &body).into_bytes()
}

/// A request for a path after whose answer the gateway closes.
pub(crate) fn get_request(path: &str, fields: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\n{}Connection: close\r\n{fields}\r\n",
        authorized()
    )
}
