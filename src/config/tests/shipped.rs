//! The files and the guide that are shipped say what the lists say.

use super::*;
use crate::config::settings::{FUNCTION_FIELDS, Field, UPSTREAM_FIELDS, USER_FIELDS};

const EVERY_KEY: &str = include_str!("../../../config/sluicegate.toml");
const GUIDE: &str = include_str!("../../../docs/CONFIG.md");
pub(super) const EXAMPLES: [(&str, &str); 4] = [
    (
        "openai",
        include_str!("../../../config/examples/openai.toml"),
    ),
    (
        "ollama",
        include_str!("../../../config/examples/ollama.toml"),
    ),
    (
        "many-backends",
        include_str!("../../../config/examples/many-backends.toml"),
    ),
    (
        "policy",
        include_str!("../../../config/examples/policy.toml"),
    ),
];
/// The variables that the examples name.
pub(super) const EXAMPLE_ENV: &[(&str, &str)] = &[
    ("OPENAI_KEY", "sk-a"),
    ("VLLM_KEY", "sk-b"),
    ("ALICE_KEY", "sk-c"),
    ("BOB_KEY", "sk-d"),
    ("OPERATOR_KEY", "sk-e"),
];

#[test]
fn examples_load() {
    for (name, text) in EXAMPLES {
        let loaded = load_text(text, &sources(EXAMPLE_ENV, &[]));
        assert!(loaded.is_ok(), "{name}: {}", loaded.unwrap_err());
    }
}

/// The lines of a setting in the shipped file.
fn shipped_lines(setting: &Setting) -> String {
    let words = match setting.kind {
        Kind::Choice(words) => format!("# One of: {}.\n", words.join(", ")),
        _ => String::new(),
    };
    let key = setting.key.rsplit('.').next().unwrap();
    let value = literal(setting.kind, setting.default);
    format!("# {}\n{words}{key} = {value}\n", setting.help)
}

#[test]
fn the_shipped_file_has_every_setting_at_its_default() {
    assert_eq!(config(EVERY_KEY), Config::default());
    for setting in SETTINGS {
        let lines = shipped_lines(setting);
        assert!(
            EVERY_KEY.contains(&lines),
            "config/sluicegate.toml lacks:\n{lines}"
        );
    }
    let keys = EVERY_KEY
        .lines()
        .filter(|line| !line.starts_with('#') && line.contains(" = "));
    assert_eq!(keys.count(), SETTINGS.len());
}

#[test]
fn the_shipped_file_shows_tables_that_load() {
    let shown = EVERY_KEY.split_once("# [[upstreams]]").unwrap().1;
    let shown = format!("# [[upstreams]]{shown}");
    let lines = shown
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or_default());
    let text: Vec<&str> = lines
        .filter(|line| line.contains('=') || line.starts_with('['))
        .collect();
    let config = load_text(&text.join("\n"), &sources(EXAMPLE_ENV, &[])).unwrap();
    assert_eq!((config.upstreams.len(), config.users.len()), (1, 1));
    assert_eq!(config.functions.entries.len(), 2);
}

/// What can be written, for a table in which `|` divides columns.
fn kind_in_guide(kind: Kind) -> String {
    match kind {
        Kind::Seconds { least: 0.0 } => "seconds, also 0".to_owned(),
        Kind::Seconds { .. } => "seconds".to_owned(),
        Kind::AutoInteger { most } => format!("`auto` or 0 to {most}"),
        Kind::Integer { least, most } => format!("{least} to {most}"),
        kind => kind.to_string(),
    }
}

fn setting_row(setting: &Setting) -> String {
    let kind = kind_in_guide(setting.kind);
    let default = literal(setting.kind, setting.default);
    format!(
        "| `{}` | {kind} | `{default}` | {} |\n",
        setting.key, setting.help
    )
}

fn field_row(field: &Field) -> String {
    format!(
        "| `{}` | {} | {} |\n",
        field.key,
        kind_in_guide(field.kind),
        field.help
    )
}

#[test]
fn the_guide_has_the_tables_of_the_lists() {
    let settings: String = SETTINGS.iter().map(setting_row).collect();
    assert!(
        GUIDE.contains(&settings),
        "docs/CONFIG.md needs this table:\n{settings}"
    );
    for fields in [UPSTREAM_FIELDS, USER_FIELDS, FUNCTION_FIELDS] {
        let rows: String = fields.iter().map(field_row).collect();
        assert!(
            GUIDE.contains(&rows),
            "docs/CONFIG.md needs this table:\n{rows}"
        );
    }
}

#[test]
fn the_guides_examples_load() {
    let blocks = GUIDE.split("```toml\n").skip(1);
    let blocks: Vec<&str> = blocks.filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let loaded = load_text(block, &sources(EXAMPLE_ENV, &[]));
        assert!(loaded.is_ok(), "{block}\n{}", loaded.unwrap_err());
    }
}
