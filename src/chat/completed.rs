//! A client's own second call, `/api/chat/completed`: the conversation it holds, through `outlet` once more.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::json;

use super::chain::{Chain, outlets};
use super::link::{Asked, Failed, together};
use super::request::{ChatRequest, Incoming};
use super::{Chat, failure, remote, respond};
use crate::body::Body;
use crate::error::{Error, Kind, Result};
use crate::host::{Hook, Host, Metadata, Step};
use crate::telemetry::{Outcome, RequestLog};

const OUTLET: &str = "outlet";

impl Chat {
    /// Passes a client's conversation through `outlet` of every filter of its model, and answers with what they made
    /// of it.
    ///
    /// # Errors
    ///
    /// If the model is not known, the answer's message is not named, or a filter refuses or fails.
    pub async fn completed(&self, incoming: &Incoming<'_>, body: Bytes) -> Result<Response<Body>> {
        let snapshot = self.snapshot(incoming);
        let mut request = ChatRequest::parse_conversation(incoming, body)?;
        let model = request.model().into_owned();
        let model = self.models.find(&snapshot, incoming.caller, &model).await?;
        let remotes = remote::select(&self.models, &self.upstreams, &model, incoming).await?;
        let mut chain = Chain::select(&self.reach, &snapshot, &request, &model, remotes, incoming);
        request.metadata = Some(metadata(&request, incoming));
        run(&self.host, &mut chain, &mut request).await?;
        let body = request.document.bytes().clone();
        Ok(respond::json(StatusCode::OK, body))
    }
}

/// `__metadata__` of this call, which is smaller than that of a completion.
fn metadata(request: &ChatRequest, incoming: &Incoming<'_>) -> Metadata {
    let known = |key: &str| request.document.string(key);
    let json = json!({
        "chat_id": known("chat_id"),
        "message_id": known("id"),
        "session_id": known("session_id"),
        "filter_ids": request.filter_ids,
        "user_id": incoming.caller.user.id,
    });
    Metadata {
        json: json.to_string().into(),
        version: 1,
    }
}

async fn run(host: &Host, chain: &mut Chain, request: &mut ChatRequest) -> Result<()> {
    let mut links = outlets(&mut chain.links);
    let mut left = links.as_mut_slice();
    while !left.is_empty() {
        let asked = Asked {
            host,
            context: chain.context.as_ref(),
            metadata: request.metadata.as_ref(),
            contract: request.contract,
            observes: false,
        };
        let body = request.document.bytes();
        let steps = together::call(left, asked, Hook::Outlet, body).await;
        let mut done = 0;
        for Step { place, result } in steps {
            done = place + 1;
            settle(left[place].id(), result, request, &chain.log)?;
        }
        left = &mut left[done..];
    }
    Ok(())
}

/// Takes over what a filter made of the conversation.
fn settle(
    id: &str,
    made: std::result::Result<(Bytes, Bytes), Failed>,
    request: &mut ChatRequest,
    log: &RequestLog,
) -> Result<()> {
    let taken = match made {
        Ok((body, metadata)) => request.replace(body, metadata),
        Err(failed) => Err(told(id, failed)),
    };
    let outcome = match &taken {
        Ok(is_changed) => Outcome::of(*is_changed),
        Err(error) => failure::outcome(error),
    };
    log.function_ran(id, OUTLET, outcome);
    taken?;
    Ok(())
}

/// There is no answer here that could go out unchanged after an accident: the caller hears of it.
fn told(id: &str, failed: Failed) -> Error {
    match failed.raised {
        Some(text) if failed.error.kind() == Kind::FunctionFailed => {
            let error = Error::new(Kind::FunctionFailed, format!("Error: {text}"));
            error.with_function(id).with_status(StatusCode::BAD_REQUEST)
        }
        _ => failed.error,
    }
}
