//! Valves and user valves: read, describe, update.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use serde_json::{Map, Value, json};

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
    Ok(Json(find(&registry, &id)?.shown_valves()))
}

pub(super) async fn spec(
    State(registry): State<Arc<Registry>>,
    Administrator(caller): Administrator,
    Path(id): Path<String>,
) -> Answer {
    let function = find(&registry, &id)?;
    Ok(Json(
        registry
            .valves_spec(&function, &entry_of(&caller), false)
            .await?,
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
    Ok(Json(function.shown_user_valves(&caller.user.id)))
}

pub(super) async fn user_spec(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let function = find(&registry, &id)?;
    // As in Open WebUI: nobody has valves of a function that is off.
    if !function.is_active {
        return Ok(Json(Value::Null));
    }
    Ok(Json(
        registry
            .valves_spec(&function, &entry_of(&caller), true)
            .await?,
    ))
}

/// `__user__` of who asks.
pub(super) fn entry_of(caller: &Caller) -> Value {
    let user = &caller.user;
    json!({"id": user.id, "email": user.email, "name": user.name, "role": user.role.as_str()})
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
