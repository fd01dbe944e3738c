//! Where a request goes, decided after its inlet filters.

use std::sync::Arc;

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde_json::json;

use super::request::{ChatRequest, Incoming};
use super::{Contract, respond};
use crate::error::Result;
use crate::models::{Model, Models};
use crate::registry::Snapshot;
use crate::upstream::{self, Answer, Outgoing, Reply, Upstreams};
use crate::wire::json::Document;

pub use crate::models::Target;

/// Makes `model` the one that a request goes to: where a filter rewrote it, another one that the caller may use.
///
/// # Errors
///
/// If there is no such model for this caller.
pub(super) async fn follow(
    models: &Models,
    snapshot: &Arc<Snapshot>,
    incoming: &Incoming<'_>,
    request: &ChatRequest,
    model: &mut Model,
) -> Result<()> {
    if request.document.says("model", &model.id) {
        return Ok(());
    }
    let id = request.model();
    if id != model.id {
        // Boxed, because it is rare.
        *model = Box::pin(models.find(snapshot, incoming.caller, &id)).await?;
    }
    Ok(())
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
        request_id: incoming.log.id(),
        created: incoming.now,
    };
    let reply = upstreams.send(target, &outgoing).await?;
    Ok(match reply {
        Reply::Whole(answer) if request.contract == Contract::OpenWebUi => {
            Reply::Whole(as_json(answer))
        }
        reply => reply,
    })
}

/// A whole answer as Open WebUI passes it on: always JSON, text as a JSON string, without the server's own headers.
fn as_json(mut answer: Answer) -> Answer {
    if !answer.body.is_empty() && Document::parse(answer.body.clone()).is_err() {
        let text = String::from_utf8_lossy(&answer.body);
        answer.body = json!(text).to_string().into();
    }
    let keeps_type = answer.body.is_empty();
    let headers = answer.headers.into_iter();
    let kept = headers.filter_map(|(name, value)| Some((name?, value)));
    answer.headers = kept
        .filter(|(name, _)| respond::is_advice(name) || keeps_type && *name == CONTENT_TYPE)
        .collect();
    if !keeps_type {
        answer
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    answer
}
