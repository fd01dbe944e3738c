//! Tests over the whole of `config`, the shipped files and the guide among them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::document::Document;
use super::kind::Kind;
use super::settings::{FUNCTION_FIELDS, Field, UPSTREAM_FIELDS, USER_FIELDS};
use super::*;

const EVERY_KEY: &str = include_str!("../../config/sluicegate.toml");
const GUIDE: &str = include_str!("../../docs/CONFIG.md");
const EXAMPLES: [(&str, &str); 4] = [
    ("openai", include_str!("../../config/examples/openai.toml")),
    ("ollama", include_str!("../../config/examples/ollama.toml")),
    (
        "many-backends",
        include_str!("../../config/examples/many-backends.toml"),
    ),
    ("policy", include_str!("../../config/examples/policy.toml")),
];
/// The variables that the examples name.
const EXAMPLE_ENV: &[(&str, &str)] = &[
    ("OPENAI_KEY", "sk-a"),
    ("VLLM_KEY", "sk-b"),
    ("ALICE_KEY", "sk-c"),
    ("BOB_KEY", "sk-d"),
    ("OPERATOR_KEY", "sk-e"),
];

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

fn mistakes(text: &str) -> String {
    load_text(text, &Sources::default())
        .unwrap_err()
        .to_string()
}

/// A value that is not the default, as a flag has it.
fn other_value(setting: &Setting) -> &'static str {
    match (setting.key, setting.kind) {
        ("passthrough_upstream", _) => "ollama",
        ("unfiltered_routes", _) => "/v1/completions,/v1/responses",
        ("trusted_proxies", _) => "10.0.0.0/8,::1",
        (_, Kind::Address) => "[::1]:9000",
        (_, Kind::Integer { .. }) => "77",
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
        kind if kind.is_written_as_text() => format!("\"{text}\""),
        _ => text.to_owned(),
    }
}

