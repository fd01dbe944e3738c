//! What is read from where, and what it means.

mod mistakes;
mod shipped;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::document::Document;
use super::kind::Kind;
use super::*;

fn sources(env: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Sources {
    let env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let flags = flags.iter().map(|(key, text)| (*key, (*text).to_owned()));
    Sources {
        file: None,
        flags: flags.collect(),
        env: env.collect(),
    }
}

fn load_text(text: &str, sources: &Sources) -> Result<Config, Mistakes> {
    let document = Document::new(PathBuf::from("gate.toml"), text.to_owned());
    load_document(Some(&document), sources)
}

fn config(text: &str) -> Config {
    load_text(text, &Sources::default()).unwrap()
}

/// A value that is not the default, as a flag has it.
fn other_value(setting: &Setting) -> &'static str {
    match (setting.key, setting.kind) {
        ("passthrough_upstream", _) => "ollama",
        ("unfiltered_routes", _) => "/v1/completions,/v1/responses",
        ("trusted_proxies", _) => "10.0.0.0/8,::1",
        (_, Kind::Address) => "[::1]:9000",
        (_, Kind::Integer { .. } | Kind::AutoInteger { .. }) => "77",
        (_, Kind::Seconds { .. }) => "2.5",
        (_, Kind::Bool) if setting.default == "true" => "false",
        (_, Kind::Bool) => "true",
        (_, Kind::Choice(words)) => words.iter().find(|word| **word != setting.default).unwrap(),
        (_, Kind::List) => "one,two",
        _ => "other",
    }
}

/// `text` as TOML has it.
fn literal(kind: Kind, text: &str) -> String {
    match kind {
        Kind::List if text.is_empty() => "[]".to_owned(),
        Kind::List => format!("[\"{}\"]", text.replace(',', "\", \"")),
        Kind::AutoInteger { .. } if text.parse::<u64>().is_err() => format!("\"{text}\""),
        kind if kind.is_written_as_text() => format!("\"{text}\""),
        _ => text.to_owned(),
    }
}

/// The setting without which `setting` alone is a mistake.
fn partner(setting: &Setting) -> Option<&'static Setting> {
    match setting.key {
        "tls.cert" => Setting::find("tls.key"),
        "tls.key" => Setting::find("tls.cert"),
        _ => None,
    }
}

/// Loads other values of `given` by flag, by variable and by file.
fn load_three_ways(given: &[&Setting]) -> [Config; 3] {
    let flags = given
        .iter()
        .map(|setting| (setting.key, other_value(setting)));
    let flags: Vec<_> = flags.collect();
    let variables = given.iter().map(|setting| setting.variable());
    let variables: Vec<_> = variables.zip(given).collect();
    let env = variables
        .iter()
        .map(|(name, setting)| (name.as_str(), other_value(setting)));
    let env: Vec<_> = env.chain([OLLAMA]).collect();
    let line = |setting: &&Setting| {
        let value = literal(setting.kind, other_value(setting));
        format!("{} = {value}\n", setting.key)
    };
    let text: String = given.iter().map(line).collect();
    [
        load(&sources(&[OLLAMA], &flags)).unwrap(),
        load(&sources(&env, &[])).unwrap(),
        load_text(&text, &sources(&[OLLAMA], &[])).unwrap(),
    ]
}

/// Makes the upstream that `other_value` names.
const OLLAMA: (&str, &str) = ("OLLAMA_BASE_URL", "http://127.0.0.1:1");

#[test]
fn file_variable_and_flag_set_the_same_thing() {
    let default = load(&sources(&[OLLAMA], &[])).unwrap();
    for setting in SETTINGS {
        let key = setting.key;
        let given: Vec<&Setting> = std::iter::once(setting).chain(partner(setting)).collect();
        let [by_flag, by_variable, by_file] = load_three_ways(&given);
        assert_eq!(by_flag, by_variable, "{key}");
        assert_eq!(by_flag, by_file, "{key}");
        // This one changes no value, only what is a mistake; a test of its own looks at that.
        let is_only_checked = key == "auth.force_open";
        assert_eq!(by_flag == default, is_only_checked, "{key}");
    }
}

#[test]
fn flag_beats_variable_beats_file() {
    let text = "threads = 1\nlimits.connections = 1\ndrain_seconds = 1";
    let env = [
        ("SLUICEGATE_THREADS", "2"),
        ("SLUICEGATE_LIMITS_CONNECTIONS", "2"),
    ];
    let config = load_text(text, &sources(&env, &[("threads", "3")])).unwrap();
    assert_eq!((config.threads, config.limits.connections), (3, 2));
    assert_eq!(config.drain, Duration::from_secs(1));
}

#[test]
fn an_empty_variable_counts_as_none() {
    let config = load(&sources(&[("SLUICEGATE_THREADS", "")], &[]));
    assert_eq!(config, Ok(Config::default()));
}

#[test]
fn the_admin_key_has_a_short_variable() {
    let config = load(&sources(&[("SLUICEGATE_ADMIN_KEY", "sk-admin")], &[])).unwrap();
    assert_eq!(config.auth.admin_key, Some(Secret::new("sk-admin")));
}

#[test]
fn empty_functions_dir_lies_in_the_data_dir() {
    let config = config("data_dir = \"/var/lib/gate\"");
    assert_eq!(
        config.functions.dir,
        PathBuf::from("/var/lib/gate/functions")
    );
}

