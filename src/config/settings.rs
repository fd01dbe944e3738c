//! Which settings there are: the one list that everything else about them is made from.

use super::choices::{
    Affinity, AuthMode, Choice, Closing, HalfClose, Isolation, LogFormat, LogLevel, ModelAccess,
    NetworkAccess, Requirements, Role, StreamOutlet, UpstreamKind,
};
use super::kind::Kind;
use crate::native;

/// The variable that names the configuration file, as the flag `--config` does.
pub const FILE_VARIABLE: &str = "SLUICEGATE_CONFIG";

/// What the names of our variables begin with.
pub(super) const VARIABLE_PREFIX: &str = "SLUICEGATE_";

/// A setting with one value: a TOML key, a variable and a flag.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its TOML key, with the table before the dot.
    pub key: &'static str,
    /// What can be written for it.
    pub kind: Kind,
    /// Its default, as it would be written in a variable.
    pub default: &'static str,
    /// What it does, in one sentence.
    pub help: &'static str,
}

impl Setting {
    /// The setting called `key`.
    #[must_use]
    pub fn find(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }

    /// Its variable: `SLUICEGATE_LOG_LEVEL` for `log.level`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!(
            "{VARIABLE_PREFIX}{}",
            self.key.replace('.', "_").to_uppercase()
        )
    }

    /// A second, shorter variable, which the key of the first admin has.
    #[must_use]
    pub fn short_variable(&self) -> Option<&'static str> {
        (self.key == "auth.admin_key").then_some("SLUICEGATE_ADMIN_KEY")
    }

    /// Its flag without the dashes in front: `log-level` for `log.level`.
    #[must_use]
    pub fn flag(&self) -> String {
        self.key.replace(['.', '_'], "-")
    }

    /// The table that it is in, empty for none.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.key.split_once('.').map_or("", |(section, _)| section)
    }
}

/// A key of an upstream's, a user's or a function's table.
#[derive(Clone, Copy)]
pub(super) struct Field {
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the guide's tables are compared with it")
    )]
    pub(super) help: &'static str,
}

const fn setting(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        key,
        kind,
        default,
        help,
    }
}

const fn field(key: &'static str, kind: Kind, help: &'static str) -> Field {
    Field { key, kind, help }
}

const fn whole(least: u64, most: u64) -> Kind {
    Kind::Integer { least, most }
}

/// A time limit, which cannot be zero.
const LIMIT: Kind = Kind::Seconds { least: 0.001 };
/// A time that can be zero, for never or at once.
const SPAN: Kind = Kind::Seconds { least: 0.0 };
const MANY: u64 = 1_000_000;

