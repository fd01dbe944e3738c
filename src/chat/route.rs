//! Where a request goes, decided after its inlet filters.

use std::sync::Arc;

use super::request::{ChatRequest, Incoming};
use crate::auth::Caller;
use crate::error::Result;
use crate::models::{Model, Models};
use crate::registry::Snapshot;
use crate::upstream::{self, Outgoing, Reply, Upstreams};

pub use crate::models::Target;

/// The model that a request goes to: the one that was asked for, or, where a filter rewrote it, another one that the
/// caller may use.
///
/// # Errors
///
/// If there is no such model for this caller.
pub(super) async fn choose(
    models: &Models,
    snapshot: &Arc<Snapshot>,
    caller: &Caller,
    request: &ChatRequest,
    asked: Model,
) -> Result<Model> {
    let id = request.model();
    if id == asked.id {
        Ok(asked)
    } else {
        models.find(snapshot, caller, &id).await
    }
}

/// Sends a request to a model server.
///
/// # Errors
///
/// If the server cannot be reached, refuses or breaks off.
pub(super) async fn send(
    upstreams: &Upstreams,
    target: &upstream::Target,
    request: &ChatRequest,
    incoming: &Incoming<'_>,
) -> Result<Reply> {
    let document = request.for_upstream()?;
    let outgoing = Outgoing {
        document: &document,
        stream: request.is_streamed(),
        headers: incoming.headers,
        contract: request.contract,
        conversation: upstreams
            .needs_conversation(target)
            .then(|| request.conversation())
            .flatten(),
        answer_id: &format!("chatcmpl-{}", incoming.log.id()),
        created: incoming.now,
    };
    upstreams.send(target, &outgoing).await
}