#[test]
fn a_file_is_read_from_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gate.toml");
    std::fs::write(&file, "threads = 3").unwrap();
    let sources = Sources {
        file: Some(file),
        ..Sources::default()
    };
    assert_eq!(load(&sources).unwrap().threads, 3);
}

#[test]
fn other_programs_variables_are_left_alone() {
    let env = [
        ("SLUICEGATE_PORT", "tcp://10.0.0.1:80"),
        ("SLUICEGATE_SERVICE_HOST", "10.0.0.1"),
        ("SLUICEGATE_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("SLUICEGATE_CONFIG", "gate.toml"),
        ("THREADS", "x"),
    ];
    assert_eq!(load(&sources(&env, &[])), Ok(Config::default()));
}

/// Name, address and key of each upstream that the variables give.
fn from_open_webui(text: &str, env: &[(&str, &str)]) -> Vec<(String, String, Option<String>)> {
    let config = load_text(text, &sources(env, &[])).unwrap();
    let upstreams = config.upstreams.into_iter();
    let parts = upstreams.map(|mut upstream| {
        let key = upstream.api_key.map(|key| key.reveal().to_owned());
        (upstream.name, upstream.base_urls.remove(0), key)
    });
    parts.collect()
}

fn row(name: &str, url: &str, key: Option<&str>) -> (String, String, Option<String>) {
    (name.to_owned(), url.to_owned(), key.map(str::to_owned))
}

#[test]
fn open_webuis_variables_make_upstreams() {
    let env = [
        ("OPENAI_API_BASE_URLS", "http://a/v1; ;http://c/"),
        ("OPENAI_API_BASE_URL", "http://unused"),
        ("OPENAI_API_KEYS", "k1;;k3;k4"),
        ("OLLAMA_BASE_URL", "http://o:11434"),
    ];
    let expected = [
        row("openai", "http://a/v1", Some("k1")),
        row("openai-2", "https://api.openai.com/v1", None),
        row("openai-3", "http://c", Some("k3")),
        row("ollama", "http://o:11434", None),
    ];
    assert_eq!(from_open_webui("", &env), expected);
}

#[test]
fn open_webuis_variables_yield_to_the_file() {
    let text = "[[upstreams]]\nname = \"openai\"\nkind = \"openai\"\nbase_url = \"http://file\"";
    let env = [
        ("OPENAI_API_BASE_URLS", "http://a;http://b"),
        ("OPENAI_API_KEY", "k"),
    ];
    let expected = [
        row("openai", "http://file", None),
        row("openai-2", "http://b", None),
    ];
    assert_eq!(from_open_webui(text, &env), expected);
}

#[test]
fn a_key_alone_counts_only_where_no_upstream_is_configured() {
    let env = [("OPENAI_API_KEY", "k")];
    let expected = [row("openai", "https://api.openai.com/v1", Some("k"))];
    assert_eq!(from_open_webui("", &env), expected);
    let text = "[[upstreams]]\nname = \"a\"\nkind = \"openai\"\nbase_url = \"http://file\"";
    assert_eq!(from_open_webui(text, &env), [row("a", "http://file", None)]);
}

#[test]
fn functions_inherit_what_they_do_not_say() {
    let config = config(
        "functions.on_error = \"open\"\nfunctions.memory_mib = 64\nfunctions.queue = 9\n\
         [function.a]\ntimeout = 2\nstream_seconds = 0.5\nmemory_mib = 128\nglobal = false\n\
         valves = { priority = 3, rate = 0.5, words = [\"x\"], inner = { on = true } }",
    );
    let function = &config.functions.entries["a"];
    assert_eq!((function.on_error, function.queue), (Closing::Open, 9));
    assert_eq!((function.memory_mib, function.threads), (128, 1));
    assert_eq!((function.active, function.global), (true, Some(false)));
    assert_eq!(function.pipe_idle, Duration::from_secs(2));
    assert_eq!(function.stream, Duration::from_millis(500));
    assert_eq!(
        config.functions.defaults.pipe_idle,
        Duration::from_secs(120)
    );
    let valves =
        serde_json::json!({"priority": 3, "rate": 0.5, "words": ["x"], "inner": {"on": true}});
    assert_eq!(serde_json::Value::Object(function.valves.clone()), valves);
}

#[test]
fn secrets_are_in_no_debug_output() {
    let text = "auth.admin_key = \"canary1\"\n\
        [[upstreams]]\nname = \"a\"\nkind = \"openai\"\nbase_url = \"http://a\"\n\
        api_key = \"canary2\"\n\
        headers = { x = \"canary3\" }\n\
        [[users]]\nid = \"a\"\napi_key = \"canary4\"\n[function.a]\nvalves = { key = \"canary5\" }";
    let debug = format!("{:?}", config(text));
    assert!(!debug.contains("canary"), "{debug}");
    assert!(
        !format!("{:?}", sources(&[("A", "canary")], &[("listen", "canary")])).contains("canary")
    );
}

#[test]
fn names_of_settings_are_unique() {
    let names: BTreeSet<String> = SETTINGS.iter().map(Setting::variable).collect();
    assert_eq!(names.len(), SETTINGS.len());
    let flags: BTreeMap<String, &str> = SETTINGS
        .iter()
        .map(|setting| (setting.flag(), setting.key))
        .collect();
    assert_eq!(flags.len(), SETTINGS.len());
    assert!(!flags.contains_key("config") && !flags.contains_key("tour"));
}
