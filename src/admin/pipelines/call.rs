//! A filter called by itself, for clients that run their own chats.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{find, unknown};
use crate::admin::reply::{Administrator, Answer, Form, Refusal};
use crate::auth::Caller;
use crate::host::{Alone, Context, Failure, Hook, Host, Metadata};
use crate::registry::{Function, FunctionKind, Registry};
use crate::store::ids;

/// What a filter is called with.
#[derive(Debug, Deserialize)]
pub(super) struct FilterForm {
    body: Map<String, Value>,
    user: Option<Map<String, Value>>,
}

pub(super) async fn inlet(
    State(registry): State<Arc<Registry>>,
    State(host): State<Host>,
    Administrator(caller): Administrator,
    Path(id): Path<String>,
    Form(form): Form<FilterForm>,
) -> Answer {
    call(&registry, &host, &caller, &id, Hook::Inlet, form).await
}

pub(super) async fn outlet(
    State(registry): State<Arc<Registry>>,
    State(host): State<Host>,
    Administrator(caller): Administrator,
    Path(id): Path<String>,
    Form(form): Form<FilterForm>,
) -> Answer {
    call(&registry, &host, &caller, &id, Hook::Outlet, form).await
}

/// Passes a body through one handler. Pipes, and filters without the handler, give it back as it came.
async fn call(
    registry: &Registry,
    host: &Host,
    caller: &Caller,
    id: &str,
    hook: Hook,
    mut form: FilterForm,
) -> Answer {
    let function = find(registry, id, "Filter")?;
    if !function.is_active || !matches!(function.kind(), FunctionKind::Filter | FunctionKind::Pipe)
    {
        return Err(unknown("Filter", id));
    }
    if !function.handles(hook.name()) {
        return Ok(Json(Value::Object(form.body)));
    }
    let context = context(caller, &form);
    let given = form.body.remove("metadata").filter(Value::is_object);
    let metadata = Metadata {
        json: given
            .clone()
            .unwrap_or_else(|| json!({}))
            .to_string()
            .into(),
        version: 1,
    };
    let body: Bytes = Value::Object(form.body).to_string().into();
    let passed = pass(host, &function, &context, hook, &body, &metadata).await;
    let (body, metadata) = passed.map_err(|failure| refusal(&function, hook, &failure))?;
    let mut body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if given.is_some() {
        body["metadata"] = serde_json::from_slice(&metadata).unwrap_or_default();
    }
    Ok(Json(body))
}

async fn pass(
    host: &Host,
    function: &Arc<Function>,
    context: &Context,
    hook: Hook,
    body: &Bytes,
    metadata: &Metadata,
) -> Result<(Bytes, Bytes), Failure> {
    let mut session = host.open_filter(function, context, metadata).await?;
    session.call_hook(hook, body, metadata).await
}

/// What the filter is told of the request: the user that the client names, else the one who calls.
fn context(caller: &Caller, form: &FilterForm) -> Context {
    let own = || {
        json!({
            "id": caller.user.id,
            "email": caller.user.email,
            "name": caller.user.name,
            "role": caller.user.role.as_str(),
        })
    };
    let user = form.user.clone().map_or_else(own, Value::Object);
    let model = form.body.get("model").cloned().unwrap_or_default();
    let http = json!({"method": "POST", "url": "", "headers": {}, "client": null});
    Context {
        user_id: user["id"].as_str().unwrap_or_default().to_owned(),
        user: user.to_string().into(),
        model: json!({"id": model, "name": model}).to_string().into(),
        http: http.to_string().into(),
        callbacks: Arc::new(Alone),
        now: ids::unix_seconds().unsigned_abs(),
    }
}

/// A failure, with the status that the filter gave it or the Pipelines server's 500.
fn refusal(function: &Function, hook: Hook, failure: &Failure) -> Refusal {
    let of_process = |status, what: &str| {
        let detail = format!("`{}` of filter `{}` {what}", hook.name(), function.id);
        Refusal::new(status, detail)
    };
    match failure {
        Failure::Raised(exception) => {
            let status = exception
                .status
                .and_then(|status| StatusCode::from_u16(status).ok());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Refusal::new(status, exception.text())
        }
        Failure::TimedOut(_) => of_process(StatusCode::GATEWAY_TIMEOUT, "took too long"),
        Failure::Crashed => of_process(StatusCode::BAD_GATEWAY, "ended its process"),
        Failure::Garbled => of_process(StatusCode::BAD_GATEWAY, "answered nonsense"),
        Failure::Unavailable(why) | Failure::NotInstalled(why) => of_process(
            StatusCode::SERVICE_UNAVAILABLE,
            &format!("cannot be called: {why}"),
        ),
    }
}
