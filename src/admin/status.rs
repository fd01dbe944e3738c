//! How the gateway is: which generation serves, and what the last reload of the configuration came to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::reply::{Administrator, Answer};
use crate::registry::Registry;
use crate::store::ids;

/// What the last reload came to. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct LastReload(Arc<Mutex<Option<Outcome>>>);

#[derive(Clone, Debug)]
struct Outcome {
    at: i64,
    /// What was not put to work, and why; `None` if all was.
    mistakes: Option<String>,
}

impl LastReload {
    /// Notes a reload, with its mistakes if not all of it was put to work.
    pub fn note(&self, mistakes: Option<String>) {
        let at = ids::unix_seconds();
        *self.lock() = Some(Outcome { at, mistakes });
    }

    /// Whether what serves is older than what the last reload found: it failed, in part or as a whole.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        let outcome = self.lock();
        outcome
            .as_ref()
            .is_some_and(|outcome| outcome.mistakes.is_some())
    }

    fn to_json(&self) -> Value {
        match &*self.lock() {
            None => json!({"state": "none"}),
            Some(Outcome { at, mistakes: None }) => json!({"state": "ok", "at": at}),
            Some(Outcome {
                at,
                mistakes: Some(text),
            }) => {
                let mistakes: Vec<&str> = text.lines().collect();
                json!({"state": "failed", "at": at, "mistakes": mistakes})
            }
        }
    }

    /// Nothing panics under this lock.
    fn lock(&self) -> MutexGuard<'_, Option<Outcome>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn show(
    State(registry): State<Arc<Registry>>,
    State(reload): State<LastReload>,
    _: Administrator,
) -> Answer {
    let snapshot = registry.current();
    let functions = snapshot.functions().chain(snapshot.tools());
    let unreadable = functions.filter(|function| function.version.learnt.is_unreadable);
    let unreadable: Vec<&str> = unreadable.map(|function| function.id.as_str()).collect();
    Ok(Json(json!({
        "status": true,
        "generation": snapshot.generation,
        "reload": reload.to_json(),
        "unreadable": unreadable,
    })))
}
