//! A stream of Ollama's, one JSON object a line, into a stream of chunks.

use std::collections::VecDeque;
use std::fmt;

use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value};

use super::reply::{CallIds, Message, Reply, ReplyError};
use crate::wire::openai::{ChunkMaker, Part};
use crate::wire::sse::MAX_EVENT_BYTES;

/// Reads Ollama's lines and writes chunks. Like [`Decoder`](crate::wire::sse::Decoder): push what
/// has come, then take frames until there are none.
pub struct StreamTranslator {
    chunks: ChunkMaker,
    calls: CallIds,
    tail: BytesMut,
    frames: VecDeque<Result<Bytes, ReplyError>>,
    started: bool,
    ended: bool,
    complete: bool,
}

impl StreamTranslator {
    /// A translator of one answer with this id, time in Unix seconds, and model.
    #[must_use]
    pub fn new(id: &str, created: u64, model: &str) -> Self {
        Self {
            chunks: ChunkMaker::new(id, created, model),
            calls: CallIds::new(id),
            tail: BytesMut::new(),
            frames: VecDeque::new(),
            started: false,
            ended: false,
            complete: false,
        }
    }

    /// Takes the next piece of the stream, cut anywhere.
    pub fn push(&mut self, chunk: &[u8]) {
        if self.ended {
            return;
        }
        let mut rest = chunk;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end + 1);
            self.end_line(line);
            rest = after;
        }
        self.tail.extend_from_slice(rest);
        if self.tail.len() > MAX_EVENT_BYTES {
            self.tail.clear();
            self.fail(ReplyError::TooLong);
        }
    }

    /// The next event of the translated stream. An error is the last thing that comes.
    pub fn next_frame(&mut self) -> Option<Result<Bytes, ReplyError>> {
        self.frames.pop_front()
    }

    /// The stream has ended: what is left is a line too, if it is whole, and an answer that was not
    /// finished is cut.
    pub fn finish(&mut self) {
        let rest = std::mem::take(&mut self.tail);
        if !matches!(Reply::parse(&rest), Err(ReplyError::Invalid)) {
            self.read_line(&rest);
        }
        self.fail(ReplyError::Cut);
    }

    /// Whether the answer came to its end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    fn end_line(&mut self, last_piece: &[u8]) {
        if self.tail.is_empty() {
            return self.read_line(last_piece);
        }
        let mut line = std::mem::take(&mut self.tail);
        line.extend_from_slice(last_piece);
        self.read_line(&line);
    }

    fn read_line(&mut self, line: &[u8]) {
        if self.ended || line.trim_ascii().is_empty() {
            return;
        }
        match Reply::parse(line) {
            Ok(reply) => self.translate(&reply),
            Err(error) => self.fail(error),
        }
    }

    fn translate(&mut self, reply: &Reply) {
        let done = reply.is_done();
        let delta = self.delta(reply.message.as_ref(), done);
        // A piece that says nothing is left out: the chunk would look like the end of the answer.
        if delta.is_empty() && !done {
            return;
        }
        let usage = done.then(|| reply.usage_json());
        let logprobs = reply.logprobs_json();
        let part = Part {
            delta: &Value::Object(delta).to_string().into_bytes(),
            finish_reason: done.then(|| reply.finish_reason(self.calls.any())),
            logprobs: logprobs.as_deref(),
            usage: usage.as_deref(),
        };
        self.frames.push_back(Ok(self.chunks.chunk(&part)));
        if done {
            self.frames.push_back(Ok(self.chunks.done()));
            self.complete = true;
            self.ended = true;
        }
    }

    /// What a line adds to the answer. The first that adds anything, at the latest the last, says
    /// who speaks.
    fn delta(&mut self, message: Option<&Message>, done: bool) -> Map<String, Value> {
        let mut delta = Map::new();
        if let Some(message) = message {
            if let Some(content) = message.content() {
                delta.insert("content".to_owned(), content.into());
            }
            message.write_extras(&mut delta, &mut self.calls);
        }
        if !self.started && (done || !delta.is_empty()) {
            delta.insert("role".to_owned(), "assistant".into());
            self.started = true;
        }
        delta
    }

    fn fail(&mut self, error: ReplyError) {
        if !self.ended {
            self.frames.push_back(Err(error));
            self.ended = true;
        }
    }
}

/// Without the frames, which are somebody's answer.
impl fmt::Debug for StreamTranslator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamTranslator")
            .field("complete", &self.complete)
            .finish_non_exhaustive()
    }
}
