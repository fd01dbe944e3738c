//! Many functions at once: import, sync, and the text of one from the web.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tracing::info;

use super::functions::whole;
use super::reply::{Administrator, Answer, Form, Refusal};
use super::revisions::{IfMatch, Tagged, TaggedAnswer};
use super::{Downloads, reply, revisions};
use crate::download;
use crate::registry::{Expected, ImportError, Imported, Others, Registry};

/// A list of functions, alone or under its name.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum ImportForm {
    List(Vec<Value>),
    Named { functions: Vec<Value> },
}

/// What a client sends to make the stored functions exactly these.
#[derive(Debug, Deserialize)]
pub(super) struct SyncForm {
    functions: Vec<Value>,
}

/// A function as exports hold it; what else they hold of it is not used.
#[derive(Debug, Deserialize)]
struct ExportedFunction {
    id: String,
    #[serde(default)]
    name: Option<String>,
    content: String,
    #[serde(default)]
    meta: Option<Map<String, Value>>,
    #[serde(default)]
    is_active: Option<bool>,
    #[serde(default)]
    is_global: Option<bool>,
    #[serde(default)]
    valves: Option<Map<String, Value>>,
}

/// What a client sends to have a file fetched.
#[derive(Debug, Deserialize)]
pub(super) struct UrlForm {
    url: String,
}

pub(super) async fn import(
    State(registry): State<Arc<Registry>>,
    Administrator(caller): Administrator,
    IfMatch(expected): IfMatch,
    Form(form): Form<ImportForm>,
) -> TaggedAnswer {
    let (ImportForm::List(functions) | ImportForm::Named { functions }) = form;
    let user_id = &caller.user.id;
    put(&registry, functions, user_id, Others::Keep, &expected).await
}

pub(super) async fn sync(
    State(registry): State<Arc<Registry>>,
    Administrator(caller): Administrator,
    IfMatch(expected): IfMatch,
    Form(form): Form<SyncForm>,
) -> TaggedAnswer {
    let (user_id, functions) = (&caller.user.id, form.functions);
    put(&registry, functions, user_id, Others::Remove, &expected).await
}

async fn put(
    registry: &Registry,
    functions: Vec<Value>,
    user_id: &str,
    others: Others,
    expected: &Expected,
) -> TaggedAnswer {
    let functions = read(functions)?;
    let count = functions.len();
    let placed = registry.import(functions, user_id, others, expected).await;
    let placed = placed.map_err(refusal)?;
    info!(user.id = user_id, count, "functions imported");
    let functions = placed.functions.iter();
    Ok(Tagged {
        body: functions.map(|function| whole(function)).collect(),
        revision: placed.revision,
    })
}

/// The functions of an export; what is none is named by its place.
fn read(functions: Vec<Value>) -> Result<Vec<Imported>, Refusal> {
    let read = functions.into_iter().enumerate().map(|(at, function)| {
        let label = function["id"]
            .as_str()
            .unwrap_or("without an id")
            .to_owned();
        serde_json::from_value(function)
            .map(imported)
            .map_err(|error| {
                let message = format!("function {} (`{label}`): {error}", at + 1);
                Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, message)
            })
    });
    read.collect()
}

fn imported(function: ExportedFunction) -> Imported {
    Imported {
        name: function.name.unwrap_or_else(|| function.id.clone()),
        id: function.id,
        content: function.content,
        meta: Value::Object(function.meta.unwrap_or_default()),
        is_active: function.is_active,
        is_global: function.is_global,
        valves: function.valves,
    }
}

/// Names every function that cannot be put in place.
fn refusal(error: ImportError) -> Refusal {
    let errors = match error {
        ImportError::Functions(errors) => errors,
        ImportError::Stale(stale) => return revisions::stale(stale),
        ImportError::Store(error) => return reply::of_store(&error),
    };
    let mut texts = Map::new();
    for (id, error) in &errors {
        texts.insert(id.clone(), json!(error.to_string()));
    }
    let list: Vec<String> = errors
        .iter()
        .map(|(id, error)| format!("`{id}`: {error}"))
        .collect();
    let detail = format!("nothing was imported: {}", list.join("; "));
    Refusal::new(StatusCode::BAD_REQUEST, detail).with("errors", Value::Object(texts))
}

pub(super) async fn load_url(
    State(downloads): State<Downloads>,
    _: Administrator,
    Form(form): Form<UrlForm>,
) -> Answer {
    if !downloads.are_allowed {
        let message = "fetching files is switched off; hint: set `functions.load_url = true`";
        return Err(Refusal::new(StatusCode::FORBIDDEN, message));
    }
    let source = download::Source::parse(&form.url)
        .map_err(|error| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    let content = source.fetch(&downloads.private).await.map_err(|error| {
        let message = format!("Error importing function: {error}");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    })?;
    Ok(Json(json!({"name": source.name(), "content": content})))
}