/// Every setting with one value, in the order of the guide.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    setting("listen", Kind::Address, "127.0.0.1:8080", "Address and port on which requests are taken."),
    setting("data_dir", Kind::Path, "data", "Folder of the database, the functions and the Python environments."),
    setting("threads", whole(0, 1024), "0", "Threads that serve requests; 0 means one per core."),
    setting("passthrough_upstream", Kind::Text, "", "Upstream for other /v1 routes whose body names no known model."),
    setting("unfiltered_routes", Kind::List, "", "Routes under /v1 that are opened although no filter runs on them."),
    setting("trusted_proxies", Kind::List, "", "Addresses and networks (10.0.0.0/8) of peers that may name the user of a request."),
    setting("half_close", Kind::Choice(HalfClose::WORDS), "leave", "Whether a client that closes its sending side has left or is still served."),
    setting("drain_seconds", SPAN, "60", "How long open requests may go on after the signal to end."),

    setting("tls.cert", Kind::Path, "", "PEM file with the certificate chain; with tls.key it turns TLS on."),
    setting("tls.key", Kind::Path, "", "PEM file with the private key of the certificate."),

    setting("limits.body_bytes", whole(1, 1 << 40), "33554432", "Longest request body in bytes."),
    setting("limits.bodies_mib", whole(1, MANY), "1024", "Memory of all request bodies together in MiB, and a quarter of what memory_mib allows at most."),
    setting("limits.memory_mib", Kind::AutoInteger { most: MANY }, "auto", "Memory of the gateway in MiB near which new chats are refused, the slowest readers let go and streams that are held back refused; auto is what container and machine allow, 0 is no bound."),
    setting("limits.head_seconds", LIMIT, "10", "How long the head of a request may take to arrive."),
    setting("limits.body_seconds", LIMIT, "30", "How long the body of a request may stall."),
    setting("limits.idle_seconds", LIMIT, "75", "How long a connection without a request is kept open."),
    setting("limits.write_seconds", LIMIT, "60", "How long a client may go without taking any of its answer."),
    setting("limits.connections", whole(1, 10 * MANY), "20000", "Most connections at a time."),
    setting("limits.connections_per_address", whole(0, 10 * MANY), "0", "Most connections of one address at a time, trusted proxies aside; 0 means no limit."),

    setting("log.format", Kind::Choice(LogFormat::WORDS), "text", "How log lines are written."),
    setting("log.level", Kind::Choice(LogLevel::WORDS), "info", "The least important lines that are logged."),
    setting("log.prints", Kind::Bool, "false", "Whether what functions print goes to the log too."),

    setting("auth.mode", Kind::Choice(AuthMode::WORDS), "keys", "Whether callers need a key."),
    setting("auth.force_open", Kind::Bool, "false", "Allows open mode on an address that others can reach."),
    setting("auth.admin_key", Kind::Secret, "", "Key of the first admin; without one it is made and shown at first start."),
    setting("auth.cache_seconds", SPAN, "60", "How long the result of checking a key is kept."),
    setting("auth.unknown_keys_per_minute", whole(0, MANY), "60", "Unknown keys from one address after which only keys known there are looked at; 0 means any number."),

    setting("models.access", Kind::Choice(ModelAccess::WORDS), "open", "Who may call a model without an access list: every user, or admins only."),
    setting("models.cache_seconds", SPAN, "30", "How long the upstreams' model lists are kept."),

    setting("upstream.connect_seconds", LIMIT, "10", "How long a connection to an upstream may take."),
    setting("upstream.head_seconds", LIMIT, "300", "How long an upstream may take until its answer begins."),
    setting("upstream.idle_seconds", LIMIT, "120", "How long an answer that has begun may stall."),
    setting("upstream.ca_file", Kind::Path, "", "PEM file with certificate authorities to trust beside the usual ones."),
    setting("upstream.health_seconds", SPAN, "10", "How often the members of an upstream are checked; 0 means never."),
    setting("upstream.eject_failures", whole(1, MANY), "3", "Failures in a row after which a member is left out."),
    setting("upstream.eject_seconds", LIMIT, "10", "How long a failed member is left out."),

    setting("functions.dir", Kind::Path, "", "Folder of function files; empty means functions in data_dir."),
    setting("functions.on_error", Kind::Choice(Closing::WORDS), "closed", "Whether a request fails with a function that fails, or goes on without it."),
    setting("functions.outlet_error", Kind::Choice(Closing::WORDS), "open", "The same for an exception without a status in outlet."),
    setting("functions.stream_outlet", Kind::Choice(StreamOutlet::WORDS), "observe", "Whether outlet sees a stream after it was sent, or the stream is held until outlet has decided."),
    setting("functions.inlet_seconds", LIMIT, "30", "Time limit of inlet."),
    setting("functions.outlet_seconds", LIMIT, "30", "Time limit of outlet."),
    setting("functions.stream_seconds", LIMIT, "5", "Time limit of stream, per event."),
    setting("functions.pipe_first_seconds", LIMIT, "300", "Time limit of a pipe until its first item, of an action and of a tool."),
    setting("functions.pipe_idle_seconds", LIMIT, "120", "Time limit of a pipe between two items."),
    setting("functions.load_seconds", LIMIT, "30", "Time limit of loading a function."),
    setting("functions.load_url", Kind::Bool, "false", "Whether administrators may have the gateway fetch function files from the web."),
    setting("functions.load_url_hosts", Kind::List, "", "Hosts and networks from which such files may be fetched although their addresses are private."),
    setting("functions.memory_mib", whole(0, MANY), "1024", "Memory of a function's process in MiB; 0 means no limit."),
    setting("functions.recycle_percent", whole(0, 100), "50", "Share of the room for memory and descriptors that requests may use up until the process is replaced; 0 means never."),
    setting("functions.recycle_calls", whole(0, 1000 * MANY), "0", "Requests after which a function's process is replaced; 0 means never."),
    setting("functions.queue", whole(1, MANY), "256", "Calls that may wait for a function."),
    setting("functions.network", Kind::Choice(NetworkAccess::WORDS), "open", "Whether functions may open network connections."),
    setting("functions.subprocesses", Kind::Bool, "false", "Whether functions may start programs."),

    setting("tools.loop", Kind::Bool, "false", "Whether the gateway runs the tools that a model calls and asks it again, for tools that the gateway added."),
    setting("tools.max_rounds", whole(1, MANY), "30", "How often it does so for one request at most."),

    setting("python.interpreter", Kind::Path, "python3", "Python (3.11 or later) that functions run in."),
    setting("python.requirements", Kind::Choice(Requirements::WORDS), "approved", "Which requirements of functions are installed: those in python.approved, all, or none."),
    setting("python.approved", Kind::List, "", "Names of requirements that functions may have installed."),
    setting("python.pass_env", Kind::List, "", "Names of the gateway's environment variables that functions may see."),
    setting("python.uv", Kind::Path, "", "Path of a uv program; empty means the one that is found, or one that is installed."),
    setting("python.base", Kind::Bool, "true", "Whether functions get the packages that most of them need."),
    setting("python.isolation", Kind::Choice(Isolation::WORDS), "best_effort", "What happens where functions cannot be isolated: they run with what there is, or not at all; off isolates nothing."),
    setting("python.read_paths", Kind::List, "", "Further files and folders that functions may read."),
    setting("python.write_paths", Kind::List, "", "Further folders that all functions may write to."),
];

