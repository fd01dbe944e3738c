//! Bytes to frames and back, without a socket.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{HEADER_BYTES, Kind, MAX_PAYLOAD_BYTES};

/// One message, decoded as far as the protocol itself goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the frame says.
    pub kind: Kind,
    /// What it is about: slot, request, call or callback.
    pub id: u32,
    /// Detail that depends on the kind.
    pub flags: u8,
    /// A handler's code in a call, else 0.
    pub handler: u16,
    /// The message itself.
    pub payload: Bytes,
}

impl Frame {
    /// A frame without flags and handler.
    #[must_use]
    pub fn new(kind: Kind, id: u32, payload: Bytes) -> Self {
        Self {
            kind,
            id,
            flags: 0,
            handler: 0,
            payload,
        }
    }
}

/// Appends `frame` to `out`.
///
/// # Panics
///
/// If the payload is longer than a `u32` can say, which callers rule out by [`MAX_PAYLOAD_BYTES`].
pub fn encode(frame: &Frame, out: &mut BytesMut) {
    let length = u32::try_from(frame.payload.len()).expect("payload length fits its field");
    out.reserve(HEADER_BYTES + frame.payload.len());
    out.put_u32_le(length);
    out.put_u32_le(frame.id);
    out.put_u8(frame.kind.code());
    out.put_u8(frame.flags);
    out.put_u16_le(frame.handler);
    out.put_slice(&frame.payload);
}

/// Why bytes are no frame. The connection they came from cannot be used further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The kind is none of this protocol's.
    UnknownKind(u8),
    /// The payload would be longer than [`MAX_PAYLOAD_BYTES`].
    TooLong(u32),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKind(code) => write!(f, "unknown frame kind: {code}"),
            Self::TooLong(length) => write!(f, "frame too long: {length} bytes"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Takes frames off the front of a buffer that a socket fills.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Bytes received and not yet decoded; read into it directly.
    pub buffer: BytesMut,
}

impl Decoder {
    /// The next whole frame, `None` if more bytes are needed.
    ///
    /// # Errors
    ///
    /// If the bytes at the front are no frame.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, DecodeError> {
        if self.buffer.len() < HEADER_BYTES {
            return Ok(None);
        }
        let mut header = &self.buffer[..HEADER_BYTES];
        let length = header.get_u32_le();
        let id = header.get_u32_le();
        let code = header.get_u8();
        let flags = header.get_u8();
        let handler = header.get_u16_le();
        let kind = Kind::from_code(code).ok_or(DecodeError::UnknownKind(code))?;
        let payload_bytes = length as usize;
        if payload_bytes > MAX_PAYLOAD_BYTES {
            return Err(DecodeError::TooLong(length));
        }
        if self.buffer.len() < HEADER_BYTES + payload_bytes {
            self.buffer
                .reserve(HEADER_BYTES + payload_bytes - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(HEADER_BYTES);
        let payload = self.buffer.split_to(payload_bytes).freeze();
        Ok(Some(Frame {
            kind,
            id,
            flags,
            handler,
            payload,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<Frame> {
        vec![
            Frame::new(Kind::Ping, 7, Bytes::new()),
            Frame {
                kind: Kind::Chunk,
                id: u32::MAX,
                flags: 2,
                handler: 0,
                payload: Bytes::from_static(b"data: x"),
            },
            Frame {
                kind: Kind::Call,
                id: 1,
                flags: 0,
                handler: 3,
                payload: Bytes::from(vec![b'a'; 70_000]),
            },
        ]
    }

    #[test]
    fn frames_survive_any_split() {
        let mut wire = BytesMut::new();
        frames().iter().for_each(|frame| encode(frame, &mut wire));
        for step in [1, 5, 11, 12, 13, 4096, wire.len()] {
            let mut decoder = Decoder::default();
            let mut decoded = Vec::new();
            for piece in wire.chunks(step) {
                decoder.buffer.extend_from_slice(piece);
                while let Some(frame) = decoder.next_frame().expect("own encoding decodes") {
                    decoded.push(frame);
                }
            }
            assert_eq!(decoded, frames(), "step {step}");
        }
    }

    #[test]
    fn garbage_is_refused() {
        let mut decoder = Decoder::default();
        decoder.buffer.extend_from_slice(&[0; HEADER_BYTES]);
        assert_eq!(decoder.next_frame(), Err(DecodeError::UnknownKind(0)));
        let mut decoder = Decoder::default();
        decoder
            .buffer
            .extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 9, 0, 0, 0]);
        assert_eq!(decoder.next_frame(), Err(DecodeError::TooLong(u32::MAX)));
    }
}
