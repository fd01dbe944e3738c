//! The filters of one request, in order, each with its part in the request once it has begun.

use std::sync::Arc;

use super::callbacks::Reach;
use super::context::context;
use super::events::{self, Events};
use super::remote::Remotes;
use super::request::{ChatRequest, Incoming};
use crate::config::StreamOutlet;
use crate::host::{Context, Failure, Host, Metadata, Session};
use crate::models::Model;
use crate::registry::{Function, Snapshot};
use crate::telemetry::RequestLog;

/// The filters that run on one request. Dropping it ends their parts in it.
#[derive(Debug)]
pub struct Chain {
    /// The generation in which the request lives.
    pub snapshot: Arc<Snapshot>,
    /// The filters, in the order in which they run; last the model's own pipe, if that has handlers of a filter.
    pub links: Vec<Link>,
    /// The filters of Pipelines servers, which run before them.
    pub remotes: Option<Box<Remotes>>,
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
        remotes: Option<Box<Remotes>>,
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
        let links: Vec<Link> = filters
            .chain(own)
            .map(|function| Link {
                function: Arc::clone(function),
                session: None,
            })
            .collect();
        let is_told = !links.is_empty() || remotes.is_some() || model.is_pipe();
        let mut chain = Self {
            snapshot: Arc::clone(snapshot),
            links,
            remotes,
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
        let is_held = |link: &Link| {
            link.function.handles("outlet")
                && link.function.settings.stream_outlet == StreamOutlet::Hold
        };
        self.links.iter().any(is_held) || self.remotes.as_deref().is_some_and(Remotes::hold_streams)
    }

    /// Whether any filter has this handler. Remote ones may have an outlet: that is known only once they are asked.
    #[must_use]
    pub fn handles(&self, handler: &str) -> bool {
        if self.remotes.is_some() && handler == "outlet" {
            return true;
        }
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
