//! Payloads of frames, put together from JSON that is there already.

use bytes::Bytes;

/// Bytes around a member: a comma, two quotes, a colon, and the brace at the end.
const PUNCTUATION: usize = 5;

/// Writes a JSON object whose values are JSON already.
pub(super) struct Payload(Vec<u8>);

impl Payload {
    pub(super) fn new() -> Self {
        Self(vec![b'{'])
    }

    pub(super) fn raw(&mut self, key: &str, json: &[u8]) -> &mut Self {
        // Once for the whole member: a body that grows a buffer by doubling is copied on the way.
        self.0.reserve(key.len() + json.len() + PUNCTUATION);
        self.key(key);
        self.0.extend_from_slice(json);
        self
    }

    pub(super) fn number(&mut self, key: &str, number: u64) -> &mut Self {
        self.raw(key, number.to_string().as_bytes())
    }

    pub(super) fn array(&mut self, key: &str, items: &[Bytes]) -> &mut Self {
        self.key(key);
        self.0.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            self.0.extend_from_slice(item);
        }
        self.0.push(b']');
        self
    }

    /// Keys are ours and need no escapes.
    fn key(&mut self, key: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    pub(super) fn finish(mut self) -> Bytes {
        self.0.push(b'}');
        self.0.into()
    }
}
