//! What a configuration makes: rebuilt whole by a reload, while requests in flight keep what they began with.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use http::Response;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tracing::warn;

use super::callbacks::Reception;
use super::{Base, GatewayError, memory_bound};
use crate::actions::Actions;
use crate::admin::{Admin, Downloads, Managed};
use crate::auth::Auth;
use crate::body::Body;
use crate::chat::Chat;
use crate::config::Config;
use crate::models::Models;
use crate::passthrough::Passthrough;
use crate::server::listen::{Handler, Received};
use crate::server::{App, BodyLimits, Budget};
use crate::upstream::{Catalog, Directory, Upstreams};

/// What the data threads share of one configuration.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    auth: Auth,
    pub(super) models: Arc<Models>,
    directory: Arc<Directory>,
    admin: Admin,
    reception: Arc<Reception>,
    passthrough_default: Option<usize>,
    opened_routes: Arc<[String]>,
    body_limits: BodyLimits,
    tool_rounds: u32,
    // Ends the health checks of these upstreams with the last holder.
    _health: Arc<Task>,
}

/// A task that ends when nobody holds it any more.
#[derive(Debug)]
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Parts {
    /// Builds the parts, and the first administrator's key if there is no administrator yet.
    pub(super) async fn build(
        config: &Config,
        base: &Base,
    ) -> Result<(Self, Option<String>), GatewayError> {
        let (auth, first_key) = Auth::new(config, &base.store)
            .await
            .map_err(|error| GatewayError::new("users and keys cannot be read", error))?;
        let directory = Directory::build(&config.upstreams, &config.upstream)
            .map_err(|error| GatewayError::new("upstreams cannot be set up", error))?;
        let directory = Arc::new(directory);
        let catalog = Catalog::new(
            Arc::clone(&directory),
            base.control.clone(),
            config.models.cache,
        )
        .map_err(|error| GatewayError::new("model lists cannot be set up", error))?;
        let models = Models::new(
            catalog,
            Arc::clone(&directory),
            base.host.clone(),
            &config.models,
        );
        warn_of_opened_routes(config);
        let passthrough = config.passthrough_upstream.as_deref();
        let health = tokio::spawn(Arc::clone(&directory).watch_health());
        let models = Arc::new(models);
        let reception = Reception {
            registry: Arc::clone(&base.registry),
            host: base.host.clone(),
            auth: auth.clone(),
            store: base.store.clone(),
            models: Arc::clone(&models),
            upstreams: Upstreams::new(Arc::clone(&directory)),
            event_logs: base.event_logs.clone(),
            control: base.control.clone(),
            ending: base.ending.clone(),
            crisis: base.pressure.crisis(),
        };
        let parts = Self {
            admin: admin(config, base, &auth),
            auth,
            models,
            reception: Arc::new(reception),
            passthrough_default: passthrough.and_then(|name| directory.index_of(name)),
            directory,
            opened_routes: config.unfiltered_routes.clone().into(),
            body_limits: body_limits(config, base),
            tool_rounds: match &config.tools {
                tools if tools.is_looping => tools.max_rounds,
                _ => 0,
            },
            _health: Arc::new(Task(health.abort_handle())),
        };
        Ok((parts, first_key.map(|key| key.text.reveal().to_owned())))
    }

    /// What one data thread needs to answer requests, with connections of its own.
    fn app(&self, base: &Base) -> App {
        let upstreams = Upstreams::new(Arc::clone(&self.directory));
        App {
            auth: self.auth.clone(),
            passthrough: Passthrough {
                registry: Arc::clone(&base.registry),
                upstreams: upstreams.clone(),
                models: Arc::clone(&self.models),
                default: self.passthrough_default,
                opened: Arc::clone(&self.opened_routes),
            },
            chat: Chat {
                registry: Arc::clone(&base.registry),
                host: base.host.clone(),
                upstreams,
                models: Arc::clone(&self.models),
                tool_rounds: self.tool_rounds,
                reach: self.reception.reach(),
                ending: base.ending.clone(),
                crisis: base.pressure.crisis(),
            },
            actions: Actions {
                host: base.host.clone(),
                models: Arc::clone(&self.models),
                reach: self.reception.reach(),
            },
            models: Arc::clone(&self.models),
            admin: self.admin.clone(),
            control: base.control.clone(),
            shutdown: base.shutdown.clone(),
            last_reload: base.last_reload.clone(),
            body_limits: self.body_limits.clone(),
        }
    }
}

fn warn_of_opened_routes(config: &Config) {
    for route in &config.unfiltered_routes {
        warn!(
            route,
            "no filters run on this route: the configuration opens it"
        );
    }
}

fn admin(config: &Config, base: &Base, auth: &Auth) -> Admin {
    Admin::new(Managed {
        registry: Arc::clone(&base.registry),
        host: base.host.clone(),
        auth: auth.clone(),
        store: base.store.clone(),
        downloads: Downloads {
            are_allowed: config.functions.load_url,
            private: config.functions.load_url_hosts.clone(),
        },
        last_reload: base.last_reload.clone(),
    })
}

fn body_limits(config: &Config, base: &Base) -> BodyLimits {
    let all_bytes = memory_bound(config).bodies_bytes(config.limits.bodies_mib << 20);
    BodyLimits {
        bytes: config.limits.body_bytes,
        stall: config.limits.body,
        budget: Budget::new(all_bytes),
        pressure: base.pressure.clone(),
    }
}

/// Answers requests with the newest parts. A request keeps those that it began with.
pub(super) struct Renewing {
    base: Base,
    published: RefCell<watch::Receiver<Parts>>,
    app: RefCell<Rc<App>>,
}

impl Renewing {
    pub(super) fn new(base: Base, mut published: watch::Receiver<Parts>) -> Self {
        let app = published.borrow_and_update().app(&base);
        Self {
            base,
            published: RefCell::new(published),
            app: RefCell::new(Rc::new(app)),
        }
    }

    fn app(&self) -> Rc<App> {
        let mut published = self.published.borrow_mut();
        if published.has_changed().unwrap_or(false) {
            let app = published.borrow_and_update().app(&self.base);
            *self.app.borrow_mut() = Rc::new(app);
        }
        Rc::clone(&self.app.borrow())
    }
}

impl Handler for Renewing {
    fn handle(self: Rc<Self>, received: Received) -> impl Future<Output = Response<Body>> {
        self.app().handle(received)
    }
}
