//! A chat completion, from an authenticated caller to the response. This file is the product in about one screen.

pub mod callbacks;
pub mod chain;
mod completed;
mod context;
mod ending;
pub mod events;
pub(crate) mod failure;
mod inlet;
mod link;
mod messages;
mod metadata;
mod outlet;
mod pipe;
mod preset;
mod prompted;
mod remote;
pub mod request;
pub mod respond;
mod rewrite;
mod rounds;
pub mod route;
mod stream;
mod toolbox;

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use tokio::sync::watch;

use self::callbacks::Reach;
use self::chain::Chain;
use self::pipe::Part;
use self::request::{ChatRequest, Incoming};
use self::route::Target;
use crate::auth::Caller;
use crate::body::Body;
use crate::config::Role;
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::models::{Model, Models};
use crate::registry::{Registry, Snapshot};
use crate::upstream::{Reply, Upstreams};

pub(crate) use self::context::context;
pub use crate::upstream::Contract;

/// Answers chat completions. One per data thread; what is shared is behind the parts themselves.
#[derive(Clone, Debug)]
pub struct Chat {
    /// What is installed now.
    pub registry: Arc<Registry>,
    /// Who runs functions.
    pub host: Host,
    /// The model servers, with this thread's connections.
    pub upstreams: Upstreams,
    /// Which models there are, and who may use them.
    pub models: Arc<Models>,
    /// How often a model is asked again after the tools that it called were run, 0 to leave them to the client.
    pub tool_rounds: u32,
    /// What functions can reach.
    pub reach: Reach,
    /// True once streams can be waited for no longer.
    pub ending: watch::Receiver<bool>,
    /// True while memory is critical.
    pub crisis: watch::Receiver<bool>,
}

impl Chat {
    /// What is installed now, noted as the generation in which this request lives.
    #[must_use]
    pub fn snapshot(&self, incoming: &Incoming<'_>) -> Arc<Snapshot> {
        let snapshot = self.registry.current();
        incoming.log.set_generation(snapshot.generation);
        snapshot
    }

    /// Answers one chat completion.
    ///
    /// One snapshot is taken at the top and held to the last byte: the request lives in one generation. Dropping the
    /// future, or the response's body, stops the upstream's answer and the calls to functions.
    ///
    /// # Errors
    ///
    /// Whatever ends the request before the first byte of its answer.
    pub async fn complete(&self, incoming: &Incoming<'_>, body: Bytes) -> Result<Response<Body>> {
        tokio::select! {
            biased;
            response = self.answer(incoming, body) => response,
            () = ending::until(self.ending.clone()) => Err(Error::shutting_down()),
        }
    }

    /// What functions told while a request lived, for whoever sent it, and for administrators.
    ///
    /// # Errors
    ///
    /// If no function told anything, or it was too long ago, or the request is another user's.
    pub fn events_of(&self, caller: &Caller, request_id: &str) -> Result<Response<Body>> {
        let user = (caller.rights != Role::Admin).then_some(caller.user.id.as_str());
        let events = self
            .reach
            .event_logs
            .read(request_id, user)
            .ok_or_else(|| {
                Error::new(
                    Kind::NotFound,
                    format!("no events are kept of request `{request_id}`"),
                )
            })?;
        Ok(respond::json(StatusCode::OK, events.to_string()))
    }

    async fn answer(&self, incoming: &Incoming<'_>, body: Bytes) -> Result<Response<Body>> {
        callbacks::check_depth(incoming)?;
        let snapshot = self.snapshot(incoming);
        let mut request = ChatRequest::parse(incoming, body)?;
        let mut model = self
            .models
            .find(&snapshot, incoming.caller, &request.model())
            .await?;
        rewrite::before_inlet(&mut request, incoming, &self.models, &model)?;
        // Chosen before inlet: a filter may rewrite `model`, which must not choose the filters.
        let remotes = remote::select(&self.models, &self.upstreams, &model, incoming).await?;
        let mut chain = Chain::select(&self.reach, &snapshot, &request, &model, remotes, incoming);
        inlet::run(&self.host, &mut chain, &mut request, incoming).await?;
        // Chosen after inlet, for the same reason.
        route::follow(&self.models, &snapshot, incoming, &request, &mut model).await?;
        // Named by the request as its filters left it, and by the model that it goes to.
        let tools = toolbox::open(&self.reach, &mut chain, &mut request, incoming, &model)?;
        let part = Part::of(&chain, &tools);
        let sources = prompted::run(self, &model, part, &mut request, incoming).await?;
        inlet::run_last(&self.host, &mut chain, &mut request).await?;
        route::follow(&self.models, &snapshot, incoming, &request, &mut model).await?;
        incoming.log.set_target(self.models.target_name(&model));
        if model.pipeline().is_some() {
            remote::name_user(&mut request, incoming.caller)?;
        }
        let part = Part::of(&chain, &tools);
        let reply = rounds::run(self, &model, part, &request, incoming).await?;
        let reply = prompted::show(&sources, reply, request.contract);
        match reply {
            Reply::Whole(answer) => {
                let answer = outlet::run(&self.host, &mut chain, &request, answer).await?;
                Ok(respond::whole(answer))
            }
            Reply::Stream(answer) => {
                Box::pin(stream::run(self, chain, request, answer, incoming)).await
            }
        }
    }

    /// Asks the model, wherever it lives.
    async fn ask(
        &self,
        model: &Model,
        part: Part<'_>,
        request: &ChatRequest,
        incoming: &Incoming<'_>,
    ) -> Result<Reply> {
        let outgoing = rewrite::for_target(request, incoming, &self.models, model)?;
        match &model.target {
            Target::Upstream(target) => {
                route::send(&self.upstreams, target, &outgoing, incoming).await
            }
            Target::Pipe(function) => {
                Box::pin(pipe::call(&self.host, function, part, &outgoing, incoming)).await
            }
        }
    }
}
