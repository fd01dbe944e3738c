//! How a function is set up.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{expect, names_of_models};
use crate::config::choices::{Closing, NetworkAccess, StreamOutlet};
use crate::config::fields::Fields;
use crate::config::hosts::Hosts;
use crate::config::mistake::Mistakes;
use crate::config::text;

/// How a function is set up.
#[derive(Clone, PartialEq)]
pub struct FunctionConfig {
    /// Which of the filters in Rust it is, if it is one of those and no file.
    pub native: Option<String>,
    /// Whether it runs at all.
    pub active: bool,
    /// Whether it runs on every model; if nothing was written, filters do.
    pub global: Option<bool>,
    /// Models that it runs on besides being global.
    pub models: Vec<String>,
    /// Values of its `Valves`.
    pub valves: Map<String, Value>,
    /// What a failure outside `outlet` does to the request.
    pub on_error: Closing,
    /// What an accident in `outlet` does to the answer.
    pub outlet_error: Closing,
    /// Whether a stream waits for `outlet`.
    pub stream_outlet: StreamOutlet,
    /// Time limit of `inlet`.
    pub inlet: Duration,
    /// Time limit of `outlet`.
    pub outlet: Duration,
    /// Time limit of `stream`, per event.
    pub stream: Duration,
    /// Time limit of a pipe until its first item, of an action and of a tool.
    pub pipe_first: Duration,
    /// Time limit of a pipe between two items.
    pub pipe_idle: Duration,
    /// Memory of its process in MiB, 0 for no limit.
    pub memory_mib: u64,
    /// Share of the room for memory and descriptors after which its process is replaced, 0 for never.
    pub recycle_percent: u64,
    /// Requests after which its process is replaced, 0 for never.
    pub recycle_calls: u64,
    /// Calls that may wait for it.
    pub queue: usize,
    /// Synchronous calls at a time.
    pub threads: usize,
    /// The functions of one group share a process; empty for none.
    pub group: String,
    /// Which connections it may open.
    pub network: NetworkAccess,
    /// The only hosts that it may reach; empty for all that the network lets it.
    pub hosts: Hosts,
    /// Whether it may start programs.
    pub subprocesses: bool,
    /// Whether it may ask for completions that no filter sees.
    pub bypass_filter: bool,
}

impl fmt::Debug for FunctionConfig {
    /// Without the valves, which may hold keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionConfig")
            .field("active", &self.active)
            .field("global", &self.global)
            .field("models", &self.models)
            .finish_non_exhaustive()
    }
}

impl FunctionConfig {
    /// How a function is set up by `fields`, with `defaults` for what they do not say.
    pub(in crate::config) fn resolve(
        fields: &Fields,
        defaults: &Self,
        mistakes: &mut Mistakes,
    ) -> Self {
        let timeout = fields.seconds("timeout");
        let limit =
            |key: &str, default: Duration| fields.seconds(key).or(timeout).unwrap_or(default);
        Self {
            native: fields.text("native").map(str::to_owned),
            active: fields.bool("active").unwrap_or(defaults.active),
            global: fields.bool("global").or(defaults.global),
            models: names_of_models(fields, mistakes),
            valves: fields.table("valves").cloned().unwrap_or_default(),
            on_error: fields.choice("on_error").unwrap_or(defaults.on_error),
            outlet_error: fields
                .choice("outlet_error")
                .unwrap_or(defaults.outlet_error),
            stream_outlet: fields
                .choice("stream_outlet")
                .unwrap_or(defaults.stream_outlet),
            inlet: limit("inlet_seconds", defaults.inlet),
            outlet: limit("outlet_seconds", defaults.outlet),
            stream: limit("stream_seconds", defaults.stream),
            pipe_first: limit("pipe_first_seconds", defaults.pipe_first),
            pipe_idle: limit("pipe_idle_seconds", defaults.pipe_idle),
            memory_mib: fields.integer("memory_mib").unwrap_or(defaults.memory_mib),
            recycle_percent: fields
                .integer("recycle_percent")
                .unwrap_or(defaults.recycle_percent),
            recycle_calls: fields
                .integer("recycle_calls")
                .unwrap_or(defaults.recycle_calls),
            queue: fields.size("queue").unwrap_or(defaults.queue),
            threads: fields.size("threads").unwrap_or(defaults.threads),
            group: name_or_empty(fields, "group", mistakes),
            network: network(fields, defaults),
            hosts: hosts(fields, mistakes),
            subprocesses: fields.bool("subprocesses").unwrap_or(defaults.subprocesses),
            bypass_filter: fields
                .bool("bypass_filter")
                .unwrap_or(defaults.bypass_filter),
        }
    }
}

/// Whoever names hosts says by that what the network is.
fn network(fields: &Fields, defaults: &FunctionConfig) -> NetworkAccess {
    match fields.list("hosts") {
        Some(_) => NetworkAccess::Open,
        None => fields.choice("network").unwrap_or(defaults.network),
    }
}

fn hosts(fields: &Fields, mistakes: &mut Mistakes) -> Hosts {
    let Some(items) = fields.list("hosts") else {
        return Hosts::default();
    };
    let origin = fields.origin_of("hosts");
    if items.is_empty() {
        let hint = "set `network = \"none\"` for a function that is to reach nobody";
        mistakes.add_with_hint(origin, "`hosts` must name a host", hint);
    }
    if fields.text("network").is_some() {
        let hint = "leave `network` out";
        let message = "`hosts` and `network` cannot both be set";
        mistakes.add_with_hint(origin, message, hint);
    }
    Hosts::parse(items).unwrap_or_else(|index| {
        let item = items.get(index - 1).map_or("", String::as_str);
        let message = format!("`hosts` must list hosts: `{}` is none", item.escape_debug());
        let hint = "write `api.example.com`, `*.example.com`, `10.0.0.1` or `10.0.0.0/8`, with `:443` for one port";
        mistakes.add_with_hint(origin, message, hint);
        Hosts::default()
    })
}

fn name_or_empty(fields: &Fields, key: &str, mistakes: &mut Mistakes) -> String {
    let name = fields.text(key).unwrap_or_default();
    let is_kept = name.is_empty() || text::is_name(name);
    let message = format!("`{key}` must be of `a-z`, `0-9`, `_` and `-`");
    expect(is_kept, fields.origin_of(key), &message, mistakes);
    name.to_owned()
}
