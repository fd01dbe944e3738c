//! The management API: Open WebUI's routes for functions, their valves and models, in its shapes and statuses.

mod functions;
mod models;
mod reply;
mod valves;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::routing::{delete, get, post};
use bytes::Bytes;
use http::{Request, Response};
use tower::ServiceExt;

use crate::auth::{Auth, Caller};
use crate::body::Body;
use crate::host::Host;
use crate::registry::Registry;
use crate::store::Store;

pub use self::reply::NOT_FOUND;

/// Where the routes of functions begin.
const FUNCTIONS: &str = "/api/v1/functions";

/// Where the routes of models begin. The path itself is the list of models, which is not management.
const MODELS: &str = "/api/v1/models";

/// The paths below which this API answers.
const ROOTS: &[&str] = &[FUNCTIONS, MODELS];

/// Longest body of a management request, in bytes.
pub const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

/// The management API. Clones share it.
#[derive(Clone, Debug)]
pub struct Admin {
    router: Router,
}

/// Whether the management API answers a path.
#[must_use]
pub fn answers(path: &str) -> bool {
    let is_below = |root: &&str| {
        let rest = path.strip_prefix(*root);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    ROOTS.iter().any(is_below)
}

impl Admin {
    /// The routes over what is managed.
    #[must_use]
    pub fn new(managed: Managed) -> Self {
        Self {
            router: router(managed),
        }
    }

    /// Answers one request of a known caller.
    pub async fn answer(&self, caller: Caller, mut request: Request<Bytes>) -> Response<Body> {
        request.extensions_mut().insert(caller);
        let request = request.map(axum::body::Body::from);
        let response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX)
            .await
            .unwrap_or_default();
        Response::from_parts(head, Body::whole(body))
    }
}

/// What the routes work on.
#[derive(Clone, Debug)]
pub struct Managed {
    /// What is installed now, and the way to change it.
    pub registry: Arc<Registry>,
    /// Who runs functions, and knows what they printed.
    pub host: Host,
    /// Users and keys.
    pub auth: Auth,
    /// What is remembered besides functions and users.
    pub store: Store,
}

impl FromRef<Managed> for Arc<Registry> {
    fn from_ref(managed: &Managed) -> Self {
        Arc::clone(&managed.registry)
    }
}

impl FromRef<Managed> for Auth {
    fn from_ref(managed: &Managed) -> Self {
        managed.auth.clone()
    }
}

impl FromRef<Managed> for Store {
    fn from_ref(managed: &Managed) -> Self {
        managed.store.clone()
    }
}

impl FromRef<Managed> for Host {
    fn from_ref(managed: &Managed) -> Self {
        managed.host.clone()
    }
}

/// Every route. axum's own errors (a bad body, a missing member) become Open WebUI's `{"detail"}` in [`reply`].
fn router(managed: Managed) -> Router {
    let function = Router::new()
        .route("/", get(functions::read))
        .route("/update", post(functions::update))
        .route("/delete", delete(functions::delete))
        .route("/toggle", post(functions::toggle))
        .route("/toggle/global", post(functions::toggle_global))
        .route("/output", get(functions::output))
        .route("/valves", get(valves::read))
        .route("/valves/spec", get(valves::spec))
        .route("/valves/update", post(valves::update))
        .route("/valves/user", get(valves::read_user))
        .route("/valves/user/spec", get(valves::user_spec))
        .route("/valves/user/update", post(valves::update_user));
    let functions = Router::new()
        .route("/", get(functions::list))
        .route("/list", get(functions::list_for_admin))
        .route("/export", get(functions::export))
        .route("/create", post(functions::create))
        .nest("/id/{id}", function);
    Router::new()
        .nest(FUNCTIONS, functions)
        // Open WebUI's own path has the slash, which a nested root does not match.
        .route(&format!("{FUNCTIONS}/"), get(functions::list))
        .nest(MODELS, model_routes())
        .route(&format!("{MODELS}/"), get(models::all))
        .fallback(reply::unknown_route)
        .method_not_allowed_fallback(reply::wrong_method)
        .with_state(managed)
}

fn model_routes() -> Router<Managed> {
    Router::new()
        .route("/list", get(models::list))
        .route("/base", get(models::base))
        .route("/tags", get(models::list_tags))
        .route("/export", get(models::export))
        .route("/import", post(models::import))
        .route("/sync", post(models::sync))
        .route("/create", post(models::create))
        .route("/model", get(models::read))
        .route("/model/update", post(models::update))
        .route("/model/toggle", post(models::toggle))
        .route("/model/access/update", post(models::update_access))
        .route("/model/delete", post(models::delete).delete(models::delete))
        .route("/delete/all", delete(models::delete_all))
}
