//! Valves and user valves: read, describe, update.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use serde_json::{Map, Value};

use super::reply::{Administrator, Answer, Form, Refusal};
use crate::auth::Caller;
use crate::registry::{Function, Registry};

fn find(registry: &Registry, id: &str) -> Result<Arc<Function>, Refusal> {
    registry
        .current()
        .function(id)
        .cloned()
        .ok_or_else(Refusal::not_found)
}

pub(super) async fn read(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
    Path(id): Path<String>,
) -> Answer {
    let function = find(&registry, &id)?;
    Ok(Json(
        serde_json::from_slice(&function.valves.stored).unwrap_or_default(),
    ))
}

pub(super) async fn spec(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
    Path(id): Path<String>,
) -> Answer {
    Ok(Json(
        find(&registry, &id)?.version.learnt.valves_spec.clone(),
    ))
}

pub(super) async fn update(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
    Path(id): Path<String>,
    Form(values): Form<Map<String, Value>>,
) -> Answer {
    Ok(Json(registry.set_valves(&id, values).await?))
}

pub(super) async fn read_user(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let function = find(&registry, &id)?;
    let stored = function.user_valves.get(&caller.user.id);
    let stored = stored.and_then(|stored| serde_json::from_slice(stored).ok());
    Ok(Json(stored.unwrap_or_else(|| Value::Object(Map::new()))))
}

pub(super) async fn user_spec(
    State(registry): State<Arc<Registry>>,
    Path(id): Path<String>,
) -> Answer {
    Ok(Json(
        find(&registry, &id)?
            .version
            .learnt
            .user_valves_spec
            .clone(),
    ))
}

pub(super) async fn update_user(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Form(values): Form<Map<String, Value>>,
) -> Answer {
    Ok(Json(
        registry
            .set_user_valves(&id, &caller.user.id, values)
            .await?,
    ))
}
