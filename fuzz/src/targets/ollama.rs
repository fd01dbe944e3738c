//! Ollama's API: requests into it, and replies out of it, from clients and servers that send anything.

use bytes::Bytes;
use serde_json::Value;
use sluicegate::wire::json::Document;
use sluicegate::wire::ollama::{self, ReplyError, StreamTranslator};
use sluicegate::wire::sse::Event;

use super::splits;

/// Reads `bytes` as a stream, as a whole reply, as a list of models and as a request.
pub fn check(bytes: &[u8]) {
    let expected = translated(&[bytes]);
    for split in splits(bytes) {
        assert_eq!(translated(&split), expected);
    }
    is_stream(&expected.0, expected.1);
    if let Ok(answer) = ollama::completion(bytes, "id", 1, "m") {
        let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
        assert!(answer["choices"][0]["message"]["content"].is_string());
    }
    if let Ok(models) = ollama::models(bytes) {
        models.iter().for_each(|model| {
            drop(serde_json::from_slice::<Value>(&model.raw).expect("an entry is JSON"))
        });
    }
    if let Ok(document) = Document::parse(Bytes::copy_from_slice(bytes)) {
        request(&document);
    }
}

fn request(document: &Document) {
    let Ok(request) = ollama::request(document, "m") else {
        return;
    };
    let request: Value = serde_json::from_slice(&request).expect("a request is JSON");
    assert_eq!(request["model"], "m:latest");
    assert!(request.get("stream").is_some());
}

fn translated(pieces: &[&[u8]]) -> (Vec<Result<Bytes, ReplyError>>, bool) {
    let mut translator = StreamTranslator::new("id", 1, "m");
    pieces.iter().for_each(|piece| translator.push(piece));
    translator.finish();
    let frames = std::iter::from_fn(|| translator.next_frame()).collect();
    (frames, translator.is_complete())
}

/// Chunks, then the end marker or an error, and nothing after either.
fn is_stream(frames: &[Result<Bytes, ReplyError>], is_complete: bool) {
    let (last, chunks) = frames.split_last().expect("a stream ends in some way");
    for chunk in chunks {
        let event = Event::parse(chunk.clone().expect("an error is the last"));
        let data = event.data.expect("each event has data");
        let chunk: Value = serde_json::from_slice(&data).expect("a chunk is JSON");
        assert_eq!(chunk["object"], "chat.completion.chunk");
    }
    let is_done = last
        .as_ref()
        .is_ok_and(|last| Event::parse(last.clone()).is_done());
    assert_eq!(is_done, is_complete);
    assert!(is_done || last.is_err());
}
