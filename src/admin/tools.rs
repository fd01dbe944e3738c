//! Tools: create, read, update, delete, share, and their valves.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::reply::{Administrator, Answer, Form, Refusal};
use super::revisions::{IfMatch, OnlyNew, Tagged, TaggedAnswer};
use super::valves::{entry_of, shown, shown_to_user};
use crate::auth::Caller;
use crate::config::Role;
use crate::registry::{
    Access, ChangeError, Edit, Function, GRANTS, NewFunction, Permission, Registry,
};

/// What a client sends to create or update tools.
#[derive(Debug, Deserialize)]
pub(super) struct ToolsForm {
    id: String,
    name: String,
    content: String,
    meta: Map<String, Value>,
    #[serde(default)]
    access_grants: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct AccessForm {
    access_grants: Vec<Value>,
}

/// Tools without their code.
fn summary(tools: &Function) -> Value {
    let record = &tools.record;
    let mut meta = record.meta.clone();
    let grants = meta.as_object_mut().and_then(|meta| meta.remove(GRANTS));
    if let Some(meta) = meta.as_object_mut() {
        meta.remove("toggle");
        meta.insert(
            "has_user_valves".to_owned(),
            json!(tools.version.learnt.has_user_valves),
        );
        meta.entry("i18n").or_insert(Value::Null);
    }
    json!({
        "id": tools.id.shown(),
        "user_id": record.user_id,
        "name": record.name,
        "meta": meta,
        "access_grants": grants.unwrap_or_else(|| json!([])),
        "version_id": record.version_id,
        "updated_at": record.updated_at,
        "created_at": record.created_at,
    })
}

/// Tools with their code and what models are told of them.
fn whole(tools: &Function) -> Value {
    let mut whole = summary(tools);
    whole["content"] = json!(tools.version.source.as_ref());
    whole["specs"] = tools.version.learnt.specs.iter().map(as_shown).collect();
    whole
}

/// Tools with their code, and their state.
fn tagged(registry: &Registry, tools: &Function) -> Tagged {
    Tagged {
        body: whole(tools),
        revision: registry.revision(tools),
    }
}

/// A spec without what is there for models only.
fn as_shown(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("raw_description");
    }
    spec
}

fn may(caller: &Caller, tools: &Function, right: Permission) -> bool {
    caller.rights == Role::Admin || tools.grants(&caller.owner.id, right)
}

/// The tools of this id, if the caller has the right to them.
fn find(
    registry: &Registry,
    caller: &Caller,
    id: &str,
    right: Permission,
) -> Result<Arc<Function>, Refusal> {
    let snapshot = registry.current();
    let tools = snapshot.tool(id).ok_or_else(Refusal::not_found)?;
    if may(caller, tools, right) {
        Ok(Arc::clone(tools))
    } else {
        Err(Refusal::prohibited())
    }
}

pub(super) async fn list(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
) -> Answer {
    let snapshot = registry.current();
    let mine = snapshot
        .tools()
        .filter(|tools| may(&caller, tools, Permission::Read));
    Ok(Json(mine.map(|tools| summary(tools)).collect()))
}

/// The tools that the caller may change, for the workspace page.
pub(super) async fn list_to_change(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
) -> Answer {
    let snapshot = registry.current();
    let mine = snapshot
        .tools()
        .filter(|tools| may(&caller, tools, Permission::Write));
    Ok(Json(mine.map(|tools| summary(tools)).collect()))
}

pub(super) async fn export(State(registry): State<Arc<Registry>>, _: Administrator) -> Answer {
    Ok(Json(
        registry
            .current()
            .tools()
            .map(|tools| whole(tools))
            .collect(),
    ))
}

