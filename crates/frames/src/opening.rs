//! The payload of an `Open` frame: parts that a function may never look at, so no part is read to get at another.

use std::ops::Range;

use bytes::{BufMut, Bytes};

/// What a function is told of a request. Each is JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The caller.
    User,
    /// The caller's values for the function's user valves.
    UserValves,
    /// `__metadata__`.
    Metadata,
    /// The model's entry.
    Model,
    /// The HTTP request: `{"method", "url", "headers", "client", "body"?}`.
    Request,
    /// The slots of the functions of its group that this one may find beside it.
    Siblings,
}

/// How many kinds of [`Told`] there are.
const PARTS: usize = 6;

/// Bytes before the first part: slot, version of the valves, and the length of each part.
const HEAD_BYTES: usize = 4 + 8 + PARTS * 4;

/// What begins a request for one function.
///
/// | bytes | field |
/// |---|---|
/// | 4 | slot |
/// | 8 | version of the valves |
/// | 6 × 4 | length of each part, in the order of [`Told`]; 0 for one that is not told |
/// | | the parts |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening<'a> {
    /// The function.
    pub slot: u32,
    /// The version of its valves.
    pub valves: u64,
    parts: [&'a [u8]; PARTS],
}

impl<'a> Opening<'a> {
    /// One that tells nothing yet.
    #[must_use]
    pub fn new(slot: u32, valves: u64) -> Self {
        Self {
            slot,
            valves,
            parts: [b""; PARTS],
        }
    }

    /// Tells `json` as well.
    #[must_use]
    pub fn with(mut self, told: Told, json: &'a [u8]) -> Self {
        self.parts[told as usize] = json;
        self
    }

    /// The payload.
    ///
    /// # Panics
    ///
    /// If a part is longer than 4 GiB, which no frame could carry.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let length: usize = self.parts.iter().map(|part| part.len()).sum();
        let mut payload = Vec::with_capacity(HEAD_BYTES + length);
        payload.put_u32_le(self.slot);
        payload.put_u64_le(self.valves);
        for part in self.parts {
            payload.put_u32_le(u32::try_from(part.len()).expect("a part fits into a frame"));
        }
        for part in self.parts {
            payload.put_slice(part);
        }
        payload.into()
    }

    /// Reads a payload; `None` if it is no such thing.
    #[must_use]
    pub fn decode(payload: &'a [u8]) -> Option<Self> {
        let (head, mut rest) = payload.split_at_checked(HEAD_BYTES)?;
        let mut parts = [b"".as_slice(); PARTS];
        for (part, length) in parts.iter_mut().zip(head[12..].as_chunks().0) {
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            (*part, rest) = rest.split_at_checked(length)?;
        }
        rest.is_empty().then_some(Self {
            slot: u32::from_le_bytes(*head.first_chunk()?),
            valves: u64::from_le_bytes(*head[4..].first_chunk()?),
            parts,
        })
    }

    /// Where each part stands in the payload that this was read from.
    #[must_use]
    pub fn places(&self) -> Places {
        let mut start = HEAD_BYTES;
        Places(self.parts.map(|part| {
            let place = start..start + part.len();
            start = place.end;
            place
        }))
    }
}

/// Where the parts of an [`Opening`] stand in its payload.
#[derive(Clone, Debug)]
pub struct Places([Range<usize>; PARTS]);

impl Places {
    /// Where this one stands; `None` if it is not told.
    #[must_use]
    pub fn of(&self, told: Told) -> Option<Range<usize>> {
        let place = self.0[told as usize].clone();
        (!place.is_empty()).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_read_again() {
        let opening = Opening::new(7, u64::MAX)
            .with(Told::Siblings, b"[7,8]")
            .with(Told::User, b"{}");
        let payload = opening.encode();
        let read = Opening::decode(&payload).unwrap();
        assert_eq!(read, opening);
        let text = |told| read.places().of(told).map(|place| &payload[place]);
        assert_eq!(text(Told::User), Some(&b"{}"[..]));
        assert_eq!(text(Told::Siblings), Some(&b"[7,8]"[..]));
        assert_eq!(text(Told::Model), None);
    }

    #[test]
    fn what_is_cut_or_too_long_is_none() {
        let payload = Opening::new(1, 2).with(Told::Model, b"{}").encode();
        for length in 0..payload.len() {
            assert_eq!(Opening::decode(&payload[..length]), None, "{length}");
        }
        let longer = [&payload[..], b" "].concat();
        assert_eq!(Opening::decode(&longer), None);
    }
}
