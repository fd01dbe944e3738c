//! As much of HTTP/1.1 as both ends of a load run need.

use memchr::memmem;

/// The end of a chunked body.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The head of a message, and how long the message is.
#[derive(Debug)]
pub(crate) struct Head {
    text: String,
    /// Head and body together; without a `content-length` the head alone.
    pub(crate) length_bytes: usize,
}

impl Head {
    /// The head at the start of `bytes`, once it is there.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let end = memmem::find(bytes, b"\r\n\r\n")? + 4;
        let mut head = Self {
            text: String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase(),
            length_bytes: end,
        };
        let body = head.number("content-length").unwrap_or(0);
        head.length_bytes += usize::try_from(body).ok()?;
        Some(head)
    }

    /// The value of a header that is a number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        let lines = self.text.lines();
        let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        values.next()?.trim().parse().ok()
    }

    /// Whether it is the head of an answer that succeeded.
    pub(crate) fn is_success(&self) -> bool {
        self.text.starts_with("http/1.1 200 ")
    }

    /// Its first line.
    pub(crate) fn first_line(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }
}

/// `data` as one chunk of a body.
pub(crate) fn chunk(data: &[u8]) -> Vec<u8> {
    let size = format!("{:x}\r\n", data.len());
    [size.as_bytes(), data, b"\r\n"].concat()
}
