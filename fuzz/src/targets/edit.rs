//! Edits: a text changed by splicing says what a tree changed in the same way says.

use bytes::Bytes;
use serde_json::{Map, Value};
use sluicegate::wire::json::{self, Document};

use crate::mutation::Random;

/// Values that are set.
const VALUES: &[&str] = &[
    "null",
    "{}",
    "[1, 2]",
    "\"\\u0061\"",
    "-0.5",
    "{\"a\":{\"b\":[]}}",
];

/// Makes the changes that the end of `bytes` chooses to the document at their beginning.
pub fn check(bytes: &[u8]) {
    let Ok(document) = Document::parse(Bytes::copy_from_slice(bytes)) else {
        return;
    };
    let Ok(mut tree) = serde_json::from_slice::<Map<String, Value>>(bytes) else {
        return;
    };
    let mut random = Random::from(
        bytes
            .iter()
            .fold(0, |sum, byte| sum * 31 % 65_521 + u64::from(*byte)),
    );
    let mut keys: Vec<String> = tree.keys().cloned().collect();
    keys.extend(["new".to_owned(), "\u{1}\"\\é".to_owned(), String::new()]);
    let mut edit = document.edit();
    // Of several changes to one key the last counts, whatever those before it did to the order.
    let mut changes: Vec<(&str, Option<&str>)> = Vec::new();
    for _ in 0..random.below(6) {
        let key = keys[random.below(keys.len())].as_str();
        let value = VALUES.get(random.below(VALUES.len() + 2)).copied();
        match value {
            Some(value) => edit.set(key, Bytes::from_static(value.as_bytes())),
            None => edit.remove(key),
        };
        match changes.iter_mut().find(|(other, _)| *other == key) {
            Some((_, before)) => *before = value,
            None => changes.push((key, value)),
        }
    }
    for (key, value) in changes {
        match value {
            Some(value) => drop(tree.insert(
                key.to_owned(),
                serde_json::from_str(value).expect("it is JSON"),
            )),
            None => drop(tree.shift_remove(key)),
        }
    }
    let changed = edit.finish();
    assert_eq!(
        json::validate(&changed),
        Ok(()),
        "{}",
        changed.escape_ascii()
    );
    let changed: Value = serde_json::from_slice(&changed).expect("it is valid");
    assert_eq!(changed.to_string(), Value::Object(tree).to_string());
}
