//! The module map is a test: who may use whom, and where each outside crate lives.
//!
//! It reads the sources and compares the `crate::` names and the outside crates in them with two tables, which are
//! those of `docs/ARCHITECTURE.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The ways in: they have one shape, and may use each other.
const WAYS_IN: &[&str] = &["chat", "models", "passthrough", "actions", "tools"];

/// What each module may use besides itself. `*` is everything.
const MAY_USE: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("wire", &[]),
    ("telemetry", &[]),
    ("timer", &[]),
    ("lookout", &[]),
    ("native", &["wire"]),
    ("body", &["error"]),
    ("config", &["error", "native"]),
    ("store", &["error", "config"]),
    ("auth", &["error", "config", "store", "wire"]),
    ("registry", &["error", "config", "store", "wire"]),
    ("egress", &["config"]),
    (
        "host",
        &[
            "error",
            "config",
            "native",
            "registry",
            "wire",
            "telemetry",
            "egress",
        ],
    ),
    ("upstream", &["error", "body", "config", "timer", "wire"]),
    (
        "chat",
        &[
            "error",
            "body",
            "config",
            "auth",
            "native",
            "registry",
            "host",
            "upstream",
            "wire",
            "telemetry",
            "lookout",
        ],
    ),
    (
        "models",
        &[
            "error",
            "body",
            "config",
            "auth",
            "registry",
            "host",
            "upstream",
            "wire",
            "telemetry",
        ],
    ),
    (
        "passthrough",
        &[
            "error",
            "body",
            "config",
            "auth",
            "registry",
            "host",
            "upstream",
            "wire",
            "telemetry",
        ],
    ),
    (
        "actions",
        &[
            "error",
            "body",
            "config",
            "auth",
            "registry",
            "host",
            "upstream",
            "wire",
            "telemetry",
        ],
    ),
    (
        "tools",
        &[
            "error",
            "body",
            "config",
            "auth",
            "registry",
            "host",
            "upstream",
            "wire",
            "telemetry",
        ],
    ),
    (
        "admin",
        &[
            "error", "body", "config", "auth", "native", "registry", "store", "host", "wire",
            "download",
        ],
    ),
    ("download", &["config", "egress"]),
    (
        "server",
        &[
            "error",
            "body",
            "config",
            "auth",
            "chat",
            "models",
            "passthrough",
            "actions",
            "admin",
            "telemetry",
            "timer",
            "lookout",
        ],
    ),
    ("cli", &["config"]),
    ("gateway", &["*"]),
    ("commands", &["*"]),
    ("demo", &["*"]),
    ("main", &["*"]),
    ("lib", &["*"]),
];

/// Outside crates that have a home, and the modules that may name them.
const HOMES: &[(&str, &[&str])] = &[
    ("hyper", &["server", "upstream"]),
    ("hyper_util", &["server", "upstream"]),
    ("tower", &["server", "upstream", "admin"]),
    ("axum", &["admin"]),
    ("reqwest", &["upstream", "download", "commands", "demo"]),
    ("arc_swap", &["registry"]),
    ("rusqlite", &["store"]),
    ("moka", &["auth", "models", "upstream"]),
    ("notify", &["registry"]),
    ("clap", &["cli", "main"]),
    ("toml", &["config"]),
    ("frames", &["host"]),
    ("heap", &["server"]),
    ("socket2", &["server"]),
    ("pingora_ketama", &["upstream"]),
    ("rustls", &["server", "upstream", "main"]),
    ("tokio_rustls", &["server", "upstream"]),
    ("tracing_subscriber", &["telemetry"]),
    ("prometheus_client", &["telemetry"]),
    ("anyhow", &["main"]),
    ("pyo3", &[]),
    ("landlock", &[]),
    ("seccompiler", &[]),
];

#[test]
fn modules_use_only_what_the_map_allows() {
    let table: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut broken = Vec::new();
    for file in sources() {
        let Some(allowed) = table.get(file.module.as_str()) else {
            broken.push(format!(
                "{}: module `{}` is not in the map",
                file.path.display(),
                file.module
            ));
            continue;
        };
        for used in names_after(&file.text, "crate::") {
            let is_own = used == file.module
                || WAYS_IN.contains(&&*used) && WAYS_IN.contains(&&*file.module);
            if !is_own
                && !allowed.contains(&"*")
                && table.contains_key(&*used)
                && !allowed.contains(&&*used)
            {
                broken.push(format!(
                    "{}: `{}` may not use `{used}`",
                    file.path.display(),
                    file.module
                ));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn outside_crates_stay_in_their_homes() {
    let mut broken = Vec::new();
    for file in sources() {
        for (name, homes) in HOMES {
            let is_named =
                words(&file.text).any(|(word, next)| word == *name && next.starts_with("::"));
            if is_named && !homes.contains(&file.module.as_str()) {
                broken.push(format!(
                    "{}: `{name}` lives in {homes:?}",
                    file.path.display()
                ));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_architecture_document_names_every_module() {
    let document = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let modules = MAY_USE
        .iter()
        .map(|(module, _)| *module)
        .filter(|module| !["main", "lib"].contains(module));
    let missing: Vec<&str> = modules
        .filter(|module| !document.contains(&format!("`{module}`")))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/ARCHITECTURE.md does not name {missing:?}"
    );
}

/// One source file without its comments and tests.
struct Source {
    path: PathBuf,
    module: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    assert!(files.len() > 50, "the sources are not where they should be");
    let read = |path: PathBuf| {
        let inside = path.strip_prefix(&src).unwrap();
        let first = inside
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        let text = fs::read_to_string(&path).unwrap();
        Source {
            module: first.trim_end_matches(".rs").to_owned(),
            text: code_of(&text),
            path,
        }
    };
    files.into_iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !is_test_file(&path)
        {
            files.push(path);
        }
    }
}

/// Tests beside the code may use what they need.
fn is_test_file(path: &Path) -> bool {
    path.components()
        .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

fn code_of(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The names that follow `prefix`, groups in braces included.
fn names_after(text: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices(prefix) {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|character| character.is_alphanumeric() || character == '_') {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(group_heads(group)),
            None => drop(names.insert(word_at(rest))),
        }
    }
    names
}

/// The first words of the members of a `use` group.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut expects) = (0, Vec::new(), true);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expects = true,
            character if expects && character.is_alphabetic() => {
                heads.push(word_at(&group[at..]));
                expects = false;
            }
            _ => {}
        }
    }
    heads
}

fn word_at(text: &str) -> String {
    text.chars()
        .take_while(|character| character.is_alphanumeric() || *character == '_')
        .collect()
}

/// Every word of a text with what follows it.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    (0..bytes.len())
        .filter(move |at| is_word(bytes[*at]) && (*at == 0 || !is_word(bytes[*at - 1])))
        .map(move |at| {
            let length = bytes[at..]
                .iter()
                .position(|byte| !is_word(*byte))
                .unwrap_or(bytes.len() - at);
            text[at..].split_at(length)
        })
}

#[test]
fn the_reader_of_this_test_reads_right() {
    let names = names_after(
        "use crate::{a::b, c::{d, e}, f};\nlet x = crate::g::h; mycrate::no;",
        "crate::",
    );
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "c", "f", "g"]);
    let words: Vec<_> = words("a::b xa::c").collect();
    assert_eq!(words[0], ("a", "::b xa::c"));
    assert_eq!(words.len(), 4);
}
