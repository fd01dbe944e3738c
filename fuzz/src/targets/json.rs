//! The gate: it lets through exactly what the reference parser reads, strict about keys, and finds the same in it.

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sluicegate::wire::json::{self, Alike, Document, Kind, Node, Reason, Tape};

use crate::oracles::{self, Strict};

/// Reads `bytes` as JSON, as text to be quoted, and as two texts to be compared.
pub fn check(bytes: &[u8]) {
    judge(bytes);
    let shared = Bytes::copy_from_slice(bytes);
    if let Ok(document) = Document::parse(shared.clone()) {
        members(&document);
    }
    if let Ok(found) = json::elements(&shared) {
        let expected: Vec<&RawValue> = serde_json::from_slice(bytes).expect("it is an array");
        let expected: Vec<&[u8]> = expected
            .iter()
            .map(|value| value.get().as_bytes())
            .collect();
        assert_eq!(found, expected);
    }
    quoting(&String::from_utf8_lossy(bytes));
    let middle = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len() / 2);
    compare(
        &bytes[..middle],
        bytes.get(middle + 1..).unwrap_or_default(),
    );
    alike(&bytes[..middle], bytes);
    // Whatever it is, it is no reason to panic.
    let _ = json::unquote(bytes);
}

/// What is checked by comparing it with a text before is judged as alone: the whole after its first part, with something
/// else in one of its strings, and as it is.
fn alike(part: &[u8], whole: &[u8]) {
    let mut alike = Alike::default();
    let quotes = whole.iter().enumerate().filter(|(_, byte)| **byte == b'"');
    let other = quotes.take(8).map(|(place, _)| {
        let (before, behind) = whole.split_at(place + 1);
        [before, part, behind].concat()
    });
    let texts = [part.to_vec(), whole.to_vec()].into_iter().chain(other);
    for text in texts.chain([whole.to_vec()]) {
        let text = Bytes::from(text);
        let (one, other) = (alike.parse(text.clone()), Tape::parse(text));
        assert_eq!(one.as_ref().err(), other.as_ref().err());
        if let (Ok(one), Ok(other)) = (one, other) {
            same_places(one.root(), other.root());
        }
    }
}

fn same_places(one: Node<'_>, other: Node<'_>) {
    assert_eq!(one.range(), other.range());
    let (ones, others) = (one.members(), other.members());
    for ((name, one), (known, other)) in ones.zip(others) {
        assert_eq!(name, known);
        same_places(one, other);
    }
    for (one, other) in one.elements().zip(other.elements()) {
        same_places(one, other);
    }
}

fn judge(bytes: &[u8]) {
    let verdict = json::validate(bytes);
    match verdict {
        Ok(()) => {
            serde_json::from_slice::<Strict>(bytes).expect("the gate let it through");
            serde_json::from_slice::<Value>(bytes).expect("the gate let it through");
        }
        Err(invalid) => {
            assert!(invalid.offset <= bytes.len(), "{invalid}");
            let theirs = serde_json::from_slice::<Strict>(bytes);
            assert!(
                theirs.is_err() || invalid.reason == Reason::ReservedKey,
                "refused: {invalid}"
            );
        }
    }
}

fn members(document: &Document) {
    let tree = serde_json::from_slice::<Map<String, Value>>(document.bytes());
    let tree = tree.expect("the gate let it through");
    let found: Vec<(String, Bytes)> = document
        .iter()
        .map(|(key, raw)| (key.into_owned(), raw))
        .collect();
    assert!(found.iter().map(|(key, _)| key).eq(tree.keys()));
    for (key, raw) in found {
        let value = &tree[&key];
        assert_eq!(
            &serde_json::from_slice::<Value>(&raw).expect("a value"),
            value
        );
        assert_eq!(document.raw(&key), Some(raw));
        assert_eq!(document.string(&key).as_deref(), value.as_str());
        assert_eq!(document.boolean(&key), value.as_bool());
        assert_eq!(document.kind(&key), Some(kind_of(value)));
    }
}

fn kind_of(value: &Value) -> Kind {
    match value {
        Value::Null => Kind::Null,
        Value::Bool(_) => Kind::Boolean,
        Value::Number(_) => Kind::Number,
        Value::String(_) => Kind::String,
        Value::Array(_) => Kind::Array,
        Value::Object(_) => Kind::Object,
    }
}

fn quoting(text: &str) {
    let quoted = json::quote(text);
    assert_eq!(json::validate(&quoted), Ok(()));
    assert_eq!(json::unquote(&quoted).as_deref(), Some(text));
}

/// Texts that are equivalent stand for the same tree, and a text is to itself however it is written.
fn compare(one: &[u8], other: &[u8]) {
    let tree = |text: &[u8]| {
        json::validate(text).ok()?;
        serde_json::from_slice::<Value>(text).ok()
    };
    let Some(left) = tree(one) else { return };
    assert!(json::equivalent(one, &oracles::respelt(one)));
    if let Some(right) = tree(other) {
        let (left, right) = (left.to_string(), right.to_string());
        // A number with an exponent has several spellings, which are told apart here and not in the tree.
        let is_same = json::equivalent(one, other);
        assert!(is_same == (left == right) || !is_same && left.contains(['e', 'E']));
    }
}
