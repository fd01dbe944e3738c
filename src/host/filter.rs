//! A filter's part in one request, wherever the filter runs: in a worker, or here, if it is one in Rust.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::failure::{Exception, Failure};
use super::hook::{Hook, Made, StreamResult};
use super::session::{Context, Metadata, Session};
use crate::native::{self, Filter, Kind, Mistake, Refusal, User};
use crate::registry::{CheckedValves, Function, FunctionKind, Learnt, LoadError, Valves};
use crate::telemetry::metrics;
use crate::wire::json::{Alike, Document, Tape};

/// The word for the handler of events, as metrics know it.
const STREAM: &str = "stream";

/// A filter's part in one request.
#[derive(Debug)]
pub enum FilterSession {
    /// In this process.
    Native(NativeSession),
    /// In a worker.
    Worker(Box<Session>),
}

/// The part of a filter in Rust.
#[derive(Debug)]
pub struct NativeSession {
    function: Arc<Function>,
    /// The filter's own part, or why its valves make no filter.
    session: Result<native::Session, Mistake>,
    /// What the events that it makes are alike in.
    alike: Alike,
}

impl FilterSession {
    /// The part of a filter in Rust in a request of `user`; `None` if the function is code. It begins at once, and
    /// waits for nothing.
    #[must_use]
    pub fn native(function: &Arc<Function>, user: &Arc<User>) -> Option<Self> {
        let name = function.version.learnt.native.as_deref()?;
        let user_valves = function.user_valves.get(&user.id).cloned();
        let session = filter(name, &function.valves)
            .map(|filter| native::Session::new(filter, Arc::clone(user), user_valves));
        Some(Self::Native(NativeSession {
            function: Arc::clone(function),
            session,
            alike: Alike::default(),
        }))
    }

    /// Calls a hook with a body; gives back the body and the metadata.
    ///
    /// # Errors
    ///
    /// If the filter refuses, raises, crashes, takes too long or answers nonsense.
    pub async fn call_hook(
        &mut self,
        hook: Hook,
        body: &Bytes,
        metadata: &Metadata,
    ) -> Result<(Bytes, Bytes), Failure> {
        match self {
            Self::Native(native) => {
                let body = native.call_hook(hook, body)?;
                Ok((body, metadata.json.clone()))
            }
            Self::Worker(session) => session.call_hook(hook, body, metadata).await,
        }
    }

    /// Passes a batch of events, each a JSON object, through the `stream` hook.
    pub async fn call_stream(&mut self, events: &[Bytes], metadata: &Metadata) -> StreamResult {
        match self {
            Self::Native(native) => native.call_stream(events),
            Self::Worker(session) => session.call_stream(events, metadata).await,
        }
    }

    /// An event with all that was held back of a stream, once no other event will come.
    ///
    /// # Errors
    ///
    /// If the filter refuses it.
    pub fn rest_of_stream(&mut self) -> Result<Option<Bytes>, Failure> {
        match self {
            Self::Native(native) => native.session()?.rest().map_err(Failure::from),
            Self::Worker(_) => Ok(None),
        }
    }

    /// Waits until everything that the function has printed and told so far is here.
    pub async fn settle(&self) {
        if let Self::Worker(session) = self {
            session.settle().await;
        }
    }
}

impl NativeSession {
    /// Whether the filter has something to do in this handler, under its valves. Where these make no filter, every
    /// handler that there might be is to fail.
    #[must_use]
    pub fn handles(&self, handler: &str) -> bool {
        match &self.session {
            Ok(session) => session.handles(handler),
            Err(_) => self.function.handles(handler),
        }
    }

    /// What the filter makes of a request, `None` if that stays as it is.
    ///
    /// # Errors
    ///
    /// If it refuses the request.
    pub fn inlet(&mut self, body: &Document) -> Result<Option<Bytes>, Failure> {
        let began = Instant::now();
        let changed = self.session()?.request(body)?;
        self.took(Hook::Inlet.name(), began);
        Ok(changed)
    }

    /// What the filter makes of the message of a whole answer, `None` if that stays as it is.
    ///
    /// # Errors
    ///
    /// If it withholds the answer.
    pub fn answer(&mut self, message: &Bytes) -> Result<Option<Bytes>, Failure> {
        let began = Instant::now();
        let changed = self.session()?.answer(message)?;
        self.took(Hook::Outlet.name(), began);
        Ok(changed)
    }

