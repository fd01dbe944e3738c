//! Valves and user valves: read, describe, update.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use serde_json::{Map, Value, json};

use super::reply::{Administrator, Answer, Form, Refusal};
use super::revisions::{IfMatch, Tagged, TaggedAnswer};
use crate::auth::Caller;
use crate::registry::{Function, Registry, StoredValues};

fn find(registry: &Registry, id: &str) -> Result<Arc<Function>, Refusal> {
    registry
        .current()
        .function(id)
        .cloned()
        .ok_or_else(Refusal::not_found)
}

/// Valves as they are shown, with the state of their function.
pub(super) fn shown(registry: &Registry, function: &Function) -> Tagged {
    Tagged {
        body: function.shown_valves(),
        revision: registry.revision(function),
    }
}

/// The caller's valves as they are shown, with their state.
pub(super) fn shown_to_user(registry: &Registry, function: &Function, caller: &Caller) -> Tagged {
    let user_id = &caller.user.id;
    Tagged {
        body: function.shown_user_valves(user_id),
        revision: registry.user_valves_revision(function, user_id),
    }
}

impl From<StoredValues> for Tagged {
    fn from(stored: StoredValues) -> Self {
        Self {
            body: stored.shown,
            revision: stored.revision,
        }
    }
}

pub(super) async fn read(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
    Path(id): Path<String>,
) -> TaggedAnswer {
    Ok(shown(&registry, &*find(&registry, &id)?))
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
    IfMatch(expected): IfMatch,
    Form(values): Form<Map<String, Value>>,
) -> TaggedAnswer {
    Ok(registry.set_valves(&id, values, &expected).await?.into())
}

pub(super) async fn read_user(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> TaggedAnswer {
    let function = find(&registry, &id)?;
    Ok(shown_to_user(&registry, &function, &caller))
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
    IfMatch(expected): IfMatch,
    Form(values): Form<Map<String, Value>>,
) -> TaggedAnswer {
    let user_id = &caller.user.id;
    let stored = registry.set_user_valves(&id, user_id, values, &expected);
    Ok(stored.await?.into())
}
