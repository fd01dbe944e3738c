//! The protocol of the Pipelines server, so that an Open WebUI that has the gateway as a connection shows the
//! functions on its own admin page. Unlike there, every route wants an administrator's key (ruling R25).
//!
//! Filters are listed here and nowhere else: in a list of models, Open WebUI would take them for filters that it
//! has to call, and they would run twice.

mod call;
mod form;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::form::Upload;
use super::Managed;
use super::reply::{Administrator, Answer, Form, Refusal};
use super::revisions::{IfMatch, Tagged, TaggedAnswer};
use super::valves::entry_of;
use crate::registry::secrets;
use crate::registry::{
    ChangeError, Edit, Expected, Function, FunctionId, FunctionKind, NewFunction, Pipes, Registry,
};

/// Whether a path, with or without `/v1`, is one of the Pipelines server's.
pub(super) fn answers(path: &str) -> bool {
    let below = path.strip_prefix("/v1").unwrap_or(path);
    let segments: Vec<&str> = below.split('/').skip(1).collect();
    match segments[..] {
        [] | [""] => true,
        ["pipelines"] | ["pipelines", "add" | "upload" | "delete" | "reload"] => true,
        [id, "valves"] | [id, "valves", "spec" | "update"] | [id, "filter", "inlet" | "outlet"] => {
            !matches!(id, "" | "models" | "v1")
        }
        _ => false,
    }
}

/// The routes, with and without `/v1`.
pub(super) fn routes() -> Router<Managed> {
    let routes = Router::new()
        .route("/pipelines", get(list))
        .route("/pipelines/add", post(add))
        .route("/pipelines/upload", post(upload))
        .route("/pipelines/delete", delete(remove))
        .route("/pipelines/reload", post(reload))
        .route("/{id}/valves", get(valves))
        .route("/{id}/valves/spec", get(valves_spec))
        .route("/{id}/valves/update", post(update_valves))
        .route("/{id}/filter/inlet", post(call::inlet))
        .route("/{id}/filter/outlet", post(call::outlet));
    let with_status = |path: &str| Router::new().route(path, get(status));
    with_status("/")
        .merge(with_status("/v1"))
        .merge(with_status("/v1/"))
        .merge(routes.clone())
        .nest("/v1", routes)
}

async fn status(_: Administrator) -> Json<Value> {
    Json(json!({"status": true}))
}

async fn list(State(registry): State<Arc<Registry>>, _: Administrator) -> Answer {
    let listed = |function: &Arc<Function>| {
        json!({
            "id": function.id.as_str(),
            "name": function.record.name,
            "type": type_of(function),
            "valves": has_valves(function),
        })
    };
    let data: Vec<Value> = registry.current().functions().map(listed).collect();
    Ok(Json(json!({"data": data})))
}

/// The Pipelines server's word for what a function is.
fn type_of(function: &Function) -> &'static str {
    match function.kind() {
        FunctionKind::Pipe if function.version.learnt.pipes != Pipes::None => "manifold",
        kind => kind.as_str(),
    }
}

fn has_valves(function: &Function) -> bool {
    !function.version.learnt.valves_spec.is_null()
}

/// Code is never fetched: who may upload it has it.
async fn add(_: Administrator, Form(form): Form<Address>) -> Answer {
    let path = form.url.split(['?', '#']).next().unwrap_or_default();
    if !path.ends_with(".py") {
        let detail = "URL must point to a Python file";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, detail));
    }
    let detail = "Failed to download file: the gateway fetches no code; upload the file instead";
    Err(Refusal::new(StatusCode::BAD_REQUEST, detail))
}

#[derive(Debug, Deserialize)]
struct Address {
    url: String,
}

/// Creates or updates a function. A new one is active at once: the protocol has no way to turn it on, and a filter
/// still runs only where its valves or an administrator say so.
async fn upload(
    State(registry): State<Arc<Registry>>,
    Administrator(caller): Administrator,
    upload: Upload,
) -> Answer {
    let Some(stem) = upload.file_name.strip_suffix(".py") else {
        let detail = "Only Python files are allowed.";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, detail));
    };
    let id = FunctionId::parse(stem).ok_or(ChangeError::InvalidId)?;
    let is_known = registry.current().function(id.as_str()).is_some();
    let function = match is_known {
        true => {
            let edit = Edit {
                name: None,
                content: upload.content,
                meta: None,
                user_id: caller.user.id.clone(),
            };
            registry.update(id.as_str(), edit, &Expected::Any).await?
        }
        false => {
            let new = NewFunction {
                id: stem.to_owned(),
                name: stem.to_owned(),
                content: upload.content,
                meta: json!({"description": ""}),
                user_id: caller.user.id.clone(),
            };
            let created = registry.create(new).await?;
            // Only what was made here is turned on: a toggle of what somebody has turned on meanwhile turns it off.
            let as_created = Expected::state(registry.revision(&created));
            registry.toggle_active(id.as_str(), &as_created).await?
        }
    };
    let detail = format!("Pipeline {} uploaded successfully.", function.id);
    Ok(Json(
        json!({"status": true, "detail": detail, "id": function.id.as_str()}),
    ))
}

#[derive(Debug, Deserialize)]
struct Deletion {
    id: String,
}