    fn call_hook(&mut self, hook: Hook, body: &Bytes) -> Result<Bytes, Failure> {
        let began = Instant::now();
        let session = self.session()?;
        let body = match hook {
            Hook::Inlet => session.inlet(body)?,
            Hook::Outlet => session.outlet(body)?,
            Hook::Request => body.clone(),
        };
        self.took(hook.name(), began);
        Ok(body)
    }

    fn call_stream(&mut self, events: &[Bytes]) -> StreamResult {
        let began = Instant::now();
        let mut result = StreamResult {
            events: Vec::with_capacity(events.len()),
            failure: None,
        };
        for event in events {
            match self.event(&Tape::checked(event.clone())) {
                Ok(None) => result.events.push(Made::Same),
                Ok(Some(event)) => result.events.push(Made::Changed(event)),
                Err(failure) => {
                    result.failure = Some(failure);
                    break;
                }
            }
        }
        self.took_events(began);
        result
    }

    /// What the filter makes of one event of a stream, `None` if that stays as it is.
    ///
    /// # Errors
    ///
    /// If it breaks the answer off.
    pub fn event(&mut self, event: &Tape) -> Result<Option<Tape>, Failure> {
        let changed = self.session()?.event(event)?;
        Ok(changed.map(|changed| self.alike.checked(changed)))
    }

    /// Counts the time that events which came together took.
    pub fn took_events(&self, began: Instant) {
        self.took(STREAM, began);
    }

    fn session(&mut self) -> Result<&mut native::Session, Failure> {
        self.session
            .as_mut()
            .map_err(|mistake| Failure::Unavailable(mistake.to_string()))
    }

    fn took(&self, hook: &'static str, began: Instant) {
        metrics::function_took(self.function.id.as_str(), hook, began.elapsed());
    }
}

/// A refusal is to whoever asked what an exception with a status is.
impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Raised(Box::new(Exception {
            class: "Refusal".to_owned(),
            message: refusal.message.clone(),
            status: Some(refusal.status),
            detail: Some(Value::String(refusal.message)),
            ..Exception::default()
        }))
    }
}

/// The user of a request, as natives are told of the one in `context`.
pub(super) fn user_of(context: &Context) -> Arc<User> {
    let user: Value = serde_json::from_slice(&context.user).unwrap_or_default();
    let text = |key: &str| user[key].as_str().unwrap_or_default().to_owned();
    Arc::new(User {
        id: context.user_id.clone(),
        name: text("name"),
        email: text("email"),
        role: text("role"),
        now: context.now,
    })
}

/// The filter that a function's valves make. Made once for each version of them.
fn filter(name: &str, valves: &Valves) -> Result<Arc<dyn Filter>, Mistake> {
    let made = valves.pocket.get_or_make(|| {
        let made = Kind::find(name).and_then(|kind| kind.filter(&valves.stored));
        Arc::new(made)
    });
    Result::clone(&made)
}

/// What there is to learn of the filter in Rust of this name.
pub(super) fn learn(name: &str) -> Result<Learnt, LoadError> {
    let kind = find(name)?;
    let handlers = kind.handlers.iter();
    Ok(Learnt {
        native: Some(kind.name.to_owned()),
        handlers: handlers
            .map(|handler| ((*handler).to_owned(), Value::Null))
            .collect(),
        valves_spec: kind.valves_spec(),
        user_valves_spec: kind.user_valves_spec(),
        has_user_valves: kind.has_user_valves(),
        ..Learnt::of(FunctionKind::Filter)
    })
}

/// Checks values against the valves, or the user valves, of the filter in Rust of this name.
pub(super) fn check(name: &str, values: &Value, user: bool) -> Result<CheckedValves, LoadError> {
    let kind = find(name)?;
    let empty = Map::new();
    let values = values.as_object().unwrap_or(&empty);
    let checked = match user {
        true => kind.check_user(values).map(|stored| (stored, 0.0)),
        false => kind.check(values),
    };
    let (stored, priority) = checked.map_err(|mistake| LoadError::refused(mistake.to_string()))?;
    Ok(CheckedValves { stored, priority })
}

/// The JSON schema of the valves, or the user valves, of the filter in Rust of this name.
pub(super) fn spec(name: &str, user: bool) -> Result<Value, LoadError> {
    let kind = find(name)?;
    Ok(match user {
        true => kind.user_valves_spec(),
        false => kind.valves_spec(),
    })
}

fn find(name: &str) -> Result<&'static Kind, LoadError> {
    Kind::find(name).map_err(|mistake| LoadError::refused(mistake.to_string()))
}
