//! What the management API answers with: JSON, or `{"detail"}` with a status.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::revisions;
use crate::auth::Caller;
use crate::config::Role;
use crate::error::{Error, Kind};
use crate::registry::{ChangeError, LoadFault, Revision};
use crate::store::{StoreError, StoreErrorKind};

/// Open WebUI's words for something that does not exist.
pub const NOT_FOUND: &str = "We could not find what you're looking for :/";

/// Open WebUI's words for a caller who may not do this.
const PROHIBITED: &str = "You do not have permission to access this resource. \
                          Please contact your administrator for assistance.";

/// What a handler gives back.
pub(super) type Answer<T = Value> = Result<Json<T>, Refusal>;

/// A status with its reason.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    detail: String,
    /// A member of the body beside the detail.
    more: Option<Box<(&'static str, Value)>>,
    /// The state in which the thing is that was not changed.
    revision: Option<Revision>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            more: None,
            revision: None,
        }
    }

    /// Says in which state the thing is that was not changed.
    pub(super) fn tagged(self, revision: Revision) -> Self {
        Self {
            revision: Some(revision),
            ..self
        }
    }

    /// Puts a member beside the detail.
    pub(super) fn with(self, name: &'static str, value: Value) -> Self {
        Self {
            more: Some(Box::new((name, value))),
            ..self
        }
    }

    /// The same words with another status, where Open WebUI has one.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(super) fn prohibited() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, PROHIBITED)
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, NOT_FOUND)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({"detail": self.detail});
        if let Some(more) = self.more {
            let (name, value) = *more;
            body[name] = value;
        }
        let mut response = (self.status, Json(body)).into_response();
        if let Some(revision) = &self.revision {
            revisions::set_tag(response.headers_mut(), revision);
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            // What it is passes: a process that cannot start, a database that is locked or handed over.
            let seconds = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<ChangeError> for Refusal {
    fn from(error: ChangeError) -> Self {
        let status = match &error {
            ChangeError::UnknownFunction | ChangeError::NoValves | ChangeError::UnknownVersion => {
                StatusCode::NOT_FOUND
            }
            ChangeError::InFolder => StatusCode::CONFLICT,
            ChangeError::Refused(refusal) if refusal.fault == LoadFault::Unavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            ChangeError::Store(store) => return of_store(store),
            ChangeError::Stale(stale) => return revisions::stale(stale.clone()),
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}

/// What a failure of the store says.
pub(super) fn of_store(error: &StoreError) -> Refusal {
    let status = match error.kind() {
        StoreErrorKind::Full => StatusCode::INSUFFICIENT_STORAGE,
        StoreErrorKind::Conflict => StatusCode::CONFLICT,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refusal::new(status, error.to_string())
}

impl From<Error> for Refusal {
    /// Open WebUI answers 401 to who may not do this.
    fn from(error: Error) -> Self {
        match error.kind() {
            Kind::Forbidden if error.to_string() == PROHIBITED => Self::prohibited(),
            _ => Self::new(error.status(), error.to_string()),
        }
    }
}

/// A caller who is an administrator; others are refused.
pub(super) struct Administrator(pub(super) Caller);

impl<S: Send + Sync> FromRequestParts<S> for Administrator {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        let caller = parts.extensions.get::<Caller>();
        let admin = caller.filter(|caller| caller.rights == Role::Admin);
        admin.cloned().map(Self).ok_or_else(Refusal::prohibited)
    }
}

/// A JSON body whose faults are answered in Open WebUI's shape.
pub(super) struct Form<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Form<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        read(&body_of(request).await).map(Self)
    }
}

/// No body, or an empty one. What a client sends where nothing is asked for is refused by name: it would think that it
/// had been heeded.
pub(super) struct Nothing;

impl<S: Send + Sync> FromRequest<S> for Nothing {
    type Rejection = Refusal;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Refusal> {
        let body = body_of(request).await;
        if !body.trim_ascii().is_empty() {
            let sent: Option<Map<String, Value>> = read(&body)?;
            refuse_unknown(&sent.unwrap_or_default(), "this route takes no fields")?;
        }
        Ok(Self)
    }
}

/// The whole body, whose length the server has limited.
async fn body_of(request: Request) -> Bytes {
    axum::body::to_bytes(request.into_body(), usize::MAX)
        .await
        .unwrap_or_default()
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
}

/// Refuses a body for its first field that is none of the form's.
pub(super) fn refuse_unknown(unknown: &Map<String, Value>, hint: &str) -> Result<(), Refusal> {
    let Some(field) = unknown.keys().next() else {
        return Ok(());
    };
    let message = format!("`{field}` cannot be set here: {hint}");
    Err(Refusal::new(StatusCode::BAD_REQUEST, message))
}

/// Lets no route of functions at what is no function: the ids of tools have a colon.
pub(super) async fn functions_only(
    parameters: RawPathParams,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    if parameters.iter().any(|(_, value)| value.contains(':')) {
        return Err(Refusal::not_found());
    }
    Ok(next.run(request).await)
}

pub(super) async fn unknown_route() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "Not Found")
}

pub(super) async fn wrong_method() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
}