pub(super) async fn read(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> TaggedAnswer {
    let tools = find(&registry, &caller, &id, Permission::Read)?;
    Ok(tagged(&registry, &tools))
}

pub(super) async fn create(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    only_new: OnlyNew,
    Form(form): Form<ToolsForm>,
) -> TaggedAnswer {
    // Code runs with the gateway's own means, so that only administrators may add it.
    if caller.rights != Role::Admin {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "401 Unauthorized"));
    }
    let grants = checked(form.access_grants)?;
    let new = NewFunction {
        meta: meta_of(form.meta, Some(grants.unwrap_or_else(|| json!([])))),
        id: form.id,
        name: form.name,
        content: form.content,
        user_id: caller.user.id.clone(),
    };
    match registry.create_tools(new).await {
        Ok(tools) => Ok(Tagged {
            body: summary(&tools),
            revision: registry.revision(&tools),
        }),
        Err(error @ ChangeError::IdTaken) => Err(only_new.taken(error.into())),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn update(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
    Form(form): Form<ToolsForm>,
) -> TaggedAnswer {
    let known = find(&registry, &caller, &id, Permission::Write)?;
    let meta = meta_of(form.meta, checked(form.access_grants)?);
    let id = known.id.as_str();
    let updated = if caller.rights == Role::Admin {
        let edit = Edit {
            name: Some(form.name),
            content: form.content,
            meta: Some(meta),
            user_id: caller.user.id.clone(),
        };
        registry.update(id, edit, &expected).await?
    } else if *form.content == *known.version.source {
        // Code may look up and set what others stored, so that only administrators may upload it, old code too.
        registry.describe(id, form.name, meta, &expected).await?
    } else {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "401 Unauthorized"));
    };
    Ok(tagged(&registry, &updated))
}

/// The access list of a form, if there is one that makes sense.
fn checked(grants: Option<Value>) -> Result<Option<Value>, Refusal> {
    let access = grants
        .map(|grants| Access::from_grants(&grants))
        .transpose();
    let access = access.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error))?;
    Ok(access.map(|access| access.to_json()))
}

/// What is said of tools, with who may use them if that was said where it belongs.
fn meta_of(mut meta: Map<String, Value>, grants: Option<Value>) -> Value {
    meta.remove(GRANTS);
    meta.extend(grants.map(|grants| (GRANTS.to_owned(), grants)));
    Value::Object(meta)
}

pub(super) async fn update_access(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
    Form(form): Form<AccessForm>,
) -> TaggedAnswer {
    let known = find(&registry, &caller, &id, Permission::Write)?;
    let grants = Value::from(form.access_grants);
    checked(Some(grants.clone()))?;
    let changed = registry.set_meta(known.id.as_str(), GRANTS, grants, &expected);
    Ok(tagged(&registry, &*changed.await?))
}

pub(super) async fn delete(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
) -> Answer {
    let known = find(&registry, &caller, &id, Permission::Write)?;
    let is_deleted = registry.delete(known.id.as_str(), &expected).await?;
    Ok(Json(Value::Bool(is_deleted)))
}

pub(super) async fn read_valves(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> TaggedAnswer {
    let tools = find(&registry, &caller, &id, Permission::Write)?;
    Ok(shown(&registry, &tools))
}

pub(super) async fn valves_spec(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let tools = find(&registry, &caller, &id, Permission::Write)?;
    let asker = entry_of(&caller);
    Ok(Json(registry.valves_spec(&tools, &asker, false).await?))
}

pub(super) async fn update_valves(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
    Form(values): Form<Map<String, Value>>,
) -> TaggedAnswer {
    let tools = find(&registry, &caller, &id, Permission::Read)?;
    if !may(&caller, &tools, Permission::Write) {
        return Err(Refusal::prohibited().with_status(StatusCode::BAD_REQUEST));
    }
    let stored = registry.set_valves(tools.id.as_str(), values, &expected);
    Ok(stored.await?.into())
}

pub(super) async fn read_user_valves(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> TaggedAnswer {
    let tools = find(&registry, &caller, &id, Permission::Read)?;
    Ok(shown_to_user(&registry, &tools, &caller))
}

pub(super) async fn user_valves_spec(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let tools = find(&registry, &caller, &id, Permission::Read)?;
    let asker = entry_of(&caller);
    Ok(Json(registry.valves_spec(&tools, &asker, true).await?))
}

pub(super) async fn update_user_valves(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
    Form(values): Form<Map<String, Value>>,
) -> TaggedAnswer {
    let tools = find(&registry, &caller, &id, Permission::Read)?;
    let user_id = &caller.user.id;
    let stored = registry.set_user_valves(tools.id.as_str(), user_id, values, &expected);
    Ok(stored.await?.into())
}
