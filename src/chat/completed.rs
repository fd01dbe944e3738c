//! A client's own second call, `/api/chat/completed`: the conversation it holds, through `outlet` once more.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::json;

use super::chain::{Chain, Link};
use super::failure;
use super::remote::Remotes;
use super::request::{ChatRequest, Incoming};
use super::{Chat, respond};
use crate::body::Body;
use crate::error::{Error, Kind, Result};
use crate::host::{Context, Failure, Hook, Host, Metadata};
use crate::registry::FunctionId;
use crate::telemetry::Outcome;

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
        let remotes = Remotes::select(&self.models, &self.upstreams, &model, incoming).await?;
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
    let Some(context) = &chain.context else {
        return Ok(());
    };
    if let Some(remotes) = &chain.remotes {
        remotes.outlet(context, request, &chain.log).await?;
    }
    let links = chain.links.iter_mut();
    for link in links.filter(|link| link.function.handles(OUTLET)) {
        let id = link.function.id.clone();
        let answer = ask(host, context, link, request).await;
        let taken = match answer {
            Ok((body, metadata)) => request.replace(body, metadata),
            Err(failure) => Err(failed(request, &id, &failure)),
        };
        let outcome = match &taken {
            Ok(true) => Outcome::Changed,
            Ok(false) => Outcome::Passed,
            Err(error) => failure::outcome(error),
        };
        chain.log.function_ran(id.as_str(), OUTLET, outcome);
        taken?;
    }
    Ok(())
}

async fn ask(
    host: &Host,
    context: &Context,
    link: &mut Link,
    request: &ChatRequest,
) -> std::result::Result<(Bytes, Bytes), Failure> {
    let metadata = request.metadata.as_ref().expect("it was made above");
    let session = link.session(host, context, metadata).await?;
    session
        .call_hook(Hook::Outlet, request.document.bytes(), metadata)
        .await
}

/// There is no answer here that could go out unchanged after an accident: the caller hears of it.
fn failed(request: &ChatRequest, id: &FunctionId, failure: &Failure) -> Error {
    let error = failure::of_answer_hook(request.contract, id, OUTLET, failure);
    match failure.exception() {
        Some(exception) if error.kind() == Kind::FunctionFailed => {
            let message = format!("Error: {}", exception.text());
            let error = Error::new(Kind::FunctionFailed, message).with_function(id.as_str());
            error.with_status(StatusCode::BAD_REQUEST)
        }
        _ => error,
    }
}
