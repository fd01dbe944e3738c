//! Turns what was written into what it means.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Map;

use super::checks;
use super::choices::Choice;
use super::fields::Fields;
use super::hosts::Hosts;
use super::mistake::{Mistakes, Origin};
use super::networks::{Network, Networks};
use super::open_webui;
use super::raw::Raw;
use super::resolved::{
    AuthConfig, Config, FunctionsConfig, LimitsConfig, LogConfig, MemoryLimit, ModelsConfig,
    PythonConfig, TlsConfig, ToolsConfig, UpstreamSettings,
};
use super::secret::Secret;
use super::tables::{FunctionConfig, UpstreamConfig, UserConfig};
use super::text;

/// Resolves what was written. What has a mistake in it is left at its default.
pub(super) fn resolve(
    raw: &Raw,
    env: &BTreeMap<String, String>,
    mistakes: &mut Mistakes,
) -> Config {
    let settings = Settings(&raw.settings);
    let config = Config {
        file: None,
        listen: settings.address("listen"),
        data_dir: settings.path("data_dir"),
        threads: settings.size("threads"),
        passthrough_upstream: settings.optional_text("passthrough_upstream"),
        unfiltered_routes: unfiltered_routes(&settings, mistakes),
        trusted_proxies: trusted_proxies(&settings, mistakes),
        half_close: settings.choice("half_close"),
        drain: settings.seconds("drain_seconds"),
        tls: tls(&settings, mistakes),
        limits: limits(&settings),
        log: log(&settings),
        auth: auth(&settings, mistakes),
        models: models(&settings),
        upstream: upstream_settings(&settings),
        functions: functions(raw, mistakes),
        tools: tools(&settings),
        python: python(&settings, mistakes),
        upstreams: upstreams(raw, env, mistakes),
        users: users(raw, env, mistakes),
    };
    checks::run(&config, raw, mistakes);
    config
}

/// The route of chats that a server has kept, below `/v1/`.
const STORED_CHATS: &str = "chat/completions/";

fn unfiltered_routes(settings: &Settings<'_>, mistakes: &mut Mistakes) -> Vec<String> {
    let is_route = |route: &str| {
        let rest = route.strip_prefix("/v1/").unwrap_or_default();
        let is_plain = text::is_key(rest) && !rest.contains(['?', '#']);
        rest == STORED_CHATS || is_plain && !rest.starts_with("chat/")
    };
    let must_be =
        "routes under `/v1/` other than chat completions (`/v1/chat/completions/` is those stored)";
    settings.checked_list("unfiltered_routes", must_be, is_route, mistakes)
}

fn trusted_proxies(settings: &Settings<'_>, mistakes: &mut Mistakes) -> Networks {
    let is_network = |text: &str| Network::parse(text).is_some();
    let must_be = "addresses or networks (`10.0.0.0/8`)";
    let texts = settings.checked_list("trusted_proxies", must_be, is_network, mistakes);
    texts
        .iter()
        .filter_map(|text| Network::parse(text))
        .collect()
}

fn tls(settings: &Settings<'_>, mistakes: &mut Mistakes) -> Option<TlsConfig> {
    let cert = settings.optional_path("tls.cert");
    let key = settings.optional_path("tls.key");
    let is_refused = settings.0.is_refused("tls.cert") || settings.0.is_refused("tls.key");
    match (cert, key) {
        (Some(cert), Some(key)) => Some(TlsConfig { cert, key }),
        (Some(_), None) if !is_refused => {
            let message = "`tls.cert` needs `tls.key` beside it";
            mistakes.add(settings.origin("tls.cert"), message);
            None
        }
        (None, Some(_)) if !is_refused => {
            let message = "`tls.key` needs `tls.cert` beside it";
            mistakes.add(settings.origin("tls.key"), message);
            None
        }
        _ => None,
    }
}

fn limits(settings: &Settings<'_>) -> LimitsConfig {
    LimitsConfig {
        body_bytes: settings.size("limits.body_bytes"),
        bodies_mib: settings.size("limits.bodies_mib"),
        memory: match settings.0.integer("limits.memory_mib") {
            None => MemoryLimit::Auto,
            Some(0) => MemoryLimit::Off,
            Some(mib) => MemoryLimit::Mib(mib),
        },
        head: settings.seconds("limits.head_seconds"),
        body: settings.seconds("limits.body_seconds"),
        idle: settings.seconds("limits.idle_seconds"),
        write: settings.seconds("limits.write_seconds"),
        connections: settings.size("limits.connections"),
        connections_per_address: settings.size("limits.connections_per_address"),
    }
}

