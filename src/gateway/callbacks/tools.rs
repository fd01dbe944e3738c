//! A tool that a function calls: in the generation of its request, and with the rights of the caller.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Desk, described};
use crate::host::{Context, Failure, Metadata, Refusal};
use crate::registry::FunctionId;
use crate::store::ids;
use crate::tools::{self, CallError, Told};

#[derive(Deserialize)]
pub(super) struct Wanted {
    tool_id: String,
    name: String,
    #[serde(default)]
    parameters: Value,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    messages: Value,
}

impl Desk {
    /// The result of a tool that `asker` calls.
    pub(super) async fn call_tool(&self, asker: &FunctionId, wanted: Wanted) -> Answer {
        let mut asking = self.asking.clone();
        asking.within = asking.within.call_of(asker);
        if asking.within.is_too_deep() {
            return Err(Refusal::new("calls lie too deep within each other"));
        }
        let snapshot = self.asking.snapshot.upgrade();
        let snapshot = snapshot.unwrap_or_else(|| self.reception.registry.current());
        let inner = Self {
            reception: Arc::clone(&self.reception),
            asking,
        };
        let told = inner.told(&wanted);
        let name = (&*wanted.tool_id, &*wanted.name);
        let parameters = Bytes::from(wanted.parameters.to_string());
        let caller = &self.asking.caller;
        let host = &self.reception.host;
        // Boxed: a tool may ask the gateway in its turn.
        let called = tools::call(host, &snapshot, caller, &told, name, &parameters);
        let result = Box::pin(called).await.map_err(|error| refusal(&error))?;
        serde_json::from_slice(&result).map_err(|error| Refusal::new(error.to_string()))
    }

    /// What the tool is told of the request: what the function that calls it knows.
    fn told(self, wanted: &Wanted) -> Told {
        let metadata = match &wanted.metadata {
            Value::Object(_) => wanted.metadata.to_string(),
            _ => json!({}).to_string(),
        };
        let user = Arc::clone(&self.asking.caller.user);
        Told {
            context: Context {
                user_id: user.id.clone(),
                user: described(&user).to_string().into(),
                model: self.asking.model.clone(),
                http: self.asking.http.clone(),
                callbacks: Arc::new(self),
                now: ids::unix_seconds().unsigned_abs(),
            },
            metadata: Metadata {
                json: metadata.into(),
                version: 1,
            },
            messages: wanted
                .messages
                .is_array()
                .then(|| wanted.messages.to_string().into()),
        }
    }
}

/// The exception that the function sees: the tool's own text, with the status that it carries.
fn refusal(error: &CallError) -> Refusal {
    let status = match error {
        CallError::Failed(Failure::Raised(exception)) => exception.status,
        _ => None,
    };
    Refusal {
        message: error.to_string(),
        status,
    }
}
