//! A function: what it is called, which version of its code serves, and how it is set up.

mod id;
mod learnt;
mod settings;

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::{Map, Value};

pub use self::id::FunctionId;
pub use self::learnt::{ActionEntry, FunctionKind, Learnt, Pipes};
pub use self::settings::{FunctionSettings, Limits};

use super::secrets;

/// A place in which the host keeps what it makes of a version of code or valves; emptied when that is dropped.
#[derive(Default)]
pub struct Pocket(OnceLock<Arc<dyn Any + Send + Sync>>);

impl Pocket {
    /// What is in it, after putting the result of `make` in if it was empty.
    ///
    /// # Panics
    ///
    /// If something of another type is in it: only one part of the program uses pockets.
    pub fn get_or_make<T: Any + Send + Sync>(&self, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        let content = self.0.get_or_init(|| make());
        Arc::clone(content)
            .downcast()
            .expect("one type is kept in pockets")
    }
}

impl fmt::Debug for Pocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pocket")
    }
}

/// One upload of a function's code.
#[derive(Debug)]
pub struct FunctionVersion {
    /// Unique in this process; equal text uploaded again gets a new one.
    pub number: u64,
    /// The function that it is a version of.
    pub id: FunctionId,
    /// The code.
    pub source: Arc<str>,
    /// What the loader learnt of it.
    pub learnt: Learnt,
    /// The process in which it runs.
    pub pocket: Pocket,
}

impl FunctionVersion {
    /// The same version, whose process starts when somebody calls it.
    pub(super) fn without_process(&self) -> Self {
        Self {
            number: self.number,
            id: self.id.clone(),
            source: Arc::clone(&self.source),
            learnt: self.learnt.clone(),
            pocket: Pocket::default(),
        }
    }
}

/// User valves of a function by user id.
pub type UserValves = Arc<HashMap<String, Bytes>>;

/// The stored valves of a function, as of one change.
#[derive(Debug)]
pub struct Valves {
    /// Unique in this process and rising.
    pub version: u64,
    /// The explicitly set values, a JSON object.
    pub stored: Bytes,
    /// The order of the function under these values; lower runs first.
    pub priority: f64,
    /// The models that they name in `pipelines`, which is how filters of the Pipelines server choose theirs.
    pub targets: Option<Vec<String>>,
    /// The filter in Rust that they make, if the function is one.
    pub pocket: Pocket,
}

/// Where a function comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file in the functions folder: its code is read-only over the API.
    Folder,
    /// The store, through the API.
    Store,
}

/// What management shows of a function besides its code and valves.
#[derive(Clone, Debug)]
pub struct Record {
    /// The user who made it.
    pub user_id: String,
    /// Its name for people.
    pub name: String,
    /// `description`, `manifest` and what else its author said.
    pub meta: Value,
    /// The upload that serves, for people.
    pub version_id: String,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// When it was last changed, in Unix seconds.
    pub updated_at: i64,
}

/// A function as one snapshot has it.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its id.
    pub id: FunctionId,
    /// Where it comes from.
    pub origin: Origin,
    /// The code that serves.
    pub version: Arc<FunctionVersion>,
    /// The valves that apply.
    pub valves: Arc<Valves>,
    /// Stored `UserValves` by user id, each a JSON object.
    pub user_valves: UserValves,
    /// How it is set up.
    pub settings: Arc<FunctionSettings>,
    /// Whether it may run at all.
    pub is_active: bool,
    /// Whether, being a filter, it runs on every model.
    pub is_global: bool,
    /// What management shows of it.
    pub record: Arc<Record>,
}

impl Function {
    /// What its class is.
    #[must_use]
    pub fn kind(&self) -> FunctionKind {
        self.version.learnt.kind
    }

    /// Whether it has a handler of this name.
    #[must_use]
    pub fn handles(&self, name: &str) -> bool {
        self.version.learnt.handles(name)
    }

    /// The models that a filter written for the Pipelines server is for; `None` for every other function.
    #[must_use]
    pub fn targets(&self) -> Option<&[String]> {
        let own = self.version.learnt.targets.as_deref()?;
        Some(self.valves.targets.as_deref().unwrap_or(own))
    }

    /// The stored valves as they are shown: secrets are masked.
    #[must_use]
    pub fn shown_valves(&self) -> Value {
        let stored = serde_json::from_slice(&self.valves.stored).unwrap_or_default();
        secrets::mask(&stored, &self.version.learnt.valves_spec)
    }

    /// A user's stored valves as they are shown: secrets are masked.
    #[must_use]
    pub fn shown_user_valves(&self, user_id: &str) -> Value {
        let stored = Value::Object(self.stored_user_valves(user_id));
        secrets::mask(&stored, &self.version.learnt.user_valves_spec)
    }

    /// A user's stored valves.
    pub(super) fn stored_user_valves(&self, user_id: &str) -> Map<String, Value> {
        let stored = self.user_valves.get(user_id);
        stored
            .and_then(|stored| serde_json::from_slice(stored).ok())
            .unwrap_or_default()
    }

    /// Whether it is attached to every request of `model`, toggles aside.
    #[must_use]
    pub fn is_attached_to(&self, model: &str) -> bool {
        if let Some(targets) = self.targets() {
            return is_target(targets, model);
        }
        self.is_global
            || self
                .settings
                .models
                .iter()
                .any(|attached| attached == model)
    }
}

/// The target that stands for all models.
pub(super) const EVERY_MODEL: &str = "*";

/// Whether a filter of the Pipelines server that names these models is for `model`: a lone `*` means all of them.
#[must_use]
pub fn is_target(targets: &[String], model: &str) -> bool {
    targets == [EVERY_MODEL] || targets.iter().any(|target| target == model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_all_models_or_those_named() {
        let targets = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        assert!(is_target(&targets(&["*"]), "m"));
        assert!(is_target(&targets(&["x", "m"]), "m"));
        assert!(!is_target(&targets(&["*", "x"]), "m"));
        assert!(!is_target(&targets(&[]), "m"));
    }
}
