//! The management API: Open WebUI's routes for functions, their valves, models, users and keys, in its shapes and
//! statuses, and those of the Pipelines server.

mod accounts;
mod environments;
mod functions;
mod history;
mod import;
mod models;
mod pipelines;
mod reply;
mod revisions;
mod status;
mod tools;
mod valves;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::middleware::from_fn;
use axum::routing::{delete, get, post};
use bytes::Bytes;
use http::{Request, Response};
use tower::ServiceExt;

use crate::auth::{Auth, Caller};
use crate::body::Body;
use crate::config::Hosts;
use crate::host::Host;
use crate::registry::Registry;
use crate::store::Store;

pub use self::reply::NOT_FOUND;
pub use self::status::LastReload;

/// Where the routes of functions begin.
const FUNCTIONS: &str = "/api/v1/functions";

/// Where the routes of users and keys begin.
const AUTHS: &str = "/api/v1/auths";
const USERS: &str = "/api/v1/users";

/// Where the routes of tools begin.
const TOOLS: &str = "/api/v1/tools";

/// Where the routes of models begin. The path itself is the list of models, which is not management.
const MODELS: &str = "/api/v1/models";

/// Where the gateway says how it is.
const STATUS: &str = "/api/v1/status";

/// The paths below which this API answers.
const ROOTS: &[&str] = &[FUNCTIONS, TOOLS, MODELS, AUTHS, USERS, STATUS];

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
    ROOTS.iter().any(is_below) || pipelines::answers(path)
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
    /// Whether files may be fetched from the web.
    pub downloads: Downloads,
    /// What the last reload of the configuration came to.
    pub last_reload: LastReload,
}

/// Whether administrators may have files fetched from the web.
#[derive(Clone, Debug)]
pub struct Downloads {
    /// Whether they may.
    pub are_allowed: bool,
    /// From where, of what is not the public internet.
    pub private: Hosts,
}

impl FromRef<Managed> for Downloads {
    fn from_ref(managed: &Managed) -> Self {
        managed.downloads.clone()
    }
}

impl FromRef<Managed> for LastReload {
    fn from_ref(managed: &Managed) -> Self {
        managed.last_reload.clone()
    }
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
    Router::new()
        .nest(FUNCTIONS, functions())
        .nest(TOOLS, tool_routes())
        .nest(MODELS, model_routes())
        .nest(AUTHS, auths())
        .nest(USERS, users())
        // Open WebUI's own paths have the slash, which a nested root does not match.
        .route(&format!("{FUNCTIONS}/"), get(functions::list))
        .route(&format!("{TOOLS}/"), get(tools::list))
        .route(&format!("{MODELS}/"), get(models::all))
        .route(&format!("{AUTHS}/"), get(accounts::whoami))
        .route(&format!("{USERS}/"), get(accounts::list))
        .route(STATUS, get(status::show))
        .merge(pipelines::routes())
        .fallback(reply::unknown_route)
        .method_not_allowed_fallback(reply::wrong_method)
        .with_state(managed)
}

fn functions() -> Router<Managed> {
    Router::new()
        .route("/", get(functions::list))
        .route("/list", get(functions::list_for_admin))
        .route("/export", get(functions::export))
        .route("/create", post(functions::create))
        .route("/import", post(import::import))
        .route("/sync", post(import::sync))
        .route("/load/url", post(import::load_url))
        .route("/environments", get(environments::list))
        .route("/native", get(functions::natives))
        .nest("/id/{id}", function().layer(from_fn(reply::functions_only)))
}

fn function() -> Router<Managed> {
    let version = get(history::read).delete(history::forget);
    Router::new()
        .route("/", get(functions::read))
        .route("/update", post(functions::update))
        .route("/update/version", post(history::restore))
        .route("/history", get(history::list))
        .route("/history/{version}", version)
        .route("/delete", delete(functions::delete))
        .route("/toggle", post(functions::toggle))
        .route("/toggle/global", post(functions::toggle_global))
        .route("/output", get(functions::output))
        .route("/valves", get(valves::read))
        .route("/valves/spec", get(valves::spec))
        .route("/valves/update", post(valves::update))
        .route("/valves/user", get(valves::read_user))
        .route("/valves/user/spec", get(valves::user_spec))
        .route("/valves/user/update", post(valves::update_user))
}

fn auths() -> Router<Managed> {
    let key = get(accounts::read_key)
        .post(accounts::create_key)
        .delete(accounts::delete_key);
    Router::new()
        .route("/", get(accounts::whoami))
        .route("/add", post(accounts::add))
        .route("/api_key", key)
        .route("/api_key/{id}", delete(accounts::delete_key_by_id))
}

fn users() -> Router<Managed> {
    Router::new()
        .route("/", get(accounts::list))
        .route("/{id}", delete(accounts::delete))
        .route("/{id}/api_key", post(accounts::create_key_for))
}

fn tool_routes() -> Router<Managed> {
    let each = Router::new()
        .route("/", get(tools::read))
        .route("/update", post(tools::update))
        .route("/access/update", post(tools::update_access))
        .route("/delete", delete(tools::delete))
        .route("/valves", get(tools::read_valves))
        .route("/valves/spec", get(tools::valves_spec))
        .route("/valves/update", post(tools::update_valves))
        .route("/valves/user", get(tools::read_user_valves))
        .route("/valves/user/spec", get(tools::user_valves_spec))
        .route("/valves/user/update", post(tools::update_user_valves));
    Router::new()
        .route("/", get(tools::list))
        .route("/list", get(tools::list_to_change))
        .route("/export", get(tools::export))
        .route("/create", post(tools::create))
        .nest("/id/{id}", each)
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