#[test]
fn file_variable_and_flag_set_the_same_thing() {
    let half_tls = ["tls.cert", "tls.key"];
    // It changes no value, only what is a mistake; `open_mode_needs_force_beyond_loopback` tests it.
    let checked_only = "auth.force_open";
    let upstream = ("OLLAMA_BASE_URL", "http://127.0.0.1:1");
    let default = load(&sources(&[upstream], &[])).unwrap();
    for setting in SETTINGS {
        let value = other_value(setting);
        let variable = setting.variable();
        let mut flags = vec![(setting.key, value)];
        let mut env = vec![upstream, (&variable, value)];
        let mut text = format!("{} = {}\n", setting.key, literal(setting.kind, value));
        if let Some(other) = half_tls
            .iter()
            .find(|key| half_tls.contains(&setting.key) && **key != setting.key)
        {
            flags.push((other, "beside"));
            env.push((
                if *other == "tls.cert" {
                    "SLUICEGATE_TLS_CERT"
                } else {
                    "SLUICEGATE_TLS_KEY"
                },
                "beside",
            ));
            text.push_str(&format!("{other} = \"beside\"\n"));
        }
        let by_flag = load(&sources(&[upstream], &flags)).unwrap();
        let by_variable = load(&sources(&env, &[])).unwrap();
        let by_file = load_text(&text, &sources(&[upstream], &[])).unwrap();
        assert_eq!(by_flag, by_variable, "{}", setting.key);
        assert_eq!(by_flag, by_file, "{}", setting.key);
        assert_eq!(
            by_flag == default,
            setting.key == checked_only,
            "{}",
            setting.key
        );
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
fn all_mistakes_are_told_together_with_their_places() {
    let text = r#"lisen = "127.0.0.1:1"
threads = "many"
body_bytes = 1
upstream.eject_failures = 0
[log]
level = "loud"
[[upstreams]]
name = "a"
kind = "openai"
base_url = "http://host/v1?key=canary"
api_key_env = "NOWHERE"
[[upstreams]]
name = "a"
kind = "ollama"
modles = []
[[users]]
name = "Alice"
[function.Bad-Id]
timeout = 0
[functions.redact]
active = true
"#;
    let expected = "\
gate.toml:1: unknown key: `lisen`
  hint: did you mean `listen`?
gate.toml:2: `threads` must be a whole number from 0 to 1024: found a string
gate.toml:3: unknown key: `body_bytes`
  hint: did you mean `limits.body_bytes`?
gate.toml:4: `upstream.eject_failures` must be a whole number from 1 to 1000000: `0`
gate.toml:6: `log.level` must be `error` or `warn` or `info` or `debug` or `trace`: `loud`
gate.toml:10: `upstreams.base_url` must not have a query or a fragment
gate.toml:11: variable named by `api_key_env` is not set: `NOWHERE`
gate.toml:12: `upstreams.base_url` is missing
gate.toml:13: two upstreams have one name: `a`
gate.toml:15: unknown key: `upstreams.modles`
  hint: did you mean `models`?
gate.toml:16: `users.id` is missing
gate.toml:18: function id must match `[a-z_][a-z0-9_]*`, 64 at most: `Bad-Id`
gate.toml:19: `function.Bad-Id.timeout` must be seconds from 0.001 to 31536000: `0`
gate.toml:20: unknown key: `functions.redact`
  hint: did you mean `[function.redact]`?
variable `SLUICEGATE_THREADZ`: unknown setting
  hint: did you mean `SLUICEGATE_THREADS`?
flag `--drain-seconds`: `drain_seconds` must be seconds from 0 to 31536000: `soon`";
    let sources = sources(&[("SLUICEGATE_THREADZ", "1")], &[("drain_seconds", "soon")]);
    let mistakes = load_text(text, &sources).unwrap_err();
    assert_eq!(mistakes.to_string(), expected);
}

#[test]
fn each_mistake_is_told() {
    for (text, expected) in [
        ("limits = 1", "`limits` must be a table: found an integer"),
        (
            "[upstreams]\nname = \"a\"",
            "`upstreams` must be an array of tables",
        ),
        ("upstreams = [1]", "`upstreams` must be a table"),
        ("function = 1", "`function` must be a table"),
        ("function.a = 1", "`function.a` must be a table"),
        ("threads = -1", "from 0 to 1024: `-1`"),
        ("threads = 1.5", "found a float"),
        ("drain_seconds = nan", "seconds from 0 to 31536000: `nan`"),
        (
            "listen = \"localhost:80\"",
            "an IP address with a port: `localhost:80`",
        ),
        ("python.approved = [1]", "a list of texts: found an integer"),
        (
            "python.approved = [\"a>=1\"]",
            "names without versions or options: `a>=1`",
        ),
        ("python.pass_env = [\"A-B\"]", "names of variables: `A-B`"),
        (
            "python.interpreter = \"\"",
            "`python.interpreter` must not be empty",
        ),
        ("data_dir = \"\"", "`data_dir` must not be empty"),
        ("trusted_proxies = [\"10/8\"]", "`10/8`"),
        (
            "unfiltered_routes = [\"/v1/chat/completions\"]",
            "other than chat completions",
        ),
        ("unfiltered_routes = [\"/api/x\"]", "under `/v1/`"),
        (
            "passthrough_upstream = \"gone\"",
            "names no upstream: `gone`",
        ),
        ("tls.cert = \"a\"", "`tls.cert` needs `tls.key`"),
        ("tls.key = \"a\"", "`tls.key` needs `tls.cert`"),
        (
            "function.a.valves = 1",
            "`function.a.valves` must be a table",
        ),
        (
            "function.a.valves.x = inf",
            "a number that JSON does not have",
        ),
        ("function.a.group = \"A B\"", "`group` must be of"),
        ("function.a.models = [\"\"]", "`models` has an empty name"),
        (
            "[[users]]\nid = \"a\"\n[[users]]\nid = \"a\"",
            "gate.toml:4: two users have one id: `a`",
        ),
        (
            "[[users]]\nid = \"a\"\nrole = \"root\"",
            "`users.role` must be `user` or `admin`",
        ),
        ("auth.admin_key = \"a b\"", "visible ASCII"),
        ("= 1", "gate.toml:1: not valid TOML"),
    ] {
        let told = mistakes(text);
        assert!(told.contains(expected), "{text}\n{told}");
        assert!(
            !told.contains('\n') || told.contains("\n  hint: "),
            "{text}\n{told}"
        );
    }
}

#[test]
fn each_mistake_of_an_upstream_is_told() {
    let url = "base_url = \"http://a\"";
    for (keys, expected) in [
        ("", "`upstreams.base_url` is missing"),
        (
            "base_url = 1",
            "`upstreams.base_url` must be text: found an integer",
        ),
        ("base_url = \"ftp://a\"", "must begin with `http://`"),
        (
            "base_urls = [\"http://a\", \"http://a/\"]",
            "names a server twice",
        ),
        (
            &format!("{url}\nbase_urls = [\"http://b\"]"),
            "both `base_url` and `base_urls`",
        ),
        (
            &format!("{url}\napi_key = \"a\"\napi_key_env = \"B\""),
            "both `api_key` and",
        ),
        (&format!("{url}\napi_key = \"\""), "visible ASCII"),
        (
            &format!("{url}\napi_key_env = \"sk-canary\""),
            "must be the name of a variable",
        ),
        (
            &format!("{url}\nprefix = \"a.\""),
            "must not end with a dot",
        ),
        (
            &format!("{url}\nheaders = {{ \"a b\" = \"c\" }}"),
            "no header may have: `a b`",
        ),
        (
            &format!("{url}\nheaders = {{ a = 1 }}"),
            "a table of texts: found an integer",
        ),
        (
            &format!("{url}\naffinity = \"some\""),
            "`none` or `conversation`: `some`",
        ),
    ] {
        let told = mistakes(&format!(
            "[[upstreams]]\nname = \"a\"\nkind = \"openai\"\n{keys}"
        ));
        assert!(told.contains(expected), "{keys}\n{told}");
        assert!(!told.contains("canary"), "{told}");
    }
    let embedded = mistakes(&format!(
        "[[upstreams]]\nname = \"a\"\nkind = \"embedded\"\n{url}"
    ));
    assert!(
        embedded.contains("an embedded upstream has no `base_url`"),
        "{embedded}"
    );
    let unnamed = mistakes("[[upstreams]]\nname = \"A\"");
    assert!(unnamed.contains("`upstreams.name` must be of"), "{unnamed}");
    assert!(unnamed.contains("`upstreams.kind` is missing"), "{unnamed}");
}

#[test]
fn a_named_file_must_exist_and_the_rest_is_checked_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut sources = sources(&[("SLUICEGATE_THREADS", "x")], &[]);
    sources.file = Some(folder.path().join("gone.toml"));
    let told = load(&sources).unwrap_err().to_string();
    assert!(told.contains("gone.toml: cannot be read: "), "{told}");
    assert!(told.contains("variable `SLUICEGATE_THREADS`"), "{told}");
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
fn broken_files_are_mistakes_and_never_panics() {
    let text = EXAMPLES[3].1;
    let sources = sources(EXAMPLE_ENV, &[]);
    for place in (0..text.len()).filter(|place| text.is_char_boundary(*place)) {
        let _ = load_text(&text[..place], &sources);
        for byte in ["\0", "\"", "[", "\n", "9"] {
            let rest = text.get(place + 1..).unwrap_or_default();
            let _ = load_text(&[&text[..place], byte, rest].concat(), &sources);
        }
    }
}

#[test]
fn open_mode_needs_force_beyond_loopback() {
    let open = "auth.mode = \"open\"\n";
    assert_eq!(config(open).auth.mode, AuthMode::Open);
    let reachable = format!("{open}listen = \"0.0.0.0:80\"\n");
    let told = mistakes(&reachable);
    assert!(
        told.starts_with("gate.toml:1: `auth.mode` is open to everyone"),
        "{told}"
    );
    assert_eq!(
        config(&format!("{reachable}auth.force_open = true"))
            .auth
            .mode,
        AuthMode::Open
    );
}

#[test]
fn two_users_cannot_have_one_key() {
    let text = "auth.admin_key = \"sk-canary\"\n[[users]]\nid = \"a\"\napi_key = \"sk-canary\"";
    let told = mistakes(text);
    assert_eq!(told, "gate.toml:4: user has the key of another user: `a`");
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
fn bad_addresses_in_open_webuis_variables_are_mistakes() {
    let env = [("OLLAMA_BASE_URLS", "http://a;host-canary")];
    let told = load(&sources(&env, &[])).unwrap_err().to_string();
    let expected = "variable `OLLAMA_BASE_URLS`: address 2 must begin with `http://` or `https://`";
    assert_eq!(told, expected);
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
        [[upstreams]]\nname = \"a\"\nkind = \"openai\"\nbase_url = \"http://a\"\napi_key = \"canary2\"\n\
        headers = { x = \"canary3\" }\n\
        [[users]]\nid = \"a\"\napi_key = \"canary4\"\n[function.a]\nvalves = { key = \"canary5\" }";
    let debug = format!("{:?}", config(text));
    assert!(!debug.contains("canary"), "{debug}");
    assert!(
        !format!("{:?}", sources(&[("A", "canary")], &[("listen", "canary")])).contains("canary")
    );
}

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
    assert_eq!(config.functions.entries.len(), 1);
}

/// What can be written, for a table in which `|` divides columns.
fn kind_in_guide(kind: Kind) -> String {
    match kind {
        Kind::Seconds { least: 0.0 } => "seconds, also 0".to_owned(),
        Kind::Seconds { .. } => "seconds".to_owned(),
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

#[test]
fn names_of_settings_are_unique() {
    let names: std::collections::BTreeSet<String> =
        SETTINGS.iter().map(Setting::variable).collect();
    assert_eq!(names.len(), SETTINGS.len());
    let flags: BTreeMap<String, &str> = SETTINGS
        .iter()
        .map(|setting| (setting.flag(), setting.key))
        .collect();
    assert_eq!(flags.len(), SETTINGS.len());
    assert!(!flags.contains_key("config") && !flags.contains_key("tour"));
}
