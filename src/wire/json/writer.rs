//! Objects put together from JSON that is there already, without a tree.

use bytes::Bytes;

use super::write_quoted;

/// Bytes around a member: a comma, two quotes, a colon, and the brace at the end.
const PUNCTUATION: usize = 5;

/// Writes a JSON object. Keys are ours: they need no escapes, and none comes twice.
#[derive(Debug)]
pub struct ObjectWriter(Vec<u8>);

impl ObjectWriter {
    /// An object without members, and room for so many bytes of them.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        let mut written = Vec::with_capacity(bytes);
        written.push(b'{');
        Self(written)
    }

    /// Adds a member whose value is JSON.
    pub fn raw(&mut self, key: &str, json: &[u8]) -> &mut Self {
        // Once for the whole member: a body that grows a buffer by doubling is copied on the way.
        self.0.reserve(key.len() + json.len() + PUNCTUATION);
        self.key(key);
        self.0.extend_from_slice(json);
        self
    }

    /// Adds a member whose value is a number.
    pub fn number(&mut self, key: &str, number: u64) -> &mut Self {
        self.raw(key, number.to_string().as_bytes())
    }

    /// Adds a member whose value is a string.
    pub fn text(&mut self, key: &str, text: &str) -> &mut Self {
        self.key(key);
        write_quoted(&mut self.0, text);
        self
    }

    /// Adds a member whose value is an array of strings.
    pub fn texts(&mut self, key: &str, texts: &[String]) -> &mut Self {
        self.elements(key, texts, |written, text| write_quoted(written, text))
    }

    /// Adds a member whose value is an array of what is JSON.
    pub fn array(&mut self, key: &str, items: &[Bytes]) -> &mut Self {
        let length: usize = items.iter().map(|item| item.len() + 1).sum();
        self.0.reserve(key.len() + length + PUNCTUATION);
        self.elements(key, items, |written, item| written.extend_from_slice(item))
    }

    fn elements<T>(
        &mut self,
        key: &str,
        items: &[T],
        write: impl Fn(&mut Vec<u8>, &T),
    ) -> &mut Self {
        self.key(key);
        self.0.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            write(&mut self.0, item);
        }
        self.0.push(b']');
        self
    }

    /// Adds members as they stand, between commas but with none around them.
    pub fn members(&mut self, members: &str) -> &mut Self {
        self.comma();
        self.0.extend_from_slice(members.as_bytes());
        self
    }

    fn key(&mut self, key: &str) {
        self.comma();
        self.0.push(b'"');
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn comma(&mut self) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
    }

    /// The object.
    #[must_use]
    pub fn finish(mut self) -> Bytes {
        self.0.push(b'}');
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_in_order_and_make_an_object() {
        let mut object = ObjectWriter::with_room(0);
        object.number("n", 7).text("t", "a\"b").raw("r", b"[1]");
        object.texts("s", &["x".to_owned(), "\n".to_owned()]);
        object.array("a", &[]).members(r#""m":null,"o":{}"#);
        assert_eq!(
            object.finish(),
            r#"{"n":7,"t":"a\"b","r":[1],"s":["x","\n"],"a":[],"m":null,"o":{}}"#
        );
        assert_eq!(ObjectWriter::with_room(8).finish(), "{}");
    }
}
