//! The frames between gateway and workers.

use bytes::{Buf, BytesMut};
use frames::{DecodeError, Decoder, Frame, HEADER_BYTES, Kind, MAX_PAYLOAD_BYTES, encode};

use super::splits;

/// Reads `bytes` as what a socket brings.
pub fn check(bytes: &[u8]) {
    let expected = slowly(bytes);
    for split in splits(bytes) {
        assert_eq!(decoded(&split), expected);
    }
    let mut written = BytesMut::new();
    expected
        .0
        .iter()
        .for_each(|frame| encode(frame, &mut written));
    assert!(
        bytes.starts_with(&written),
        "what was read is written as it came"
    );
}

fn decoded(pieces: &[&[u8]]) -> (Vec<Frame>, Option<DecodeError>) {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.buffer.extend_from_slice(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

/// The frames at the front of `bytes`, and what is wrong behind them.
fn slowly(mut bytes: &[u8]) -> (Vec<Frame>, Option<DecodeError>) {
    let mut frames = Vec::new();
    while bytes.len() >= HEADER_BYTES {
        let (length, id) = (bytes.get_u32_le(), bytes.get_u32_le());
        let (code, flags, handler) = (bytes.get_u8(), bytes.get_u8(), bytes.get_u16_le());
        let Some(kind) = Kind::from_code(code) else {
            return (frames, Some(DecodeError::UnknownKind(code)));
        };
        if length as usize > MAX_PAYLOAD_BYTES {
            return (frames, Some(DecodeError::TooLong(length)));
        }
        if bytes.len() < length as usize {
            break;
        }
        let payload = bytes.copy_to_bytes(length as usize);
        frames.push(Frame {
            kind,
            id,
            flags,
            handler,
            payload,
        });
    }
    (frames, None)
}
