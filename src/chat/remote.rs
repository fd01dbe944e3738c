//! The filters of Pipelines servers: called before the local ones, on requests and on answers.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tracing::warn;

use super::context::user;
use super::failure;
use super::request::{ChatRequest, Incoming};
use crate::auth::Caller;
use crate::config::{Closing, StreamOutlet};
use crate::error::{Error, Kind, Result};
use crate::host::Context;
use crate::models::{Model, Models};
use crate::telemetry::{Outcome, RequestLog};
use crate::upstream::{RemoteFilter, RemoteHook, Upstreams};
use crate::wire::json::Document;

/// The remote filters of one request.
#[derive(Debug)]
pub struct Remotes {
    upstreams: Upstreams,
    /// Those that name the model, in order.
    filters: Vec<Arc<RemoteFilter>>,
    /// The model itself, if it is a pipeline: the last to see the request and the first to see the answer.
    own: Option<Arc<RemoteFilter>>,
}

impl Remotes {
    /// The remote filters for a model, `None` if there are none.
    ///
    /// # Errors
    ///
    /// If the filters of a server are not known that no request may pass by.
    pub(super) async fn select(
        models: &Models,
        upstreams: &Upstreams,
        model: &Model,
        incoming: &Incoming<'_>,
    ) -> Result<Option<Box<Self>>> {
        if incoming.bypasses_filters {
            return Ok(None);
        }
        let filters = models.remote_filters(model).await?;
        let own = model.pipeline().cloned();
        if filters.is_empty() && own.is_none() {
            return Ok(None);
        }
        // Boxed, because it is rare and every stream would hold its room.
        Ok(Some(Box::new(Self {
            upstreams: upstreams.clone(),
            filters,
            own,
        })))
    }

    /// Whether a stream waits for one of them.
    pub(super) fn hold_streams(&self) -> bool {
        self.outlets().any(|filter| holds_streams(filter))
    }

    /// Passes the request through `inlet` of each.
    ///
    /// # Errors
    ///
    /// If one refuses, or cannot be asked and that is not forgiven.
    pub(super) async fn inlet(
        &self,
        context: &Context,
        request: &mut ChatRequest,
        log: &RequestLog,
    ) -> Result<()> {
        for filter in self.filters.iter().chain(&self.own) {
            let metadata = request.metadata.as_ref();
            let metadata = metadata.expect("a chain with filters has metadata");
            let mut body = request.document.edit();
            let body = body.set("metadata", metadata.json.clone()).finish();
            let reply = self
                .ask(filter, RemoteHook::Inlet, context, body, log)
                .await?;
            if let Some(reply) = reply {
                let is_changed = take(request, &reply)?;
                note(filter, RemoteHook::Inlet, is_changed, log);
            }
        }
        Ok(())
    }

    /// Passes a conversation that is over through `outlet` of each.
    ///
    /// # Errors
    ///
    /// If one refuses, or cannot be asked and that is not forgiven.
    pub(super) async fn outlet(
        &self,
        context: &Context,
        request: &mut ChatRequest,
        log: &RequestLog,
    ) -> Result<()> {
        for filter in self.outlets() {
            let body = request.document.bytes().clone();
            let reply = self
                .ask(filter, RemoteHook::Outlet, context, body, log)
                .await?;
            if let Some(reply) = reply {
                let is_changed = take(request, &reply)?;
                note(filter, RemoteHook::Outlet, is_changed, log);
            }
        }
        Ok(())
    }

    /// The filters in the order in which they see an answer.
    pub(super) fn outlets(&self) -> impl Iterator<Item = &Arc<RemoteFilter>> {
        self.own.iter().chain(&self.filters)
    }

    /// Shows a body to one filter; what it made of it, `None` if it could not be asked and that is forgiven.
    pub(super) async fn ask(
        &self,
        filter: &RemoteFilter,
        hook: RemoteHook,
        context: &Context,
        body: Bytes,
        log: &RequestLog,
    ) -> Result<Option<Document>> {
        let form = [b"{\"user\":", &context.user[..], b",\"body\":", &body, b"}"].concat();
        let reply = self.upstreams.filter(filter, hook, form.into()).await;
        let failed = match reply.and_then(read) {
            Ok(reply) => return Ok(Some(reply)),
            Err(error) => failed(filter, error),
        };
        log.function_ran(&filter.id, hook.name(), failure::outcome(&failed));
        let was_meant = failed.kind() == Kind::FunctionRefused;
        if was_meant || filter.settings.on_error == Closing::Closed {
            return Err(failed);
        }
        warn!(function.id = %filter.id, error = %failed, "remote filter failed, its step is skipped");
        log.function_error(&filter.id);
        Ok(None)
    }
}

/// Whether streams wait for a filter.
pub(super) fn holds_streams(filter: &RemoteFilter) -> bool {
    filter.settings.stream_outlet == StreamOutlet::Hold
}

/// Notes in the access log what a filter did.
pub(super) fn note(filter: &RemoteFilter, hook: RemoteHook, is_changed: bool, log: &RequestLog) {
    let outcome = match is_changed {
        true => Outcome::Changed,
        false => Outcome::Passed,
    };
    log.function_ran(&filter.id, hook.name(), outcome);
}

/// The request to a model of a Pipelines server, which is told in the body who asks.
///
/// # Errors
///
/// If the result is no JSON object, which would be a fault of ours.
pub(super) fn name_user(request: &mut ChatRequest, caller: &Caller) -> Result<()> {
    let mut edit = request.document.edit();
    let body = edit.set("user", user(caller).to_string().into()).finish();
    request.document = Document::parse(body).map_err(Error::internal)?;
    Ok(())
}

/// Takes over what a filter made of a request; whether that is another one.
fn take(request: &mut ChatRequest, reply: &Document) -> Result<bool> {
    let known = request.metadata.as_ref().map(|known| known.json.clone());
    let metadata = reply.raw("metadata").or(known);
    let body = reply.edit().remove("metadata").finish();
    request.replace(
        body,
        metadata.unwrap_or_else(|| json!({}).to_string().into()),
    )
}

fn read(reply: Bytes) -> Result<Document> {
    Document::parse(reply).map_err(|error| {
        let message = format!("its answer is no JSON object: {error}");
        Error::new(Kind::UpstreamInvalid, message)
    })
}

/// A failure with the name of the filter; the words of a refusal stay as they are.
fn failed(filter: &RemoteFilter, error: Error) -> Error {
    if error.kind() == Kind::FunctionRefused {
        return error.with_function(&filter.id);
    }
    let message = format!(
        "the remote filter `{}` could not be asked: {}",
        filter.id,
        error.message()
    );
    Error::new(error.kind(), message)
        .with_function(&filter.id)
        .with_source(error)
}
