//! Every mistake is told, with its place, and nothing that is secret.

use super::shipped::{EXAMPLE_ENV, EXAMPLES};
use super::*;

fn mistakes(text: &str) -> String {
    load_text(text, &Sources::default())
        .unwrap_err()
        .to_string()
}

const BAD_FILE: &str = r#"lisen = "127.0.0.1:1"
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
const BAD_FILE_TOLD: &str = "\
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

#[test]
fn all_mistakes_are_told_together_with_their_places() {
    let sources = sources(&[("SLUICEGATE_THREADZ", "1")], &[("drain_seconds", "soon")]);
    let mistakes = load_text(BAD_FILE, &sources).unwrap_err();
    assert_eq!(mistakes.to_string(), BAD_FILE_TOLD);
}

/// Files, and what is told of each.
const BAD_LINES: &[(&str, &str)] = &[
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
        "names without versions or options: item 1 is none",
    ),
    (
        "python.pass_env = [\"A\", \"A=b\"]",
        "names of variables: item 2 is none",
    ),
    (
        "python.interpreter = \"\"",
        "`python.interpreter` must not be empty",
    ),
    ("data_dir = \"\"", "`data_dir` must not be empty"),
    ("trusted_proxies = [\"10/8\"]", "item 1 is none"),
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
    ("function.a.hosts = []", "`hosts` must name a host"),
    (
        "function.a.hosts = [\"a.test\", \"http://b.test\"]",
        "`hosts` must list hosts: `http://b.test` is none",
    ),
    (
        "[function.a]\nhosts = [\"a.test\"]\nnetwork = \"none\"",
        "gate.toml:2: `hosts` and `network` cannot both be set",
    ),
    (
        "python.isolation = \"off\"\nfunction.a.hosts = [\"a.test\"]",
        "`hosts` needs isolation, and `python.isolation` is off",
    ),
    (
        "[function.a]\ngroup = \"g\"\nhosts = [\"a.test\"]\n[function.b]\ngroup = \"g\"",
        "differ in `hosts`",
    ),
    (
        "functions.load_url_hosts = [\"a.test\", \"*\"]",
        "`functions.load_url_hosts` must list hosts: item 2 is none",
    ),
    (
        "[function.a]\ngroup = \"g\"\n[function.b]\ngroup = \"g\"\nsubprocesses = true",
        "gate.toml:5: `b` and `a` are in one group and share a process, but differ in `subprocesses`",
    ),
    (
        "[function.a]\ngroup = \"g\"\nnetwork = \"none\"\n[function.b]\ngroup = \"g\"",
        "differ in `network`",
    ),
    (
        "python.isolation = \"off\"\nfunction.a.network = \"none\"",
        "gate.toml:2: `network = \"none\"` needs isolation",
    ),
    (
        "python.isolation = \"off\"\nfunctions.network = \"none\"",
        "`network = \"none\"` needs isolation",
    ),
    (
        "[[users]]\nid = \"a\"\n[[users]]\nid = \"a\"",
        "gate.toml:4: two users have one id: `a`",
    ),
    (
        "[[users]]\nid = \"a\"\nrole = \"root\"",
        "`users.role` must be `user` or `admin`",
    ),
    ("auth.admin_key = \"a b\"", "visible ASCII"),
    ("\"\".listen = \"\"", "unknown key: ``"),
    ("= 1", "gate.toml:1: not valid TOML"),
];

#[test]
fn each_mistake_is_told() {
    for (text, expected) in BAD_LINES {
        let told = mistakes(text);
        assert!(told.contains(expected), "{text}\n{told}");
        assert!(
            !told.contains('\n') || told.contains("\n  hint: "),
            "{text}\n{told}"
        );
    }
}

/// Keys of an upstream called `a`, and what is told of them.
const BAD_UPSTREAMS: &[(&str, &str)] = &[
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
        "base_url = \"http://a\"\nbase_urls = [\"http://b\"]",
        "both `base_url` and `base_urls`",
    ),
    (
        "base_url = \"http://a\"\napi_key = \"a\"\napi_key_env = \"B\"",
        "both `api_key` and",
    ),
    ("base_url = \"http://a\"\napi_key = \"\"", "visible ASCII"),
    (
        "base_url = \"http://a\"\napi_key_env = \"sk-canary\"",
        "variable named by `api_key_env` is not set",
    ),
    (
        "base_url = \"http://a\"\napi_key_env = \"gsk_canary\"",
        "variable named by `api_key_env` is not set",
    ),
    (
        "base_url = \"http://a\"\nprefix = \"a.\"",
        "must not end with a dot",
    ),
    (
        "base_url = \"http://a\"\nheaders = { \"a b\" = \"c\" }",
        "no header may have: `a b`",
    ),
    (
        "base_url = \"http://a\"\nheaders = { a = 1 }",
        "a table of texts: found an integer",
    ),
    (
        "base_url = \"http://a\"\naffinity = \"some\"",
        "`none` or `conversation`: `some`",
    ),
];

#[test]
fn each_mistake_of_an_upstream_is_told() {
    let url = "base_url = \"http://a\"";
    for (keys, expected) in BAD_UPSTREAMS {
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
fn bad_addresses_in_open_webuis_variables_are_mistakes() {
    let env = [("OLLAMA_BASE_URLS", "http://a;host-canary")];
    let told = load(&sources(&env, &[])).unwrap_err().to_string();
    let expected = "variable `OLLAMA_BASE_URLS`: address 2 must begin with `http://` or `https://`";
    assert_eq!(told, expected);
}

#[test]
fn deep_nesting_is_a_mistake_and_not_the_end() {
    let text = format!("x = {}", "[".repeat(100_000));
    assert!(mistakes(&text).contains("gate.toml:1: not valid TOML"));
}

#[test]
fn only_servers_of_openais_dialect_can_have_filters() {
    let text = "[[upstreams]]\nname = \"a\"\nkind = \"ollama\"\nbase_url = \"http://host\"\npipelines = true\n";
    let told = "`upstreams.pipelines` needs `kind = \"openai\"`";
    assert!(mistakes(text).contains(told), "{}", mistakes(text));
}
