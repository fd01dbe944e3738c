//! The block at the head of a function's file.

use std::collections::BTreeSet;

use sluicegate::registry::{frontmatter, is_function};

/// Reads `bytes` as the source of a function.
pub fn check(bytes: &[u8]) {
    let source = String::from_utf8_lossy(bytes);
    let pairs = frontmatter::parse(&source);
    let keys: BTreeSet<&str> = pairs.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys.len(), pairs.len(), "each key once");
    for (_, value) in &pairs {
        assert_eq!(value.trim(), value);
    }
    if !frontmatter::is_pipeline(&source) {
        assert_eq!(pairs, slowly(&source));
    } else {
        assert!(is_function(&source), "a pipeline is a function");
    }
    for requirement in frontmatter::requirements(&source) {
        assert!(
            !requirement.is_empty()
                && !requirement.contains(',')
                && requirement.trim() == requirement
        );
    }
}

/// Open WebUI's grammar, step by step.
fn slowly(source: &str) -> Vec<(String, String)> {
    const ENDS: &str = "\n\r\u{b}\u{c}\u{1c}\u{1d}\u{1e}\u{85}\u{2028}\u{2029}";
    let mut lines = vec![String::new()];
    for character in source.chars() {
        match lines.last_mut() {
            Some(line) if !ENDS.contains(character) => line.push(character),
            _ => lines.push(String::new()),
        }
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    if lines[0].trim() != "\"\"\"" {
        return pairs;
    }
    for line in &lines[1..] {
        if line.contains("\"\"\"") {
            break;
        }
        let key: String = line
            .trim_start()
            .chars()
            .take_while(|c| c.is_ascii_alphabetic() || *c == '_')
            .collect();
        let Some(value) = line.trim_start()[key.len()..].strip_prefix(':') else {
            continue;
        };
        match pairs.iter_mut().find(|(known, _)| *known == key) {
            _ if key.is_empty() => {}
            Some((_, known)) => *known = value.trim().to_owned(),
            None => pairs.push((key, value.trim().to_owned())),
        }
    }
    pairs
}
