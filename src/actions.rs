//! Actions: the buttons below an answer. A client calls one with the chat so far and gets what it made of it.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::body::Body;
use crate::chat::callbacks::Reach;
use crate::chat::events::Events;
use crate::chat::request::Incoming;
use crate::chat::{self, respond};
use crate::config::Role;
use crate::error::{Error, Kind, Result};
use crate::host::{Failure, Host, Metadata};
use crate::models::{Model, Models};
use crate::registry::{ActionEntry, Function, FunctionKind, Snapshot};
use crate::telemetry::Outcome;
use crate::wire::json::Document;

/// Where the routes of actions begin.
pub const ROOT: &str = "/api/chat/actions/";

/// What Open WebUI's pages send with every call, and Open WebUI insists on.
const REQUIRED: &[&str] = &["chat_id", "id", "session_id"];

/// Calls actions. One per data thread; what is shared is behind the parts themselves.
#[derive(Clone, Debug)]
pub struct Actions {
    /// Who runs functions.
    pub host: Host,
    /// Which models there are, and who may use them.
    pub models: Arc<Models>,
    /// What functions can reach.
    pub reach: Reach,
}

impl Actions {
    /// Calls the action that a path names, `<function>` or `<function>.<entry>`, and answers with its result.
    ///
    /// # Errors
    ///
    /// If there is no such action for this caller and model, or it fails.
    pub async fn run(
        &self,
        snapshot: &Arc<Snapshot>,
        incoming: &Incoming<'_>,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Body>> {
        let (id, entry) = parts_of(path)?;
        let document = Document::parse(body).map_err(|error| {
            let message = format!("the body is not valid JSON: {error}");
            Error::new(Kind::InvalidJson, message)
        })?;
        let function = snapshot
            .function(id)
            .ok_or_else(|| refused(format!("Action not found: {path}")))?;
        let model = document.string("model").unwrap_or_default();
        incoming.log.set_model(&model);
        let model = self.models.find(snapshot, incoming.caller, &model).await?;
        if !may_call(function, &model, incoming.caller) {
            return Err(refused(format!("Action not available: {path}")));
        }
        if let Some(missing) = REQUIRED.iter().find(|key| document.kind(key).is_none()) {
            return Err(refused(format!("'{missing}'")));
        }
        incoming.log.set_target(function.id.as_str());
        if !function.handles("action") {
            return Ok(respond::json(StatusCode::OK, document.bytes().clone()));
        }
        let events = Events::new(
            self.reach.event_logs.clone(),
            incoming.log.id(),
            &incoming.caller.user.id,
            false,
        );
        let context = chat::context(&self.reach, snapshot, incoming, &model, events);
        let metadata = metadata(&document, incoming.caller);
        let called = self.call(function, &context, &metadata, entry, document.bytes());
        let result = settled(incoming, function, called.await)?;
        Ok(respond::json(StatusCode::OK, result))
    }

    async fn call(
        &self,
        function: &Arc<Function>,
        context: &crate::host::Context,
        metadata: &Metadata,
        entry: Option<&str>,
        body: &Bytes,
    ) -> std::result::Result<Bytes, Failure> {
        let mut session = self.host.open(function, context, metadata).await?;
        session.call_action(entry, body).await
    }
}

/// What became of a call, noted in the log.
fn settled(
    incoming: &Incoming<'_>,
    function: &Function,
    called: std::result::Result<Bytes, Failure>,
) -> Result<Bytes> {
    let outcome = match called {
        Ok(_) => Outcome::Passed,
        Err(_) => Outcome::Failed,
    };
    let id = function.id.as_str();
    incoming.log.function_ran(id, "action", outcome);
    called.map_err(|failure| failed(incoming, function, &failure))
}

/// The function and the entry that a path names.
fn parts_of(path: &str) -> Result<(&str, Option<&str>)> {
    let mut parts = path.split('.');
    match (parts.next().unwrap_or_default(), parts.next(), parts.next()) {
        (id, entry, None) => Ok((id, entry)),
        // Python's own words, which Open WebUI lets through.
        _ => Err(refused("too many values to unpack (expected 2)")),
    }
}

/// Whether a caller may call a function as an action on a model: it is an active action and the model offers it.
/// Administrators may also try out actions that no model offers yet.
fn may_call(function: &Function, model: &Model, caller: &Caller) -> bool {
    let is_action = function.is_active && function.kind() == FunctionKind::Action;
    is_action && (caller.rights == Role::Admin || model.has_action(function))
}

/// The actions that a model offers, for clients' menus.
#[must_use]
pub fn menu(snapshot: &Snapshot, model: &Model) -> Vec<Value> {
    let actions = snapshot.actions().iter();
    let actions = actions.filter(|function| model.has_action(function));
    actions.flat_map(|function| entries(function)).collect()
}

/// The menu entries of one action: its own, or one for each in its list `actions`.
fn entries(function: &Function) -> Vec<Value> {
    let learnt = &function.version.learnt;
    let description = function.record.meta.get("description");
    let icon = icon_of(function);
    let entry = |id: String, name: String, icon: Option<&str>| json!({"id": id, "name": name, "description": description, "icon": icon});
    if learnt.actions.is_empty() {
        return vec![entry(
            function.id.as_str().to_owned(),
            function.record.name.clone(),
            icon,
        )];
    }
    let of_list = |action: &ActionEntry| {
        let unnamed = || format!("{} ({})", function.record.name, action.id);
        entry(
            format!("{}.{}", function.id, action.id),
            action.name.clone().unwrap_or_else(unnamed),
            action.icon_url.as_deref().or(icon),
        )
    };
    learnt.actions.iter().map(of_list).collect()
}

/// An action's picture: what its frontmatter says, else its own attributes.
fn icon_of(function: &Function) -> Option<&str> {
    let manifest = function.record.meta.get("manifest");
    let learnt = &function.version.learnt;
    let of_manifest = manifest.and_then(|manifest| manifest.get("icon_url")?.as_str());
    of_manifest
        .or(learnt.icon_url.as_deref())
        .or(learnt.icon.as_deref())
}

/// What an action is told of the chat, where it asks for more than the body.
fn metadata(document: &Document, caller: &Caller) -> Metadata {
    let text = |key: &str| document.string(key).unwrap_or_default();
    let json = json!({
        "user_id": caller.user.id,
        "chat_id": text("chat_id"),
        "message_id": text("id"),
        "session_id": text("session_id"),
    });
    Metadata {
        json: json.to_string().into(),
        version: 1,
    }
}

fn refused(text: impl Into<String>) -> Error {
    Error::new(Kind::InvalidRequest, text)
}

/// The error of a failed action: an exception with a status keeps it (ruling R3), any other is 400 in Open WebUI's
/// words.
fn failed(incoming: &Incoming<'_>, function: &Function, failure: &Failure) -> Error {
    let plain = failure
        .exception()
        .filter(|exception| exception.status.is_none() && !exception.is_breakdown());
    match plain {
        Some(exception) => {
            let text = format!("Error: {}", exception.text());
            Error::new(Kind::FunctionRefused, text).with_function(function.id.as_str())
        }
        None => chat::failure::of_answer_hook(
            incoming.contract,
            function.id.as_str(),
            "action",
            failure,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_function_and_perhaps_an_entry() {
        assert_eq!(parts_of("act").unwrap(), ("act", None));
        assert_eq!(parts_of("act.one").unwrap(), ("act", Some("one")));
        let error = parts_of("act.a.b").unwrap_err();
        assert_eq!(error.message(), "too many values to unpack (expected 2)");
    }
}
