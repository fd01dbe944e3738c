//! Chunks and whole answers that the gateway writes itself, for pipes and translated upstreams.

use std::fmt;

use bytes::Bytes;

use crate::wire::json::write_quoted;
use crate::wire::sse;

/// Writes the chunks of one streamed answer, all with one id and one time.
#[derive(Clone)]
pub struct ChunkMaker {
    /// Everything that is the same in every chunk before the first difference.
    head: Vec<u8>,
}

/// What one chunk says. Members in `&[u8]` are JSON.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// The object `delta`.
    pub delta: &'a [u8],
    /// Why the answer ends, in its last chunk.
    pub finish_reason: Option<&'a str>,
    /// The object `logprobs`.
    pub logprobs: Option<&'a [u8]>,
    /// The object `usage`.
    pub usage: Option<&'a [u8]>,
}

impl Default for Part<'_> {
    fn default() -> Self {
        Self {
            delta: b"{}",
            finish_reason: None,
            logprobs: None,
            usage: None,
        }
    }
}

/// Without the delta, which is somebody's answer.
impl fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("finish_reason", &self.finish_reason)
            .finish_non_exhaustive()
    }
}

impl ChunkMaker {
    /// A maker of chunks with this id, time in Unix seconds, and model.
    #[must_use]
    pub fn new(id: &str, created: u64, model: &str) -> Self {
        let mut head = b"data: ".to_vec();
        write_head(&mut head, id, created, model);
        Self { head }
    }

    /// The event that adds `text` to the answer.
    #[must_use]
    pub fn content(&self, text: &str) -> Bytes {
        let mut delta = Vec::with_capacity(text.len() + 16);
        delta.extend_from_slice(b"{\"content\":");
        write_quoted(&mut delta, text);
        delta.push(b'}');
        self.chunk(&Part {
            delta: &delta,
            ..Part::default()
        })
    }

    /// The event that says why the answer ends.
    #[must_use]
    pub fn finish(&self, reason: &str) -> Bytes {
        self.chunk(&Part {
            finish_reason: Some(reason),
            ..Part::default()
        })
    }

    /// The event that ends the stream.
    #[must_use]
    pub fn done(&self) -> Bytes {
        sse::DONE
    }

    /// The event that says `part`.
    #[must_use]
    pub fn chunk(&self, part: &Part<'_>) -> Bytes {
        let mut written = Vec::with_capacity(self.head.len() + part.delta.len() + 160);
        written.extend_from_slice(&self.head);
        write_choice(&mut written, part, "delta");
        write_tail(&mut written, "chat.completion.chunk", part.usage);
        written.extend_from_slice(b"\n\n");
        Bytes::from(written)
    }
}

/// Without the head, which names the model and is of no use to a reader.
impl fmt::Debug for ChunkMaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkMaker")
    }
}

/// A whole answer with one choice of plain text.
#[must_use]
pub fn completion(id: &str, created: u64, model: &str, text: &str) -> Bytes {
    let mut message = b"{\"role\":\"assistant\",\"content\":".to_vec();
    write_quoted(&mut message, text);
    message.push(b'}');
    let part = Part {
        delta: &message,
        finish_reason: Some("stop"),
        ..Part::default()
    };
    write_answer(&Answer { id, created, model }, &part)
}

/// What a whole answer says about itself.
pub(in crate::wire) struct Answer<'a> {
    pub(in crate::wire) id: &'a str,
    pub(in crate::wire) created: u64,
    pub(in crate::wire) model: &'a str,
}

/// A whole answer with one choice, whose message is the `delta` of `part`.
pub(in crate::wire) fn write_answer(answer: &Answer<'_>, part: &Part<'_>) -> Bytes {
    let mut written = Vec::with_capacity(part.delta.len() + 256);
    write_head(&mut written, answer.id, answer.created, answer.model);
    write_choice(&mut written, part, "message");
    write_tail(&mut written, "chat.completion", part.usage);
    Bytes::from(written)
}

fn write_head(written: &mut Vec<u8>, id: &str, created: u64, model: &str) {
    written.extend_from_slice(b"{\"id\":");
    write_quoted(written, id);
    written.extend_from_slice(format!(",\"created\":{created},\"model\":").as_bytes());
    write_quoted(written, model);
    written.extend_from_slice(b",\"choices\":[");
}

fn write_choice(written: &mut Vec<u8>, part: &Part<'_>, name: &str) {
    written.extend_from_slice(b"{\"index\":0,\"logprobs\":");
    written.extend_from_slice(part.logprobs.unwrap_or(b"null"));
    written.extend_from_slice(b",\"finish_reason\":");
    match part.finish_reason {
        Some(reason) => write_quoted(written, reason),
        None => written.extend_from_slice(b"null"),
    }
    written.extend_from_slice(b",\"");
    written.extend_from_slice(name.as_bytes());
    written.extend_from_slice(b"\":");
    written.extend_from_slice(part.delta);
    written.push(b'}');
}

fn write_tail(written: &mut Vec<u8>, object: &str, usage: Option<&[u8]>) {
    written.extend_from_slice(b"],\"object\":\"");
    written.extend_from_slice(object.as_bytes());
    written.push(b'"');
    if let Some(usage) = usage {
        written.extend_from_slice(b",\"usage\":");
        written.extend_from_slice(usage);
    }
    written.push(b'}');
}
