//! Checks of settings against each other.

use std::collections::{BTreeMap, BTreeSet};

use super::choices::{AuthMode, Isolation, NetworkAccess};
use super::fields::Fields;
use super::mistake::{Mistakes, Origin};
use super::raw::Raw;
use super::resolved::Config;
use super::secret::Secret;
use super::tables::FunctionConfig;

/// Notes what does not go together in `config`, which `raw` resolved to.
pub(super) fn run(config: &Config, raw: &Raw, mistakes: &mut Mistakes) {
    check_open_mode(config, &raw.settings, mistakes);
    check_passthrough(config, &raw.settings, mistakes);
    check_data_dir(config, &raw.settings, mistakes);
    check_keys(config, raw, mistakes);
    check_groups(config, raw, mistakes);
    check_isolation(config, raw, mistakes);
}

/// Open mode where others can reach it hands the operator's keys to everyone.
fn check_open_mode(config: &Config, settings: &Fields, mistakes: &mut Mistakes) {
    let is_reachable = !config.listen.ip().is_loopback();
    let is_open = config.auth.mode == AuthMode::Open;
    if is_open && is_reachable && settings.bool("auth.force_open") != Some(true) {
        let message = format!(
            "`auth.mode` is open to everyone who reaches: `{}`",
            config.listen
        );
        let hint = "listen on a loopback address, or set `auth.force_open = true` if that is meant";
        mistakes.add_with_hint(settings.origin_of("auth.mode"), message, hint);
    }
}

fn check_passthrough(config: &Config, settings: &Fields, mistakes: &mut Mistakes) {
    let Some(name) = &config.passthrough_upstream else {
        return;
    };
    if !config
        .upstreams
        .iter()
        .any(|upstream| upstream.name == *name)
    {
        let name = name.escape_debug();
        let message = format!("`passthrough_upstream` names no upstream: `{name}`");
        mistakes.add(settings.origin_of("passthrough_upstream"), message);
    }
}

fn check_data_dir(config: &Config, settings: &Fields, mistakes: &mut Mistakes) {
    if config.data_dir.as_os_str().is_empty() {
        mistakes.add(
            settings.origin_of("data_dir"),
            "`data_dir` must not be empty",
        );
    }
}

/// A key says who sends it, so no two users can have the same.
fn check_keys(config: &Config, raw: &Raw, mistakes: &mut Mistakes) {
    let mut known: BTreeSet<&Secret> = config.auth.admin_key.iter().collect();
    for user in &config.users {
        let Some(key) = &user.api_key else { continue };
        if !known.insert(key) {
            let has_id = |fields: &&Fields| fields.text("id") == Some(&user.id);
            let fields = raw.users.iter().find(has_id);
            let origin = fields.map_or(&Origin::Default, |fields| fields.origin_of("api_key"));
            let id = user.id.escape_debug();
            let message = format!("user has the key of another user: `{id}`");
            mistakes.add(origin, message);
        }
    }
}

/// Functions of one group share a process, and a process has one set of bounds.
fn check_groups(config: &Config, raw: &Raw, mistakes: &mut Mistakes) {
    let mut first: BTreeMap<&str, (&str, &FunctionConfig)> = BTreeMap::new();
    for (id, function) in &config.functions.entries {
        if function.group.is_empty() {
            continue;
        }
        let (other, bounds) = *first.entry(&function.group).or_insert((id, function));
        let unequal = [
            ("network", function.network != bounds.network),
            ("hosts", function.hosts != bounds.hosts),
            ("subprocesses", function.subprocesses != bounds.subprocesses),
        ];
        for (key, _) in unequal.iter().filter(|(_, is_unequal)| *is_unequal) {
            let message = format!(
                "`{id}` and `{other}` are in one group and share a process, but differ in `{key}`"
            );
            let hint = "give both the same, or put them into different groups";
            mistakes.add_with_hint(origin_in(raw, id, key), message, hint);
        }
    }
}

/// Nothing holds a function to what the configuration says where nothing is isolated.
fn check_isolation(config: &Config, raw: &Raw, mistakes: &mut Mistakes) {
    if config.python.isolation != Isolation::Off {
        return;
    }
    let message = "`network = \"none\"` needs isolation, and `python.isolation` is off";
    if config.functions.defaults.network == NetworkAccess::None {
        mistakes.add(raw.settings.origin_of("functions.network"), message);
    }
    for (id, function) in &config.functions.entries {
        if function.network == NetworkAccess::None {
            mistakes.add(origin_in(raw, id, "network"), message);
        }
        if !function.hosts.is_empty() {
            let message = "`hosts` needs isolation, and `python.isolation` is off";
            mistakes.add(origin_in(raw, id, "hosts"), message);
        }
    }
}

/// Where a key of a function's table was written.
fn origin_in<'a>(raw: &'a Raw, id: &str, key: &str) -> &'a Origin {
    let fields = raw.functions.iter().find(|(known, _)| *known == id);
    fields.map_or(&Origin::Default, |(_, fields)| fields.origin_of(key))
}
