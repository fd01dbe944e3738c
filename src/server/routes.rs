//! What each path means, and the way of a request from its head to the part that answers it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use tokio::runtime::Handle;
use tracing::{debug, error, warn};

use super::drain::{Phase, Shutdown};
use super::listen::{Handler, Peer, Received};
use super::receive::{self, BodyLimits, Unread};
use crate::actions::{self, Actions};
use crate::admin::{self, Admin, LastReload};
use crate::auth::{Auth, Caller};
use crate::body::Body;
use crate::chat::callbacks::Within;
use crate::chat::request::Incoming;
use crate::chat::{Chat, Contract, respond};
use crate::config::Role;
use crate::error::{Error, Fault, Kind, Result};
use crate::models::Models;
use crate::passthrough::{Access, Passthrough};
use crate::telemetry::{self, RequestLog, metrics};

/// Everything that answers requests, as one data thread has it.
#[derive(Clone, Debug)]
pub struct App {
    /// Who calls.
    pub auth: Auth,
    /// Chat completions.
    pub chat: Chat,
    /// Actions.
    pub actions: Actions,
    /// Lists of models.
    pub models: Arc<Models>,
    /// OpenAI's other routes.
    pub passthrough: Passthrough,
    /// The management API.
    pub admin: Admin,
    /// Where management runs, apart from the data threads.
    pub control: Handle,
    /// Whether the gateway is about to end.
    pub shutdown: Shutdown,
    /// Whether the configuration that serves is the one that was written last.
    pub last_reload: LastReload,
    /// What the body of a request may take.
    pub body_limits: BodyLimits,
}

