//! The payload of an `Events` frame: events of a stream, which are read one by one.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::texts;

/// Events for the `stream` of one function: texts, of which the first two say whose they are. Each is JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The request.
    pub request: u32,
    /// Where the metadata stands; empty if it is not told.
    pub metadata: Range<usize>,
    /// Where each event stands.
    pub events: Vec<Range<usize>>,
}

impl Batch {
    /// The payload that carries `events`; `metadata` is empty if the function has been told of it.
    #[must_use]
    pub fn encode(request: u32, metadata: &[u8], events: &[Bytes]) -> Bytes {
        let head = request.to_le_bytes();
        let bytes = events.iter().map(Bytes::len).sum::<usize>();
        let room = texts::room(2 + events.len(), head.len() + metadata.len() + bytes);
        let mut payload = BytesMut::with_capacity(room);
        texts::add(&mut payload, &head);
        texts::add(&mut payload, metadata);
        for event in events {
            texts::add(&mut payload, event);
        }
        payload.freeze()
    }

    /// Reads a payload; `None` if it is no such thing.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut places = texts::places(payload)?.into_iter();
        let request = payload[places.next()?].try_into().ok()?;
        Some(Self {
            request: u32::from_le_bytes(request),
            metadata: places.next()?,
            events: places.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_read_again() {
        let events = [Bytes::from_static(b"{}"), Bytes::from_static(b"{\"a\":1}")];
        let payload = Batch::encode(7, b"{\"m\":0}", &events);
        let batch = Batch::decode(&payload).unwrap();
        assert_eq!(batch.request, 7);
        assert_eq!(&payload[batch.metadata], b"{\"m\":0}");
        let read: Vec<_> = batch.events.into_iter().map(|it| &payload[it]).collect();
        assert_eq!(read, events);
    }

    #[test]
    fn what_does_not_say_whose_it_is_is_none() {
        assert_eq!(Batch::decode(b""), None);
        let mut payload = BytesMut::new();
        texts::add(&mut payload, b"123");
        texts::add(&mut payload, b"");
        assert_eq!(Batch::decode(&payload), None);
    }
}