fn log(settings: &Settings<'_>) -> LogConfig {
    LogConfig {
        format: settings.choice("log.format"),
        level: settings.choice("log.level"),
        prints: settings.bool("log.prints"),
    }
}

fn auth(settings: &Settings<'_>, mistakes: &mut Mistakes) -> AuthConfig {
    let admin_key = settings.optional_text("auth.admin_key");
    if admin_key.as_deref().is_some_and(|key| !text::is_key(key)) {
        let message = "`auth.admin_key` must be visible ASCII characters without blanks";
        mistakes.add(settings.origin("auth.admin_key"), message);
    }
    let unknown_keys = settings.integer("auth.unknown_keys_per_minute");
    AuthConfig {
        mode: settings.choice("auth.mode"),
        admin_key: admin_key.map(Secret::new),
        cache: settings.seconds("auth.cache_seconds"),
        unknown_keys_per_minute: u32::try_from(unknown_keys).unwrap_or(u32::MAX),
    }
}

fn models(settings: &Settings<'_>) -> ModelsConfig {
    ModelsConfig {
        access: settings.choice("models.access"),
        cache: settings.seconds("models.cache_seconds"),
    }
}

fn tools(settings: &Settings<'_>) -> ToolsConfig {
    let most = settings.integer("tools.max_rounds");
    ToolsConfig {
        is_looping: settings.bool("tools.loop"),
        max_rounds: u32::try_from(most).unwrap_or(u32::MAX),
    }
}

fn upstream_settings(settings: &Settings<'_>) -> UpstreamSettings {
    let failures = settings.integer("upstream.eject_failures");
    UpstreamSettings {
        connect: settings.seconds("upstream.connect_seconds"),
        head: settings.seconds("upstream.head_seconds"),
        idle: settings.seconds("upstream.idle_seconds"),
        ca_file: settings.optional_path("upstream.ca_file"),
        health: settings.seconds("upstream.health_seconds"),
        eject_failures: u32::try_from(failures).unwrap_or(u32::MAX),
        eject: settings.seconds("upstream.eject_seconds"),
    }
}

fn functions(raw: &Raw, mistakes: &mut Mistakes) -> FunctionsConfig {
    let settings = Settings(&raw.settings);
    let in_data_dir = || settings.path("data_dir").join("functions");
    let defaults = function_defaults(&settings);
    let mut entries = BTreeMap::new();
    for (id, fields) in &raw.functions {
        if !text::is_function_id(id) {
            let id = id.escape_debug();
            let message = format!("function id must match `[a-z_][a-z0-9_]*`, 64 at most: `{id}`");
            mistakes.add(&fields.origin, message);
        }
        let function = FunctionConfig::resolve(fields, &defaults, mistakes);
        entries.insert(id.clone(), function);
    }
    FunctionsConfig {
        dir: settings
            .optional_path("functions.dir")
            .unwrap_or_else(in_data_dir),
        load: settings.seconds("functions.load_seconds"),
        load_url: settings.bool("functions.load_url"),
        load_url_hosts: load_url_hosts(&settings, mistakes),
        defaults,
        entries,
    }
}

fn load_url_hosts(settings: &Settings<'_>, mistakes: &mut Mistakes) -> Hosts {
    let key = "functions.load_url_hosts";
    Hosts::parse(settings.list(key)).unwrap_or_else(|index| {
        let message = format!("`{key}` must list hosts: item {index} is none");
        mistakes.add(settings.origin(key), message);
        Hosts::default()
    })
}

fn function_defaults(settings: &Settings<'_>) -> FunctionConfig {
    FunctionConfig {
        native: None,
        active: true,
        global: None,
        models: Vec::new(),
        valves: Map::new(),
        on_error: settings.choice("functions.on_error"),
        outlet_error: settings.choice("functions.outlet_error"),
        stream_outlet: settings.choice("functions.stream_outlet"),
        inlet: settings.seconds("functions.inlet_seconds"),
        outlet: settings.seconds("functions.outlet_seconds"),
        stream: settings.seconds("functions.stream_seconds"),
        pipe_first: settings.seconds("functions.pipe_first_seconds"),
        pipe_idle: settings.seconds("functions.pipe_idle_seconds"),
        memory_mib: settings.integer("functions.memory_mib"),
        recycle_percent: settings.integer("functions.recycle_percent"),
        recycle_calls: settings.integer("functions.recycle_calls"),
        queue: settings.size("functions.queue"),
        threads: 1,
        group: String::new(),
        network: settings.choice("functions.network"),
        hosts: Hosts::default(),
        subprocesses: settings.bool("functions.subprocesses"),
        bypass_filter: false,
    }
}

