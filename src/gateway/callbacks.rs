//! What functions may ask of the gateway: each method by its name, in the name of the request's caller.

mod completion;
mod documents;
mod installed;
mod tools;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::watch;

use self::installed::Shelf;
use crate::auth::{Auth, User};
use crate::chat::Chat;
use crate::chat::callbacks::{Asking, OpenCallbacks, Reach};
use crate::chat::events::EventLogs;
use crate::host::{Callbacks, Host, Question, Refusal};
use crate::models::Models;
use crate::registry::{FunctionId, Registry};
use crate::store::{Store, StoreError};
use crate::upstream::Upstreams;

type Answer<T = Value> = Result<T, Refusal>;

/// Opens the way of functions to the gateway. What they ask for is done on the control runtime.
pub(super) struct Reception {
    pub(super) registry: Arc<Registry>,
    pub(super) host: Host,
    pub(super) auth: Auth,
    pub(super) store: Store,
    pub(super) models: Arc<Models>,
    /// With connections of its own: those of the data threads stay on their threads.
    pub(super) upstreams: Upstreams,
    pub(super) event_logs: EventLogs,
    pub(super) control: Handle,
    pub(super) ending: watch::Receiver<bool>,
    pub(super) crisis: watch::Receiver<bool>,
}

/// The [`OpenCallbacks`] of a reception.
#[derive(Clone, Debug)]
struct Open(Arc<Reception>);

impl OpenCallbacks for Open {
    fn open(&self, asking: Asking) -> Arc<dyn Callbacks> {
        Arc::new(Desk {
            reception: Arc::clone(&self.0),
            asking,
        })
    }
}

impl Reception {
    /// What the functions of a request can reach.
    pub(super) fn reach(self: &Arc<Self>) -> Reach {
        Reach {
            callbacks: Arc::new(Open(Arc::clone(self))),
            event_logs: self.event_logs.clone(),
        }
    }

    /// The chat path for completions that functions ask for.
    fn chat(self: &Arc<Self>) -> Chat {
        Chat {
            registry: Arc::clone(&self.registry),
            host: self.host.clone(),
            upstreams: self.upstreams.clone(),
            models: Arc::clone(&self.models),
            reach: self.reach(),
            // Functions see the calls of the models that they ask.
            tool_rounds: 0,
            ending: self.ending.clone(),
            crisis: self.crisis.clone(),
        }
    }
}

impl fmt::Debug for Reception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reception").finish_non_exhaustive()
    }
}

/// The gateway as the functions of one request reach it.
#[derive(Clone, Debug)]
struct Desk {
    reception: Arc<Reception>,
    asking: Asking,
}

impl Callbacks for Desk {
    fn answer(&self, asker: &FunctionId, question: Question) -> BoxFuture<'static, Answer<Bytes>> {
        let desk = self.clone();
        let asker = asker.clone();
        let answer = async move { desk.ask(&asker, question).await };
        let task = AbortOnDrop(self.reception.control.spawn(answer));
        async move {
            match task.await {
                Ok(answer) => answer.map(|answer| answer.to_string().into()),
                Err(_) => Err(Refusal::new("the gateway could not answer")),
            }
        }
        .boxed()
    }

    fn take_event(&self, emitter: &FunctionId, event: Bytes) {
        self.asking.events.take(emitter, &event);
    }
}

/// A task that ends with the one who waits for it.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        self.0.poll_unpin(context)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Desk {
    async fn ask(&self, asker: &FunctionId, question: Question) -> Answer {
        let store = &self.reception.store;
        match question.method.as_str() {
            "generate_chat_completion" => self.complete(asker, read(&question)?).await,
            "users.get" => self.find_user(&read(&question)?),
            "users.list" => Ok(self.list_users()),
            "models.list" => self.list_models().await,
            "models.get" => self.find_model(read(&question)?).await,
            "functions.list" => Ok(self.list(Shelf::Functions)),
            "functions.get" => self.find(Shelf::Functions, &read(&question)?),
            "functions.valves" => self.valves_of(Shelf::Functions, &read(&question)?),
            "functions.user_valves" => self.user_valves_of(Shelf::Functions, &read(&question)?),
            "functions.set_valves" => self.set_valves(Shelf::Functions, read(&question)?).await,
            "tools.list" => Ok(self.list(Shelf::Tools)),
            "tools.get" => self.find(Shelf::Tools, &read(&question)?),
            "tools.valves" => self.valves_of(Shelf::Tools, &read(&question)?),
            "tools.user_valves" => self.user_valves_of(Shelf::Tools, &read(&question)?),
            "tools.set_valves" => self.set_valves(Shelf::Tools, read(&question)?).await,
            "tools.call" => self.call_tool(asker, read(&question)?).await,
            "documents.get" => documents::find(store, read(&question)?).await,
            "documents.list" => documents::list(store, read(&question)?).await,
            "documents.put" => documents::put(store, read(&question)?).await,
            "documents.delete" => documents::delete(store, read(&question)?).await,
            "blobs.get" => documents::find_blob(store, read(&question)?).await,
            "blobs.put" => documents::put_blob(store, read(&question)?).await,
            "blobs.delete" => documents::delete_blob(store, read(&question)?).await,
            method => Err(Refusal::new(format!("there is no question `{method}`"))),
        }
    }

    fn find_user(&self, wanted: &WantedUser) -> Answer {
        let auth = &self.reception.auth;
        let asking = &self.asking.caller.user;
        // One that a proxy names is known by this request only.
        let is_asking = wanted.id.as_deref() == Some(&asking.id)
            || wanted.email.as_deref() == Some(&asking.email);
        let found = match &wanted.id {
            _ if is_asking => Some(Arc::clone(asking)),
            Some(id) => auth.user(id),
            None => auth
                .users()
                .into_iter()
                .find(|user| Some(&user.email) == wanted.email.as_ref()),
        };
        Ok(found.map_or(Value::Null, |user| described(&user)))
    }

    fn list_users(&self) -> Value {
        self.reception
            .auth
            .users()
            .iter()
            .map(|user| described(user))
            .collect()
    }
}

/// Which user a function asks for.
#[derive(serde::Deserialize)]
struct WantedUser {
    id: Option<String>,
    email: Option<String>,
}

/// A user as functions see one: never with a credential.
fn described(user: &User) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": user.role.as_str(),
    })
}

/// What a question is about.
fn read<T: DeserializeOwned>(question: &Question) -> Answer<T> {
    serde_json::from_slice(question.arguments.bytes())
        .map_err(|error| Refusal::new(format!("`{}`: {error}", question.method)))
}

/// The refusal of a question that the store cannot answer. The log has the rest.
#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn store_failed(error: StoreError) -> Refusal {
    tracing::warn!(%error, "the store failed a function");
    Refusal::new("the store failed")
}
