//! Chunks and answers of OpenAI's kind, from servers that send anything.

use bytes::Bytes;
use serde_json::Value;
use sluicegate::wire::json::{self, Document};
use sluicegate::wire::openai::{AnswerText, answer_to_events, events_to_answer, usage_of};
use sluicegate::wire::sse::Event;

/// Reads `bytes` as an answer, and their lines as chunks.
pub fn check(bytes: &[u8]) {
    let mut answer = AnswerText::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        answer.push(line);
        // Whatever it is, it is no reason to panic.
        let _ = usage_of(line);
    }
    is_answer(&answer);
    if let Ok(document) = Document::parse(Bytes::copy_from_slice(bytes)) {
        whole(&document);
    }
}

/// What chunks add up to is an answer that any client can read.
fn is_answer(answer: &AnswerText) {
    let whole = events_to_answer(answer);
    let whole: Value = serde_json::from_slice(&whole).expect("an answer is JSON");
    assert_eq!(whole["object"], "chat.completion");
    let choices = whole["choices"]
        .as_array()
        .expect("there is a list of choices");
    for choice in choices {
        assert!(choice["message"]["role"].is_string());
        assert!(choice["message"].get("content").is_some());
    }
    let message = answer.assistant_message();
    assert!(message["role"].is_string() && message.get("content").is_some());
    if let Some(first) = choices.first() {
        assert_eq!(first["message"], message);
    }
}

/// A whole answer as events is one chunk each, and they add up to its texts again.
fn whole(document: &Document) {
    let events = answer_to_events(document);
    let (last, mut sum) = (events.len() - 1, AnswerText::new());
    for (at, raw) in events.iter().enumerate() {
        assert!(raw.ends_with(b"\n\n"));
        let event = Event::parse(raw.clone());
        let data = event.data.as_ref().expect("each event has data");
        assert!(event.is_done() && at == last || json::validate(data).is_ok() || at == 0);
        sum.push(data);
    }
    let Ok(answer) = serde_json::from_slice::<Value>(document.bytes()) else {
        return;
    };
    let Some([choice]) = answer["choices"].as_array().map(Vec::as_slice) else {
        return;
    };
    if let Some(text) = choice["message"]["content"].as_str() {
        assert_eq!(sum.content(), text);
    }
}