fn python(settings: &Settings<'_>, mistakes: &mut Mistakes) -> PythonConfig {
    if settings.text("python.interpreter").is_empty() {
        let message = "`python.interpreter` must not be empty";
        mistakes.add(settings.origin("python.interpreter"), message);
    }
    let is_requirement = text::is_requirement_name;
    let is_variable = text::is_variable_name;
    let bare_names = "names without versions or options";
    let variables = "names of variables";
    PythonConfig {
        interpreter: settings.text("python.interpreter").to_owned(),
        requirements: settings.choice("python.requirements"),
        approved: settings.checked_list("python.approved", bare_names, is_requirement, mistakes),
        pass_env: settings.checked_list("python.pass_env", variables, is_variable, mistakes),
        uv: settings.text("python.uv").to_owned(),
        base: settings.bool("python.base"),
        isolation: settings.choice("python.isolation"),
        read_paths: settings.paths("python.read_paths"),
        write_paths: settings.paths("python.write_paths"),
    }
}

fn upstreams(
    raw: &Raw,
    env: &BTreeMap<String, String>,
    mistakes: &mut Mistakes,
) -> Vec<UpstreamConfig> {
    let mut upstreams: Vec<UpstreamConfig> = Vec::with_capacity(raw.upstreams.len());
    for fields in &raw.upstreams {
        let Some(upstream) = UpstreamConfig::resolve(fields, env, mistakes) else {
            continue;
        };
        if upstreams.iter().any(|known| known.name == upstream.name) {
            let message = format!("two upstreams have one name: `{}`", upstream.name);
            mistakes.add(fields.origin_of("name"), message);
        }
        upstreams.push(upstream);
    }
    open_webui::add_upstreams(&mut upstreams, env, mistakes);
    upstreams
}

fn users(raw: &Raw, env: &BTreeMap<String, String>, mistakes: &mut Mistakes) -> Vec<UserConfig> {
    let mut users: Vec<UserConfig> = Vec::with_capacity(raw.users.len());
    for fields in &raw.users {
        let Some(user) = UserConfig::resolve(fields, env, mistakes) else {
            continue;
        };
        if users.iter().any(|known| known.id == user.id) {
            let message = format!("two users have one id: `{}`", user.id.escape_debug());
            mistakes.add(fields.origin_of("id"), message);
        }
        users.push(user);
    }
    users
}

/// The settings, each of which has a value.
struct Settings<'a>(&'a Fields);

const EVERY: &str = "every setting of the list has a value of its kind";

impl Settings<'_> {
    fn text(&self, key: &str) -> &str {
        self.0.text(key).expect(EVERY)
    }

    fn optional_text(&self, key: &str) -> Option<String> {
        Some(self.text(key).to_owned()).filter(|text| !text.is_empty())
    }

    fn path(&self, key: &str) -> PathBuf {
        PathBuf::from(self.text(key))
    }

    fn paths(&self, key: &str) -> Vec<PathBuf> {
        self.list(key).iter().map(PathBuf::from).collect()
    }

    fn optional_path(&self, key: &str) -> Option<PathBuf> {
        self.optional_text(key).map(PathBuf::from)
    }

    fn address(&self, key: &str) -> SocketAddr {
        self.0.address(key).expect(EVERY)
    }

    fn integer(&self, key: &str) -> u64 {
        self.0.integer(key).expect(EVERY)
    }

    fn size(&self, key: &str) -> usize {
        self.0.size(key).expect(EVERY)
    }

    fn seconds(&self, key: &str) -> Duration {
        self.0.seconds(key).expect(EVERY)
    }

    fn bool(&self, key: &str) -> bool {
        self.0.bool(key).expect(EVERY)
    }

    fn choice<T: Choice>(&self, key: &str) -> T {
        self.0.choice(key).expect(EVERY)
    }

    fn list(&self, key: &str) -> &[String] {
        self.0.list(key).expect(EVERY)
    }

    /// The items of a list, each of which has to pass `check`. One that does not is told by its
    /// place only: where names of variables belong, people also write keys.
    fn checked_list(
        &self,
        key: &str,
        must_be: &str,
        check: impl Fn(&str) -> bool,
        mistakes: &mut Mistakes,
    ) -> Vec<String> {
        let items = self.list(key);
        for (index, _) in items.iter().enumerate().filter(|(_, item)| !check(item)) {
            let message = format!("`{key}` must list {must_be}: item {} is none", index + 1);
            mistakes.add(self.origin(key), message);
        }
        items.to_vec()
    }

    fn origin(&self, key: &str) -> &Origin {
        self.0.origin_of(key)
    }
}