/// The keys of `[[upstreams]]`.
#[rustfmt::skip]
pub(super) const UPSTREAM_FIELDS: &[Field] = &[
    field("name", Kind::Text, "Required; unique, of `a-z`, `0-9`, `_` and `-`."),
    field("kind", Kind::Choice(UpstreamKind::WORDS), "Required; what the server speaks. `embedded` is the demo model."),
    field("base_url", Kind::Text, "Address in front of `/chat/completions` or `/api/chat`."),
    field("base_urls", Kind::List, "Instead of `base_url`: several servers that are equal."),
    field("api_key", Kind::Secret, "Sent as `Authorization: Bearer`."),
    field("api_key_env", Kind::Text, "Instead of `api_key`: the variable that holds it."),
    field("prefix", Kind::Text, "Put with a dot before its model ids, to tell equal ones apart."),
    field("models", Kind::List, "Its model ids, if it is not to be asked for them; `*` takes any id."),
    field("headers", Kind::Pairs, "Headers sent with every request, over all others."),
    field("affinity", Kind::Choice(Affinity::WORDS), "`conversation` keeps a conversation on one member. Default `none`."),
    field("max_in_flight", whole(0, MANY), "Most requests at a time per member. Default 0: no limit."),
    field("pipelines", Kind::Bool, "Whether it is a Pipelines server whose filters must run: no request passes until they are known."),
    field("on_error", Kind::Choice(Closing::WORDS), "Whether a request fails if its filters cannot be asked. Default `closed`."),
    field("stream_outlet", Kind::Choice(StreamOutlet::WORDS), "Whether a stream is held until its filters have decided. Default `observe`."),
    field("filter_seconds", LIMIT, "Time limit of each of its filters. Default 30."),
];

/// The keys of `[[users]]`.
#[rustfmt::skip]
pub(super) const USER_FIELDS: &[Field] = &[
    field("id", Kind::Text, "Required; unique."),
    field("name", Kind::Text, "Name that functions see. Default: the id."),
    field("email", Kind::Text, "Address that functions see. Default: empty."),
    field("role", Kind::Choice(Role::WORDS), "Default `user`."),
    field("api_key", Kind::Secret, "The key that the user sends."),
    field("api_key_env", Kind::Text, "Instead of `api_key`: the variable that holds it."),
];

/// The keys of `[function.<id>]`.
#[rustfmt::skip]
pub(super) const FUNCTION_FIELDS: &[Field] = &[
    field("native", Kind::Choice(native::NAMES), "Which native filter it is, in the place of a file of the folder."),
    field("active", Kind::Bool, "Whether it runs at all, if it is a file of the folder. Default `true`."),
    field("global", Kind::Bool, "Whether a filter or action of the folder is for every model. Default: filters are."),
    field("models", Kind::List, "Models that a filter runs on, and on presets made of them, or that offer an action, if it is not global."),
    field("valves", Kind::Table, "Values of its `Valves`; those set over the API win."),
    field("on_error", Kind::Choice(Closing::WORDS), "Default: `functions.on_error`."),
    field("outlet_error", Kind::Choice(Closing::WORDS), "Default: `functions.outlet_error`."),
    field("stream_outlet", Kind::Choice(StreamOutlet::WORDS), "Default: `functions.stream_outlet`."),
    field("timeout", LIMIT, "Stands for each of the next five that is not written."),
    field("inlet_seconds", LIMIT, "Default: `functions.inlet_seconds`."),
    field("outlet_seconds", LIMIT, "Default: `functions.outlet_seconds`."),
    field("stream_seconds", LIMIT, "Default: `functions.stream_seconds`."),
    field("pipe_first_seconds", LIMIT, "Default: `functions.pipe_first_seconds`."),
    field("pipe_idle_seconds", LIMIT, "Default: `functions.pipe_idle_seconds`."),
    field("memory_mib", whole(0, MANY), "Default: `functions.memory_mib`."),
    field("recycle_percent", whole(0, 100), "Default: `functions.recycle_percent`."),
    field("recycle_calls", whole(0, 1000 * MANY), "Default: `functions.recycle_calls`."),
    field("queue", whole(1, MANY), "Default: `functions.queue`."),
    field("threads", whole(1, 64), "Synchronous calls at a time. Default 1; more only if it keeps nothing on `self`."),
    field("group", Kind::Text, "Functions of one group share a process. Default: none."),
    field("network", Kind::Choice(NetworkAccess::WORDS), "Default: `functions.network`."),
    field("hosts", Kind::List, "The only hosts that it may reach, over HTTP and HTTPS: `name`, `*.name`, an address or a network, with `:port` if need be."),
    field("subprocesses", Kind::Bool, "Whether it may start programs. Default: `functions.subprocesses`."),
    field("bypass_filter", Kind::Bool, "Whether it may ask for completions that no filter sees. Default `false`."),
];
