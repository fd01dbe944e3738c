//! The filters of Pipelines servers: called before the local ones, on requests and on answers.

use std::sync::Arc;

use bytes::Bytes;

use super::context::user;
use super::link::Link;
use super::request::{ChatRequest, Incoming};
use crate::auth::Caller;
use crate::error::{Error, Kind, Result};
use crate::host::{Context, Hook, Metadata};
use crate::models::{Model, Models};
use crate::upstream::{RemoteFilter, RemoteHook, Upstreams};
use crate::wire::json::Document;

/// A remote filter in one request.
#[derive(Debug)]
pub(super) struct Remote {
    upstreams: Upstreams,
    /// The filter.
    pub(super) filter: Arc<RemoteFilter>,
    /// Whether it is the model itself, a pipeline: the last to see the request and the first to see the answer.
    pub(super) is_own: bool,
}

/// The remote filters for a model, in the order in which they see a request.
///
/// # Errors
///
/// If the filters of a server are not known that no request may pass by.
pub(super) async fn select(
    models: &Models,
    upstreams: &Upstreams,
    model: &Model,
    incoming: &Incoming<'_>,
) -> Result<Vec<Link>> {
    if incoming.bypasses_filters {
        return Ok(Vec::new());
    }
    let filters = models.remote_filters(model).await?;
    let link = |filter: Arc<RemoteFilter>, is_own: bool| {
        Link::remote(Remote {
            upstreams: upstreams.clone(),
            filter,
            is_own,
        })
    };
    let own = model.pipeline().map(|own| link(Arc::clone(own), true));
    let filters = filters.into_iter().map(|filter| link(filter, false));
    Ok(filters.chain(own).collect())
}

impl Remote {
    /// Shows it a body; what it made of that, and of the metadata, which it is shown of requests only.
    ///
    /// # Errors
    ///
    /// If it refuses, or cannot be asked.
    pub(super) async fn ask(
        &self,
        hook: Hook,
        context: &Context,
        body: &Bytes,
        metadata: &Metadata,
    ) -> Result<(Bytes, Bytes)> {
        let (hook, body) = match hook {
            Hook::Outlet => (RemoteHook::Outlet, body.clone()),
            Hook::Inlet | Hook::Request => {
                let document = Document::parse(body.clone()).map_err(Error::internal)?;
                let mut edit = document.edit();
                let body = edit.set("metadata", metadata.json.clone()).finish();
                (RemoteHook::Inlet, body)
            }
        };
        let form = [b"{\"user\":", &context.user[..], b",\"body\":", &body, b"}"].concat();
        let reply = self.upstreams.filter(&self.filter, hook, form.into()).await;
        let reply = reply.and_then(read).map_err(|error| self.failed(error))?;
        let metadata = reply.raw("metadata").unwrap_or(metadata.json.clone());
        Ok((reply.edit().remove("metadata").finish(), metadata))
    }

    /// A failure with the name of the filter; the words of a refusal stay as they are.
    fn failed(&self, error: Error) -> Error {
        let id = &self.filter.id;
        if error.kind() == Kind::FunctionRefused {
            return error.with_function(id);
        }
        let message = format!(
            "the remote filter `{id}` could not be asked: {}",
            error.message()
        );
        Error::new(error.kind(), message)
            .with_function(id)
            .with_source(error)
    }
}

/// The request to a model of a Pipelines server, which is told in the body who asks.
///
/// # Errors
///
/// If the result is no JSON object, which would be a fault of ours.
pub(super) fn name_user(request: &mut ChatRequest, caller: &Caller) -> Result<()> {
    let mut edit = request.document.edit();
    let body = edit.set("user", user(caller)).finish();
    request.document = Document::parse(body).map_err(Error::internal)?;
    Ok(())
}

fn read(reply: Bytes) -> Result<Document> {
    Document::parse(reply).map_err(|error| {
        let message = format!("its answer is no JSON object: {error}");
        Error::new(Kind::UpstreamInvalid, message)
    })
}
