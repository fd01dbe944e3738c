//! The filters of one request, in order, each with its part in the request once it has begun.

use std::sync::Arc;

use super::callbacks::Reach;
use super::context::context;
use super::events::{self, Events};
use super::request::{ChatRequest, Incoming};
use crate::host::{Context, Failure, Host, Metadata, Session};
use crate::models::Model;
use crate::registry::{Function, Snapshot};
use crate::telemetry::RequestLog;

/// The filters that run on one request. Dropping it ends their parts in it.
#[derive(Debug)]
pub struct Chain {
    /// The generation in which the request lives.
    pub snapshot: Arc<Snapshot>,
    /// The filters, in the order in which they run.
    pub links: Vec<Link>,
    /// What they are told of the request; made only if there are any, or for a pipe.
    pub context: Option<Context>,
    /// What they tell of their work, wherever they are told of the request.
    pub events: Option<Arc<Events>>,
    /// Where it is noted what they did.
    pub log: Arc<RequestLog>,
}

/// One filter of a chain.
#[derive(Debug)]
pub struct Link {
    /// The filter.
    pub function: Arc<Function>,
    session: Option<Session>,
}

impl Chain {
    /// The filters for `request`: active, attached to its model or global, and, if they are toggles, turned on.
    #[must_use]
    pub fn select(
        reach: &Reach,
        snapshot: &Arc<Snapshot>,
        request: &ChatRequest,
        model: &Model,
        incoming: &Incoming<'_>,
    ) -> Self {
        let is_on = |function: &Function| {
            !function.version.learnt.toggle
                || request
                    .filter_ids
                    .iter()
                    .any(|id| id == function.id.as_str())
        };
        let filters = snapshot.filters().iter().filter(|filter| {
            !incoming.bypasses_filters
                && model.has_filter(filter)
                && is_on(filter)
                && !incoming.within.contains(&filter.id)
        });
        let links: Vec<Link> = filters
            .map(|filter| Link {
                function: Arc::clone(filter),
                session: None,
            })
            .collect();
        let is_told = !links.is_empty() || model.is_pipe();
        let events = is_told.then(|| {
            let is_inline = request.wants_events || events::are_wanted(incoming.headers);
            let user_id = &incoming.caller.user.id;
            Events::new(
                reach.event_logs.clone(),
                incoming.log.id(),
                user_id,
                is_inline,
            )
        });
        let context = events
            .as_ref()
            .map(|events| context(reach, incoming, model, Arc::clone(events)));
        Self {
            snapshot: Arc::clone(snapshot),
            links,
            context,
            events,
            log: Arc::clone(incoming.log),
        }
    }

    /// Whether any filter has this handler.
    #[must_use]
    pub fn handles(&self, handler: &str) -> bool {
        self.links.iter().any(|link| link.function.handles(handler))
    }
}

impl Link {
    /// The filter's part in the request, begun if it has not.
    ///
    /// # Errors
    ///
    /// If no process can be started for it.
    pub async fn session(
        &mut self,
        host: &Host,
        context: &Context,
        metadata: &Metadata,
    ) -> Result<&mut Session, Failure> {
        if self.session.is_none() {
            self.session = Some(host.open(&self.function, context, metadata).await?);
        }
        Ok(self.session.as_mut().expect("it was begun above"))
    }
}
