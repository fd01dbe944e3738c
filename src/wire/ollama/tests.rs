//! Translations against the vectors in `tests/wire/ollama`, three of them recorded from the real
//! product.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;

use super::*;
use crate::wire::json::Document;

const ID: &str = "chatcmpl-6f1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";
const CREATED: u64 = 1_700_000_000;

/// Calls `check` with the path, input and expected output of every vector of `kind`.
fn for_each_vector(kind: &str, mut check: impl FnMut(&Path, Bytes, &str)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/wire/ollama")
        .join(kind);
    let entries = fs::read_dir(folder).unwrap();
    let paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    let inputs = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "in"));
    let mut count = 0;
    for path in inputs {
        let expected = fs::read_to_string(path.with_extension("out")).unwrap();
        check(path, Bytes::from(fs::read(path).unwrap()), &expected);
        count += 1;
    }
    assert!(count > 5, "the vectors are in place");
}

/// JSON is compared as values, anything else as it is.
fn assert_same(ours: &str, expected: &str, path: &Path) {
    let value = |text: &str| serde_json::from_str::<Value>(text).ok();
    match (value(ours), value(expected)) {
        (Some(ours), Some(expected)) => assert_eq!(ours, expected, "{}", path.display()),
        _ => assert_eq!(ours.trim_end(), expected.trim_end(), "{}", path.display()),
    }
}

fn text<E: fmt::Display>(result: Result<Bytes, E>) -> String {
    match result {
        Ok(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        Err(error) => format!("error: {error}\n"),
    }
}

#[test]
fn requests_are_said_in_ollamas_words() {
    for_each_vector("request", |path, input, expected| {
        let document = Document::parse(input).unwrap();
        assert_same(&text(request(&document, "m:1")), expected, path);
    });
}

#[test]
fn whole_replies_become_completions() {
    for_each_vector("reply", |path, input, expected| {
        assert_same(
            &text(completion(&input, ID, CREATED, "m:1")),
            expected,
            path,
        );
    });
}

fn translate(pieces: &[&[u8]], model: &str) -> (String, bool) {
    let mut translator = StreamTranslator::new(ID, CREATED, model);
    let mut frames = String::new();
    for piece in pieces {
        translator.push(piece);
        while let Some(frame) = translator.next_frame() {
            frames += &text(frame);
        }
    }
    translator.finish();
    while let Some(frame) = translator.next_frame() {
        frames += &text(frame);
    }
    (frames, translator.is_complete())
}

#[test]
fn streams_become_chunks_however_they_are_cut() {
    for_each_vector("stream", |path, input, expected| {
        let model = match path.file_stem().and_then(|name| name.to_str()) {
            Some("words") => "oecho:latest",
            Some("thinking") => "othink:latest",
            Some("tools") => "otools:latest",
            _ => "m:1",
        };
        let complete = expected.ends_with("data: [DONE]\n\n");
        for cut in 0..=input.len() {
            let pieces = [&input[..cut], &input[cut..]];
            let translated = translate(&pieces, model);
            assert_eq!(
                translated,
                (expected.to_owned(), complete),
                "{} cut at {cut}",
                path.display()
            );
        }
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(translate(&bytes, model).0, expected, "{}", path.display());
    });
}

#[test]
fn frames_come_as_soon_as_their_line_has_ended() {
    let mut translator = StreamTranslator::new(ID, CREATED, "m:1");
    translator.push(b"{\"message\":{\"content\":\"a\"}}");
    assert_eq!(translator.next_frame(), None);
    translator.push(b"\n");
    assert!(translator.next_frame().is_some());
    assert!(!translator.is_complete());
}

#[test]
fn a_line_without_end_is_refused() {
    let mut translator = StreamTranslator::new(ID, CREATED, "m:1");
    let megabyte = vec![b'x'; 1 << 20];
    for _ in 0..9 {
        translator.push(&megabyte);
    }
    assert_eq!(translator.next_frame(), Some(Err(ReplyError::TooLong)));
    translator.finish();
    assert_eq!(translator.next_frame(), None);
}

#[test]
fn a_model_without_tag_is_the_latest() {
    let document = Document::parse(Bytes::from_static(b"{}")).unwrap();
    let body = request(&document, "llama").unwrap();
    assert_eq!(body, "{\"model\":\"llama:latest\",\"stream\":false}");
}

#[test]
fn numbers_and_order_survive() {
    let source = b"{\"tools\":[{\"b\":1e+400,\"a\":0.10}],\"seed\":123456789012345678901234567890}";
    let document = Document::parse(Bytes::from_static(source)).unwrap();
    assert_eq!(
        request(&document, "m:1").unwrap(),
        "{\"model\":\"m:1\",\"tools\":[{\"b\":1e+400,\"a\":0.10}],\"stream\":false,\
         \"options\":{\"seed\":123456789012345678901234567890}}"
    );
}

#[test]
fn the_deepest_document_that_passes_the_gate_is_translated() {
    let depth = crate::wire::json::MAX_DEPTH - 1;
    let nested = format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let document = Document::parse(Bytes::from(nested)).unwrap();
    assert!(request(&document, "m:1").is_ok());
}

#[test]
fn ids_of_calls_follow_from_the_id_of_the_answer() {
    let reply = br#"{"message":{"tool_calls":[{"function":{"name":"a"}},{"function":{"name":"b"}}]},"done":true}"#;
    let ids = |answer_id: &str| {
        let answer = completion(reply, answer_id, CREATED, "m").unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let calls = &answer["choices"][0]["message"]["tool_calls"];
        [calls[0]["id"].clone(), calls[1]["id"].clone()]
    };
    assert_eq!(
        ids("m-00000000-0000-4000-8000-ffffffffffff"),
        [
            "call_00000000-0000-4000-8000-ffffffffffff",
            "call_00000000-0000-4000-8000-000000000000"
        ]
    );
    assert_eq!(ids("ä"), ["call_ä_0", "call_ä_1"]);
    assert_eq!(
        ids("x-yyyyyyyyyyyy"),
        ["call_x-yyyyyyyyyyyy_0", "call_x-yyyyyyyyyyyy_1"]
    );
}

#[test]
fn models_are_listed_with_their_entries() {
    let tags = br#"{"models":[{"name":"N","model":"m:latest","size":1},{"name":"n:1"},{"size":2},{"model":3}]}"#;
    let models = models(tags).unwrap();
    let ids: Vec<_> = models
        .iter()
        .map(|model| (model.id.as_str(), model.name.as_str()))
        .collect();
    assert_eq!(ids, [("m:latest", "N"), ("n:1", "n:1")]);
    assert_eq!(models[0].raw, r#"{"name":"N","model":"m:latest","size":1}"#);
    assert_eq!(super::models(b"<html>"), Err(ReplyError::Invalid));
    assert_eq!(
        super::models(b"{\"error\":\"no\"}"),
        Err(ReplyError::Refused("no".to_owned()))
    );
}

#[test]
fn error_texts_are_found() {
    assert_eq!(
        error_text(b"{\"error\":\"model 'x' not found\"}").as_deref(),
        Some("model 'x' not found")
    );
    assert_eq!(error_text(b"{\"error\":null}"), None);
    assert_eq!(error_text(b"{}"), None);
    assert_eq!(error_text(b"<html>"), None);
}
