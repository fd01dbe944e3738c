//! Functions: create, read, update, delete, toggle.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::reply::{Administrator, Answer, Form, Refusal};
use super::revisions::{IfMatch, OnlyNew, Tagged, TaggedAnswer};
use crate::host::Host;
use crate::native::KINDS;
use crate::registry::{ChangeError, Edit, Function, LoadFault, NewFunction, Registry, frontmatter};

/// What a client sends to create or update a function.
#[derive(Debug, Deserialize)]
pub(super) struct FunctionForm {
    id: String,
    name: String,
    /// Its code; left out where `native` says what it is.
    #[serde(default)]
    content: Option<String>,
    /// The filter in Rust that it is.
    #[serde(default)]
    native: Option<String>,
    meta: Map<String, Value>,
}

impl FunctionForm {
    /// The text of the function.
    fn content(&self) -> Result<String, Refusal> {
        match (&self.content, &self.native) {
            (Some(content), None) => Ok(content.clone()),
            (None, Some(native)) => Ok(frontmatter::of_native(&self.name, native)),
            _ => Err(Refusal::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "a function has either `content` or `native`",
            )),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ExportQuery {
    #[serde(default)]
    include_valves: bool,
}

/// A function without its code.
fn summary(function: &Function) -> Value {
    let record = &function.record;
    let mut summary = json!({
        "id": function.id.as_str(),
        "user_id": record.user_id,
        "name": record.name,
        "type": function.kind().as_str(),
        "meta": record.meta,
        "is_active": function.is_active,
        "is_global": function.is_global,
        "version_id": record.version_id,
        "updated_at": record.updated_at,
        "created_at": record.created_at,
    });
    if let Some(native) = &function.version.learnt.native {
        summary["native"] = json!(native);
    }
    summary
}

/// A function without its code, and why that was not loaded, if so.
fn report(function: &Function) -> Value {
    let mut report = summary(function);
    if let Some(why) = &function.version.learnt.not_loaded {
        report["not_loaded"] = json!(why);
    }
    report
}

/// A function with its code.
pub(super) fn whole(function: &Function) -> Value {
    let mut whole = report(function);
    whole["content"] = json!(function.version.source.as_ref());
    whole
}

/// A function with its code, and its state.
pub(super) fn tagged(registry: &Registry, function: &Function) -> Tagged {
    Tagged {
        body: whole(function),
        revision: registry.revision(function),
    }
}

pub(super) async fn list(State(registry): State<Arc<Registry>>) -> Answer {
    Ok(Json(
        registry
            .current()
            .functions()
            .map(|function| summary(function))
            .collect(),
    ))
}

pub(super) async fn list_for_admin(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
) -> TaggedAnswer {
    let snapshot = registry.current();
    let mut functions: Vec<_> = snapshot.functions().collect();
    functions.sort_by_key(|function| std::cmp::Reverse(function.record.updated_at));
    let functions = functions.into_iter();
    Ok(Tagged {
        body: functions.map(|function| whole(function)).collect(),
        revision: registry.functions_revision(&snapshot),
    })
}

/// The filters in Rust that functions can be made from.
pub(super) async fn natives(_: Administrator) -> Answer {
    let described = KINDS.iter().map(|kind| {
        json!({
            "native": kind.name,
            "description": kind.about,
            "handlers": kind.handlers,
            "valves_spec": kind.valves_spec(),
            "user_valves_spec": kind.user_valves_spec(),
        })
    });
    Ok(Json(described.collect()))
}

pub(super) async fn export(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
    Query(query): Query<ExportQuery>,
) -> TaggedAnswer {
    let exported = |function: &Arc<Function>| {
        let mut exported = whole(function);
        if query.include_valves {
            exported["valves"] =
                serde_json::from_slice(&function.valves.stored).unwrap_or_default();
        }
        exported
    };
    let snapshot = registry.current();
    Ok(Tagged {
        body: snapshot.functions().map(exported).collect(),
        revision: registry.functions_revision(&snapshot),
    })
}

pub(super) async fn read(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
    Path(id): Path<String>,
) -> TaggedAnswer {
    let snapshot = registry.current();
    let function = snapshot.function(&id).ok_or_else(Refusal::not_found)?;
    Ok(tagged(&registry, function))
}

pub(super) async fn create(
    State(registry): State<Arc<Registry>>,
    Administrator(caller): Administrator,
    only_new: OnlyNew,
    Form(form): Form<FunctionForm>,
) -> TaggedAnswer {
    let new = NewFunction {
        content: form.content()?,
        id: form.id,
        name: form.name,
        meta: Value::Object(form.meta),
        user_id: caller.user.id.clone(),
    };
    match registry.create(new).await {
        Ok(function) => Ok(Tagged {
            body: report(&function),
            revision: registry.revision(&function),
        }),
        Err(error @ ChangeError::IdTaken) => Err(only_new.taken(error.into())),
        // Recorded texts of updates are the exception's own; a refused upload may say where as well (ruling R31).
        Err(ChangeError::Refused(error)) if error.fault == LoadFault::Refused => {
            Err(Refusal::new(StatusCode::BAD_REQUEST, error.located()))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn update(
    State(registry): State<Arc<Registry>>,
    Administrator(caller): Administrator,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
    Form(form): Form<FunctionForm>,
) -> TaggedAnswer {
    let edit = Edit {
        content: form.content()?,
        name: Some(form.name),
        meta: Some(Value::Object(form.meta)),
        user_id: caller.user.id.clone(),
    };
    match registry.update(&id, edit, &expected).await {
        Ok(function) => Ok(tagged(&registry, &function)),
        Err(ChangeError::UnknownFunction) => {
            Err(Refusal::new(StatusCode::NOT_FOUND, "Function not found"))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn delete(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
) -> Answer {
    registry.delete(&id, &expected).await?;
    // Open WebUI says so for a function that was not there, too.
    Ok(Json(Value::Bool(true)))
}

pub(super) async fn toggle(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
) -> TaggedAnswer {
    let function = registry.toggle_active(&id, &expected).await?;
    Ok(tagged(&registry, &function))
}

pub(super) async fn toggle_global(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
) -> TaggedAnswer {
    let function = registry.toggle_global(&id, &expected).await?;
    Ok(tagged(&registry, &function))
}

/// What a function printed and logged lately, and where it raised.
pub(super) async fn output(
    State(registry): State<Arc<Registry>>,
    State(host): State<Host>,
    _: Administrator,
    Path(id): Path<String>,
) -> Answer {
    let snapshot = registry.current();
    let function = snapshot.function(&id).ok_or_else(Refusal::not_found)?;
    Ok(Json(
        json!({"lines": host.output().of(function.id.as_str())}),
    ))
}
