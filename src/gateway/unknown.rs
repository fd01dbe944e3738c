//! Tables of the configuration for functions that are not there: most likely a slip in the name.

use tracing::warn;

use crate::config::{FunctionsConfig, nearest};
use crate::registry::Registry;

/// Logs each table whose function is neither in the folder nor in the store.
pub(super) fn warn(config: &FunctionsConfig, registry: &Registry) {
    let snapshot = registry.current();
    let known = snapshot.functions().chain(snapshot.tools());
    let known: Vec<&str> = known.map(|function| function.id.shown()).collect();
    for message in messages(config, &known) {
        warn!("{message}");
    }
}

/// What is to be said of the tables whose functions are not `known`.
pub(super) fn messages(config: &FunctionsConfig, known: &[&str]) -> Vec<String> {
    let tables = config.entries.keys();
    let unknown = tables.filter(|id| !known.contains(&id.as_str()));
    unknown.map(|id| message(id, known)).collect()
}

fn message(id: &str, known: &[&str]) -> String {
    let hint = match nearest(id, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "it counts once a function of this id is there".to_owned(),
    };
    format!("`[function.{id}]` is set up and there is no function `{id}`; hint: {hint}")
}
