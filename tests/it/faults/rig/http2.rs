//! HTTP/2 frame by frame: a client may send what no library would.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::PATIENCE;
use crate::support::{USER_KEY, within};

/// Kinds of frames.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags of frames.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// The error by which a peer is told that it floods.
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error of a GOAWAY or RST_STREAM frame.
    pub(crate) fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// The status that a HEADERS frame begins with, as the gateway encodes it: indexed, or a literal of three digits.
    pub(crate) fn status(&self) -> u16 {
        const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
        match self.payload.first() {
            Some(first @ 0x88..=0x8e) => INDEXED[usize::from(first - 0x88)],
            _ => 0,
        }
    }
}

/// A connection with prior knowledge.
pub(crate) struct Http2 {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Http2 {
    /// Connects and sends the preface with these settings.
    pub(crate) async fn connect(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut connection = Self {
            stream,
            buffer: Vec::new(),
        };
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat())
            .collect();
        let bytes = [PREFACE, &frame(SETTINGS, 0, 0, &payload)].concat();
        connection.stream.write_all(&bytes).await.unwrap();
        connection
    }

    /// Sends frames as they are; false once the gateway has closed.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// The next frame, `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        within(PATIENCE, "a frame", self.read()).await
    }

    async fn read(&mut self) -> Option<Frame> {
        while self.buffer.len() < 9 || self.buffer.len() < 9 + self.length() {
            if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        }
        let rest = self.buffer.split_off(9 + self.length());
        let bytes = std::mem::replace(&mut self.buffer, rest);
        let stream = u32::from_be_bytes(bytes[5..9].try_into().unwrap());
        Some(Frame {
            kind: bytes[3],
            flags: bytes[4],
            stream,
            payload: bytes[9..].to_vec(),
        })
    }

    fn length(&self) -> usize {
        usize::from(self.buffer[0]) << 16
            | usize::from(self.buffer[1]) << 8
            | usize::from(self.buffer[2])
    }

    /// Reads until a frame of this kind comes, `None` if the connection ends before.
    pub(crate) async fn until(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Reads until data of this stream comes.
    pub(crate) async fn until_data_of(&mut self, stream: u32) -> Vec<u8> {
        loop {
            let frame = self.until(DATA).await.expect("data of the stream");
            if frame.stream == stream {
                return frame.payload;
            }
        }
    }

    /// Reads to the end of the connection: the error of its GOAWAY, if there was one.
    pub(crate) async fn farewell(&mut self) -> Option<u32> {
        let mut error = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                error = Some(frame.error());
            }
        }
        error
    }
}

/// A frame in bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The fields of a request with the key of the tests, not indexed.
pub(crate) fn fields_of(method: &str, path: &str) -> Vec<u8> {
    let bearer = format!("Bearer {USER_KEY}");
    let fields = [
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "gateway"),
        ("authorization", &bearer),
        ("content-type", "application/json"),
    ];
    fields
        .iter()
        .flat_map(|(name, value)| field(name, value))
        .collect()
}

/// One literal field that is not indexed (RFC 7541, 6.2.2).
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 127, "short texts only");
        bytes.push(length);
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// A whole request without a body.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        stream,
        &fields_of("GET", path),
    )
}

/// A whole request with a body.
pub(crate) fn post(stream: u32, path: &str, body: &[u8]) -> Vec<u8> {
    let head = frame(HEADERS, END_HEADERS, stream, &fields_of("POST", path));
    [head, frame(DATA, END_STREAM, stream, body)].concat()
}
