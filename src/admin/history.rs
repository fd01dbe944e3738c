//! The versions of a function: list, read, restore, forget.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::functions::tagged;
use super::reply::{Administrator, Answer, Form, Refusal};
use super::revisions::{IfMatch, TaggedAnswer};
use crate::auth::Auth;
use crate::registry::{Registry, RestoredValves};
use crate::store::FunctionVersionRow;

/// What a client sends to go back to a version.
#[derive(Debug, Deserialize)]
pub(super) struct VersionForm {
    version_id: String,
    #[serde(default)]
    valves: RestoredValves,
}

/// A version without its code.
fn entry(auth: &Auth, version: &FunctionVersionRow, current: &str) -> Value {
    let user = auth.user(&version.user_id).map(|user| {
        json!({"id": user.id, "name": user.name, "email": user.email, "role": user.role.as_str()})
    });
    json!({
        "id": version.version_id,
        "function_id": version.function_id,
        "user_id": version.user_id,
        "user": user,
        "created_at": version.created_at,
        "current": version.version_id == current,
        "valves": names_of_valves(version),
    })
}

/// The names of the valves that come back with a version, null if they were not kept. Never their values: what marks them
/// as secrets is known of the code that serves only.
fn names_of_valves(version: &FunctionVersionRow) -> Value {
    let valves = version.valves.as_deref().map(serde_json::from_str);
    match valves {
        Some(Ok(Value::Object(valves))) => valves.into_iter().map(|(name, _)| name).collect(),
        _ => Value::Null,
    }
}

fn current_version(registry: &Registry, id: &str) -> String {
    let snapshot = registry.current();
    let function = snapshot.function(id);
    function.map_or_else(String::new, |function| function.record.version_id.clone())
}

pub(super) async fn list(
    State(registry): State<Arc<Registry>>,
    State(auth): State<Auth>,
    _: Administrator,
    Path(id): Path<String>,
) -> Answer {
    let versions = registry.versions(&id).await?;
    let current = current_version(&registry, &id);
    let entries = versions
        .iter()
        .map(|version| entry(&auth, version, &current));
    Ok(Json(entries.collect()))
}

pub(super) async fn read(
    State(registry): State<Arc<Registry>>,
    State(auth): State<Auth>,
    _: Administrator,
    Path((id, version_id)): Path<(String, String)>,
) -> Answer {
    let version = registry.version(&id, &version_id).await?;
    let mut entry = entry(&auth, &version.row, &current_version(&registry, &id));
    entry["content"] = json!(version.content);
    Ok(Json(entry))
}

pub(super) async fn restore(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
    Form(form): Form<VersionForm>,
) -> TaggedAnswer {
    let restored = registry.restore(&id, &form.version_id, form.valves, &expected);
    Ok(tagged(&registry, &*restored.await?))
}

pub(super) async fn forget(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
    Path((id, version_id)): Path<(String, String)>,
) -> Answer {
    let version = registry.version(&id, &version_id).await?.row;
    if version.version_id == current_version(&registry, &id) {
        let message = "this version serves: restore another one first";
        return Err(Refusal::new(StatusCode::CONFLICT, message));
    }
    Ok(Json(json!(
        registry.forget_version(&id, &version_id).await?
    )))
}