/// What a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route<'a> {
    Health,
    Ready,
    Metrics,
    Chat(Contract),
    Completed,
    Events(&'a str),
    Models(Contract),
    Model(&'a str),
    Action(&'a str),
    Admin,
    Other,
}

impl Route<'_> {
    fn counted_as(self) -> metrics::Route {
        match self {
            Self::Chat(_) => metrics::Route::Chat,
            Self::Models(_) | Self::Model(_) => metrics::Route::Models,
            Self::Admin => metrics::Route::Management,
            Self::Other => metrics::Route::Passthrough,
            _ => metrics::Route::Other,
        }
    }

    /// Whose manners it follows (ruling R30).
    fn contract(self, path: &str) -> Contract {
        match self {
            Self::Chat(contract) | Self::Models(contract) => contract,
            _ => contract_of(path),
        }
    }
}

impl Handler for App {
    async fn handle(self: Rc<Self>, received: Received) -> Response<Body> {
        let peer = received.peer;
        let (head, body) = received.request.into_parts();
        let body = Unread {
            body,
            is_whole: received.is_whole,
        };
        let route = route(head.uri.path());
        match route {
            Route::Health => return self.health(),
            Route::Ready => return self.ready(),
            _ => {}
        }
        let log = RequestLog::begin(
            telemetry::request_id(),
            head.method.as_str(),
            head.uri.path(),
            route.counted_as(),
        );
        let response = match self.answer(route, &head, body, &peer, &log).await {
            Ok(response) => {
                log.set_status(response.status().as_u16(), None);
                response
            }
            Err(failed) => refuse(route.contract(head.uri.path()), &failed, &log),
        };
        if matches!(response.body(), Body::Whole(_)) {
            log.complete();
        }
        respond::with_request(route.contract(head.uri.path()), response, &log)
    }
}

impl App {
    async fn answer(
        &self,
        route: Route<'_>,
        head: &Parts,
        body: Unread,
        peer: &Peer,
        log: &Arc<RequestLog>,
    ) -> Result<Response<Body>> {
        let caller = self.auth.authenticate(&head.headers, peer.addr.ip())?;
        log.set_caller(&caller.user.id);
        let incoming = Incoming {
            contract: route.contract(head.uri.path()),
            caller: &caller,
            method: &head.method,
            uri: &head.uri,
            headers: &head.headers,
            peer: peer.addr.ip(),
            is_encrypted: peer.tls,
            log,
            within: Within::default(),
            bypasses_filters: false,
            now: now(),
        };
        // The others are boxed: the future of a chat would have room for the largest of them.
        match route {
            Route::Admin => Box::pin(self.manage(caller.clone(), head, body)).await,
            Route::Chat(_) if !self.lists_stored_chats(route, incoming.method) => {
                self.complete(&incoming, body).await
            }
            _ => Box::pin(self.dispatch(route, &incoming, body)).await,
        }
    }

    fn lists_stored_chats(&self, route: Route<'_>, method: &Method) -> bool {
        route == Route::Chat(Contract::OpenAi) && self.passthrough.lists_stored_chats(method)
    }

    async fn complete(&self, incoming: &Incoming<'_>, body: Unread) -> Result<Response<Body>> {
        expect_method(incoming.method, "POST")?;
        receive::expect_json(incoming.headers)?;
        let body = receive::body(body, &self.body_limits).await?;
        self.chat.complete(incoming, body).await
    }

    /// Whatever is neither a chat nor management.
    async fn dispatch(
        &self,
        route: Route<'_>,
        incoming: &Incoming<'_>,
        body: Unread,
    ) -> Result<Response<Body>> {
        match route {
            Route::Chat(_) => self.forward(incoming, body).await,
            Route::Completed => {
                expect_method(incoming.method, "POST")?;
                receive::expect_json(incoming.headers)?;
                let body = receive::body(body, &self.body_limits).await?;
                self.chat.completed(incoming, body).await
            }
            Route::Events(id) => {
                expect_method(incoming.method, "GET")?;
                self.chat.events_of(incoming.caller, id)
            }
            Route::Metrics => {
                expect_method(incoming.method, "GET")?;
                metrics::set_generation(self.chat.snapshot(incoming).generation);
                show_metrics(incoming.caller)
            }
            Route::Models(_) => {
                expect_method(incoming.method, "GET")?;
                let query = incoming.uri.query().unwrap_or_default();
                let snapshot = self.chat.snapshot(incoming);
                let refresh = query.contains("refresh=true");
                Ok(self.models.answer_list(&snapshot, incoming, refresh).await)
            }
            Route::Model(id) if self.passthrough.deletes_models(incoming.method) => {
                self.passthrough.delete_model(incoming, id).await
            }
            Route::Model(id) => {
                expect_method(incoming.method, "GET")?;
                let snapshot = self.chat.snapshot(incoming);
                self.models.answer_one(&snapshot, incoming.caller, id).await
            }
            Route::Action(id) => {
                expect_method(incoming.method, "POST")?;
                receive::expect_json(incoming.headers)?;
                let body = receive::body(body, &self.body_limits).await?;
                let snapshot = self.chat.snapshot(incoming);
                self.actions.run(&snapshot, incoming, id, body).await
            }
            _ => self.pass(incoming, body).await,
        }
    }

    async fn pass(&self, incoming: &Incoming<'_>, body: Unread) -> Result<Response<Body>> {
        let path = incoming.uri.path();
        match self.passthrough.access(path) {
            Access::Open => self.forward(incoming, body).await,
            Access::Shut => {
                let message = format!(
                    "`{path}` is shut because no filters run on it; use `/v1/chat/completions`"
                );
                Err(Error::new(Kind::ShutRoute, message))
            }
            Access::Unknown => Err(Error::new(
                Kind::UnknownRoute,
                format!("there is no route `{path}`"),
            )),
        }
    }

    async fn forward(&self, incoming: &Incoming<'_>, body: Unread) -> Result<Response<Body>> {
        receive::expect_identity(incoming.headers)?;
        let body = receive::body(body, &self.body_limits).await?;
        self.passthrough.pass(incoming, body).await
    }

    /// Management runs on the control runtime, to its end even if the client leaves: what was begun is finished.
    async fn manage(&self, caller: Caller, head: &Parts, body: Unread) -> Result<Response<Body>> {
        receive::expect_identity(&head.headers)?;
        let limits = self.body_limits.apart(admin::MAX_BODY_BYTES);
        let body = receive::body(body, &limits).await?;
        let mut request = Request::new(body);
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = head.uri.clone();
        *request.headers_mut() = head.headers.clone();
        let admin = self.admin.clone();
        let answer = self
            .control
            .spawn(async move { admin.answer(caller, request).await });
        answer.await.map_err(Error::internal)
    }

    /// Well as long as it answers: what served before a reload that failed goes on, and a restart would not mend it.
    fn health(&self) -> Response<Body> {
        let body = match self.last_reload.has_failed() {
            true => r#"{"status":true,"degraded":["reload"]}"#,
            false => r#"{"status":true}"#,
        };
        respond::json(StatusCode::OK, body)
    }

    fn ready(&self) -> Response<Body> {
        match self.shutdown.phase() {
            Phase::Running => respond::json(StatusCode::OK, r#"{"status":true}"#),
            _ => respond::json(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":false}"#),
        }
    }
}

/// Whose manners a path follows (ruling R30).
fn contract_of(path: &str) -> Contract {
    if path.starts_with("/api/") || admin::answers(path) {
        Contract::OpenWebUi
    } else {
        Contract::OpenAi
    }
}

fn route(path: &str) -> Route<'_> {
    match path {
        "/healthz" => Route::Health,
        "/readyz" => Route::Ready,
        "/metrics" => Route::Metrics,
        // Without the prefix too, as the Pipelines server has it.
        "/v1/chat/completions" | "/chat/completions" => Route::Chat(Contract::OpenAi),
        "/api/chat/completions" | "/api/v1/chat/completions" => Route::Chat(Contract::OpenWebUi),
        "/api/chat/completed" => Route::Completed,
        "/v1/models" | "/models" => Route::Models(Contract::OpenAi),
        "/api/models" | "/api/v1/models" => Route::Models(Contract::OpenWebUi),
        path if admin::answers(path) => Route::Admin,
        path => {
            let model = path.strip_prefix("/v1/models/").map(Route::Model);
            let events = path.strip_prefix("/api/chat/events/").map(Route::Events);
            let action = path.strip_prefix(actions::ROOT).map(Route::Action);
            model.or(events).or(action).unwrap_or(Route::Other)
        }
    }
}

/// What is counted. Names of functions are in it, so it is for administrators.
fn show_metrics(caller: &Caller) -> Result<Response<Body>> {
    if caller.rights != Role::Admin {
        let message = "the metrics are for administrators: use an administrator's key";
        return Err(Error::new(Kind::Forbidden, message));
    }
    let mut response = Response::new(Body::whole(metrics::render()));
    let kind = HeaderValue::from_static(metrics::CONTENT_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

fn expect_method(method: &Method, expected: &'static str) -> Result<()> {
    if method.as_str() == expected {
        return Ok(());
    }
    let message = format!("this route takes {expected}, not {method}");
    Err(Error::new(Kind::MethodNotAllowed, message).with_allowed(expected))
}

/// The time, in seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs())
}

/// An error as a response, logged once and here, by whose fault it is.
fn refuse(contract: Contract, failed: &Error, log: &RequestLog) -> Response<Body> {
    let cause = std::error::Error::source(failed).map(ToString::to_string);
    match failed.kind().fault() {
        // The access line says it; there may be many.
        _ if failed.kind() == Kind::Overloaded => {}
        Fault::Gateway => error!(request.id = %log.id(), error = %failed, cause, "request failed"),
        // A refusal is no failure, and its words may be about the prompt.
        Fault::Function if failed.kind() == Kind::FunctionRefused => {
            debug!(request.id = %log.id(), "a function refused");
        }
        Fault::Upstream | Fault::Function => {
            warn!(request.id = %log.id(), error = %failed, cause, "request failed")
        }
        Fault::Client => debug!(request.id = %log.id(), error = %failed, cause, "request refused"),
    }
    let response = respond::error(contract, failed);
    log.set_status(response.status().as_u16(), Some(failed.kind().code()));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_what_the_two_contracts_say() {
        assert_eq!(route("/v1/chat/completions"), Route::Chat(Contract::OpenAi));
        assert_eq!(
            route("/api/v1/chat/completions"),
            Route::Chat(Contract::OpenWebUi)
        );
        assert_eq!(route("/v1/models/a/b"), Route::Model("a/b"));
        assert_eq!(route("/api/v1/functions/id/x"), Route::Admin);
        assert_eq!(route("/v1/pipelines"), Route::Admin);
        assert_eq!(contract_of("/v1/x/valves"), Contract::OpenWebUi);
        assert_eq!(route("/v1/embeddings"), Route::Other);
        assert_eq!(contract_of("/apis"), Contract::OpenAi);
    }
}
