//! The filters of one request, in order.

use std::sync::Arc;

use super::callbacks::Reach;
use super::context::context;
use super::events::{self, Events};
use super::link::Link;
use super::request::{ChatRequest, Incoming};
use crate::host::Context;
use crate::models::Model;
use crate::native::User;
use crate::registry::{Function, Snapshot};
use crate::telemetry::RequestLog;

/// The filters that run on one request. Dropping it ends their parts in it.
#[derive(Debug)]
pub struct Chain {
    /// The generation in which the request lives.
    pub snapshot: Arc<Snapshot>,
    /// The filters, in the order in which they see the request; of the remote and of the local ones last the model
    /// itself, if it has handlers of a filter.
    pub links: Vec<Link>,
    /// What filters outside this process are told of the request; made only if there are any, or for a pipe.
    pub context: Option<Context>,
    /// What they tell of their work, wherever they are told of the request.
    pub events: Option<Arc<Events>>,
    /// Where it is noted what they did.
    pub log: Arc<RequestLog>,
}

impl Chain {
    /// The filters for `request`: `remotes`, then the local ones that are active, attached to its model or global, and,
    /// if they are toggles, turned on.
    #[must_use]
    pub fn select(
        reach: &Reach,
        snapshot: &Arc<Snapshot>,
        request: &ChatRequest,
        model: &Model,
        remotes: Vec<Link>,
        incoming: &Incoming<'_>,
    ) -> Self {
        let is_on = |function: &Function| {
            !function.version.learnt.toggle
                || request
                    .filter_ids
                    .iter()
                    .any(|id| id == function.id.as_str())
        };
        let filters = model.filters(snapshot).filter(|filter| {
            !incoming.bypasses_filters && is_on(filter) && !incoming.within.contains(&filter.id)
        });
        // A pipe written for the Pipelines server may see its own requests and answers as a filter does.
        let own = model.function().filter(|pipe| {
            !incoming.bypasses_filters && (pipe.handles("inlet") || pipe.handles("outlet"))
        });
        let mut links = remotes;
        let mut functions = filters.chain(own).peekable();
        if functions.peek().is_some() {
            let user = user(incoming);
            links.extend(functions.map(|function| Link::local(function, &user)));
        }
        let is_told = links.iter().any(Link::is_outside) || model.is_pipe();
        let mut chain = Self {
            snapshot: Arc::clone(snapshot),
            links,
            context: None,
            events: None,
            log: Arc::clone(incoming.log),
        };
        if is_told {
            chain.tell(reach, request, model, incoming);
        }
        chain
    }

    /// Makes what functions are told of the request, once there is one that is.
    pub fn tell(
        &mut self,
        reach: &Reach,
        request: &ChatRequest,
        model: &Model,
        incoming: &Incoming<'_>,
    ) {
        let is_wanted = request.wants_events || events::are_wanted(incoming.headers);
        let is_inline = is_wanted && request.is_streamed();
        let events = Events::new(
            reach.event_logs.clone(),
            incoming.log.id(),
            &incoming.caller.user.id,
            is_inline,
        );
        let told = context(reach, &self.snapshot, incoming, model, Arc::clone(&events));
        self.context = Some(told);
        self.events = Some(events);
    }

    /// Whether a stream is held back until a filter has seen all of it.
    #[must_use]
    pub fn holds_streams(&self) -> bool {
        self.links.iter().any(Link::holds_streams)
    }

    /// Whether any filter has this handler.
    #[must_use]
    pub fn handles(&self, handler: &str) -> bool {
        self.links.iter().any(|link| link.handles(handler))
    }
}

/// The filters that see an answer, in the order in which they do.
pub(super) fn outlets(links: &mut [Link]) -> Vec<&mut Link> {
    let links = links.iter_mut().filter(|link| link.handles("outlet"));
    let mut outlets: Vec<&mut Link> = links.collect();
    outlets.sort_by_key(|link| link.outlet_place());
    outlets
}

/// Who asks, as filters in Rust are told.
fn user(incoming: &Incoming<'_>) -> Arc<User> {
    let user = &incoming.caller.user;
    Arc::new(User {
        id: user.id.clone(),
        name: user.name.clone(),
        email: user.email.clone(),
        role: user.role.as_str().to_owned(),
        now: incoming.now,
    })
}
