//! `docs/RELIABILITY.md` names tests: each of them must be there.

use std::fs;
use std::path::{Path, PathBuf};

const TABLE: &str = "docs/RELIABILITY.md";

#[test]
fn every_test_that_the_table_of_faults_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = sources_below(&["tests/it", "src", "crates"].map(|folder| root.join(folder)));
    let table = fs::read_to_string(root.join(TABLE)).unwrap();
    let named: Vec<(&str, &str)> = table.lines().flat_map(names_of).collect();
    assert!(named.len() > 100, "the table is read: {}", named.len());
    let missing: Vec<_> = named
        .iter()
        .filter(|(_, name)| !is_there(name, &sources))
        .collect();
    assert!(
        missing.is_empty(),
        "{TABLE} names what is gone: {missing:?}"
    );
}

#[test]
fn the_reader_of_the_table_tells_what_is_there() {
    let sources = [(
        PathBuf::from("/a/tests/it/faults/client/slow.rs"),
        "async fn c01_reads_nothing() {".to_owned(),
    )];
    for name in [
        "faults::client::slow::c01_…",
        "c01_reads_nothing",
        "slow::*",
        "client::slow",
    ] {
        assert!(is_there(name, &sources), "{name}");
    }
    for name in [
        "faults::client::fast::c01_…",
        "slow::c02_…",
        "c01_reads",
        "fast::*",
    ] {
        assert!(!is_there(name, &sources), "{name}");
    }
    let row = "| C01 | slow | `slow::c01_…`, R03 | `503` | passed |";
    assert_eq!(names_of(row), [("C01", "slow::c01_…")]);
    assert!(names_of("| id | fault | test | x | state |").is_empty());
}

/// The row and the names in its column of tests; files and commands are none.
fn names_of(line: &str) -> Vec<(&str, &str)> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let [_, row, _, tests, ..] = cells[..] else {
        return Vec::new();
    };
    let is_name = |name: &&str| !name.contains([' ', '/']);
    let quoted = tests.split('`').skip(1).step_by(2);
    quoted.filter(is_name).map(|name| (row, name)).collect()
}

/// A module, all of its tests (`*`), a test, or tests that begin so (`…`).
fn is_there(name: &str, sources: &[(PathBuf, String)]) -> bool {
    let (module, last) = name.rsplit_once("::").unwrap_or(("", name));
    let begins = last
        .strip_suffix('…')
        .map(|begin| begin.trim_start_matches('…'));
    let function = begins.map_or_else(|| format!("fn {last}("), |begin| format!("fn {begin}"));
    let holds = |text: &str| match name.starts_with('…') {
        // Only the middle of the name is given.
        true => text.contains(begins.unwrap_or(last)),
        false => text.contains(&function),
    };
    let whole = name.trim_end_matches("::*");
    sources.iter().any(|(path, text)| {
        let is_module = is_of(path, text, whole);
        is_module || is_of(path, text, module) && holds(text)
    })
}

/// Whether a file is this module, or holds it.
fn is_of(path: &Path, text: &str, module: &str) -> bool {
    let path = path.with_extension("");
    let (parent, last) = module.rsplit_once("::").unwrap_or(("", module));
    let ends = |module: &str| path.ends_with(module.replace("::", "/"));
    if module.is_empty() {
        return true;
    }
    ends(module) || !parent.is_empty() && ends(parent) && text.contains(&format!("mod {last} {{"))
}

fn sources_below(folders: &[PathBuf]) -> Vec<(PathBuf, String)> {
    let mut sources = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources.extend(sources_below(&[path]));
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                sources.push((path, text));
            }
        }
    }
    sources
}