async fn remove(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
    Form(form): Form<Deletion>,
) -> Answer {
    if !registry.delete(&form.id, &Expected::Any).await? {
        return Err(unknown("Pipeline", &form.id));
    }
    let detail = format!("Pipeline {} deleted successfully.", form.id);
    Ok(Json(json!({"status": true, "detail": detail})))
}

async fn reload(State(registry): State<Arc<Registry>>, _: Administrator) -> Answer {
    registry.reload_folder().await.map_err(|error| {
        let detail = format!("the functions folder cannot be read: {error}");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    })?;
    Ok(Json(json!({"message": "Pipelines reloaded successfully."})))
}

async fn valves(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
    Path(id): Path<String>,
) -> TaggedAnswer {
    let function = with_valves(&registry, &id)?;
    Ok(tagged_values(&registry, &function))
}

async fn valves_spec(
    State(registry): State<Arc<Registry>>,
    Administrator(caller): Administrator,
    Path(id): Path<String>,
) -> Answer {
    let function = with_valves(&registry, &id)?;
    let asker = entry_of(&caller);
    Ok(Json(registry.valves_spec(&function, &asker, false).await?))
}

/// Stores values. Open WebUI's page sends all of them: one that is the default, and was before, is not kept, so that
/// a later version of the code may have another.
async fn update_valves(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
    Path(id): Path<String>,
    IfMatch(expected): IfMatch,
    Form(sent): Form<Map<String, Value>>,
) -> TaggedAnswer {
    let function = with_valves(&registry, &id)?;
    // Which of them are defaults is asked of the function as it is when they are stored.
    let new = |function: &Function| without_defaults(&sent, function);
    registry
        .set_valves_of(function.id.as_str(), new, &expected)
        .await?;
    let function = with_valves(&registry, &id)?;
    Ok(tagged_values(&registry, &function))
}

/// Of the values that were sent those that are to be stored.
fn without_defaults(sent: &Map<String, Value>, function: &Function) -> Map<String, Value> {
    let (stored, defaults) = (stored(function), defaults(function));
    let shown = secrets::mask(&Value::Object(defaults.clone()), spec_of(function));
    let is_kept = |(name, value): &(&String, &Value)| {
        let is_default = defaults.get(*name) == Some(value) || shown.get(*name) == Some(value);
        stored.contains_key(*name) || !is_default
    };
    let kept = sent.iter().filter(is_kept);
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The function of an id; a manifold's model stands for the manifold.
fn find(registry: &Registry, id: &str, what: &str) -> Result<Arc<Function>, Refusal> {
    let function = id.split('.').next().unwrap_or(id);
    let snapshot = registry.current();
    let found = snapshot.function(function).cloned();
    found.ok_or_else(|| unknown(what, id))
}

fn with_valves(registry: &Registry, id: &str) -> Result<Arc<Function>, Refusal> {
    let function = find(registry, id, "Pipeline")?;
    if has_valves(&function) {
        return Ok(function);
    }
    Err(unknown("Valves for", id))
}

fn unknown(what: &str, id: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, format!("{what} {id} not found"))
}

/// All values, and the state of their function.
fn tagged_values(registry: &Registry, function: &Function) -> Tagged {
    Tagged {
        body: shown_values(function),
        revision: registry.revision(function),
    }
}

/// All values, the defaults with the stored ones over them, as they are shown: secrets are masked.
fn shown_values(function: &Function) -> Value {
    let mut values = defaults(function);
    values.extend(stored(function));
    secrets::mask(&Value::Object(values), spec_of(function))
}

fn spec_of(function: &Function) -> &Value {
    &function.version.learnt.valves_spec
}

fn stored(function: &Function) -> Map<String, Value> {
    serde_json::from_slice(&function.valves.stored).unwrap_or_default()
}

/// What the class says of each value where nothing is stored, and the models that a Pipeline names by itself.
fn defaults(function: &Function) -> Map<String, Value> {
    let learnt = &function.version.learnt;
    let fields = learnt.valves_spec["properties"].as_object();
    let default = |(name, field): (&String, &Value)| {
        field
            .get("default")
            .map(|value| (name.clone(), value.clone()))
    };
    let mut defaults: Map<String, Value> =
        fields.into_iter().flatten().filter_map(default).collect();
    if let Some(targets) = &learnt.targets {
        defaults.insert("pipelines".to_owned(), json!(targets));
    }
    defaults
}

#[cfg(test)]
mod tests {
    use super::answers;

    #[test]
    fn the_servers_paths_are_known_with_and_without_v1() {
        for path in [
            "/",
            "/v1",
            "/v1/",
            "/pipelines",
            "/v1/pipelines/upload",
            "/x/valves",
            "/v1/x/valves/spec",
            "/v1/x/filter/inlet",
            "/pipelines/filter/outlet",
        ] {
            assert!(answers(path), "{path}");
        }
        for path in [
            "/v1/models",
            "/v1/models/valves",
            "/v1/embeddings",
            "/v1/pipelines/others",
            "/v1/x/filter/stream",
            "/v1/v1/valves",
            "/api/v1/functions",
            "//valves",
        ] {
            assert!(!answers(path), "{path}");
        }
    }
}
