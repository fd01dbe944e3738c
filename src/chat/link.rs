//! One filter of a chain, wherever it runs: here, in a worker, or at a Pipelines server. Whoever asks it need not know.

pub(super) mod together;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::remote::Remote;
use super::request::ChatRequest;
use super::{Contract, failure};
use crate::config::{Closing, StreamOutlet};
use crate::error::Error;
use crate::host::{
    Context, Exception, Failure, FilterSession, Hook, Host, Made, Metadata, NativeSession,
    StreamResult,
};
use crate::native::User;
use crate::registry::{Function, FunctionKind};
use crate::wire::json::Tape;

const OUTLET: &str = "outlet";
const STREAM: &str = "stream";

/// The metadata of a request whose filters are not told of any.
static NO_METADATA: Metadata = Metadata {
    json: Bytes::from_static(b"{}"),
    version: 0,
};

/// One filter of a chain, with its part in the request once it has begun.
#[derive(Debug)]
pub struct Link(Filter);

#[derive(Debug)]
enum Filter {
    /// A function of ours.
    Local {
        function: Arc<Function>,
        /// There from the start for a filter in Rust, begun with the first call of any other.
        session: Option<FilterSession>,
    },
    /// A filter of a Pipelines server.
    Remote(Box<Remote>),
}

/// What a filter is asked with besides the body.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Who runs functions.
    pub(super) host: &'a Host,
    /// What functions are told of the request, if any of the chain is.
    pub(super) context: Option<&'a Context>,
    /// `__metadata__`, likewise.
    pub(super) metadata: Option<&'a Metadata>,
    /// Whose manners the request follows.
    pub(super) contract: Contract,
    /// Whether what a filter makes of the body goes to nobody: all of them are shown the same.
    pub(super) observes: bool,
}

impl<'a> Asked<'a> {
    /// What a filter outside this process is told, of which a chain with such a filter has been told.
    fn told(&self) -> (&'a Context, &'a Metadata) {
        let context = self.context;
        let context = context.expect("a chain with filters outside has a context");
        (context, self.metadata.unwrap_or(&NO_METADATA))
    }
}

/// Why a filter gave nothing back.
#[derive(Debug)]
pub(super) struct Failed {
    /// What that is to the request.
    pub(super) error: Error,
    /// The words of the filter's own exception, if it raised one.
    pub(super) raised: Option<String>,
}

/// What `stream` made of a batch of events; shorter than the batch if it failed midway.
#[derive(Debug)]
pub(super) struct Streamed {
    /// The events, in order; `None` where one was dropped.
    pub(super) events: Vec<Made>,
    /// Why it stopped.
    pub(super) error: Option<Error>,
}

impl Link {
    /// A function of ours in a request of `user`.
    pub(super) fn local(function: &Arc<Function>, user: &Arc<User>) -> Self {
        Self(Filter::Local {
            session: FilterSession::native(function, user),
            function: Arc::clone(function),
        })
    }

    /// A filter of a Pipelines server.
    pub(super) fn remote(remote: Remote) -> Self {
        Self(Filter::Remote(Box::new(remote)))
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        match &self.0 {
            Filter::Local { function, .. } => function.id.as_str(),
            Filter::Remote(remote) => &remote.filter.id,
        }
    }

    /// Whether it has this handler. A remote one may have an outlet: that is known only once it is asked.
    #[must_use]
    pub fn handles(&self, handler: &str) -> bool {
        match &self.0 {
            Filter::Local {
                session: Some(FilterSession::Native(native)),
                ..
            } => native.handles(handler),
            Filter::Local { function, .. } => function.handles(handler),
            Filter::Remote(_) => [Hook::Inlet.name(), OUTLET].contains(&handler),
        }
    }

    /// Whether it runs outside this process, where it must be told of the request.
    #[must_use]
    pub fn is_outside(&self) -> bool {
        !matches!(
            &self.0,
            Filter::Local {
                session: Some(FilterSession::Native(_)),
                ..
            }
        )
    }

    /// Whether streams wait for its outlet.
    #[must_use]
    pub fn holds_streams(&self) -> bool {
        self.handles(OUTLET) && self.stream_outlet() == StreamOutlet::Hold
    }

    /// Whether it takes uploaded files over.
    pub(super) fn takes_files(&self) -> bool {
        match &self.0 {
            Filter::Local { function, .. } => function.version.learnt.file_handler,
            Filter::Remote(_) => false,
        }
    }

    /// What its failure does to the request.
    pub(super) fn on_error(&self) -> Closing {
        match &self.0 {
            Filter::Local { function, .. } => function.settings.on_error,
            Filter::Remote(remote) => remote.filter.settings.on_error,
        }
    }

    /// What an accident of its own code in `outlet` does to the answer (ruling R6).
    pub(super) fn outlet_error(&self) -> Closing {
        match &self.0 {
            Filter::Local { function, .. } => function.settings.outlet_error,
            Filter::Remote(remote) => remote.filter.settings.on_error,
        }
    }

    fn stream_outlet(&self) -> StreamOutlet {
        match &self.0 {
            Filter::Local { function, .. } => function.settings.stream_outlet,
            Filter::Remote(remote) => remote.filter.settings.stream_outlet,
        }
    }

    /// Its place among those that see an answer: remote ones first, and before the filters of either kind the model
    /// that gave the answer.
    pub(super) fn outlet_place(&self) -> (bool, bool) {
        match &self.0 {
            Filter::Remote(remote) => (false, !remote.is_own),
            Filter::Local { function, .. } => (true, function.kind() == FunctionKind::Filter),
        }
    }

    /// Shows it a body; gives back what it made of that, and of the metadata.
    async fn call(
        &mut self,
        asked: Asked<'_>,
        hook: Hook,
        body: &Bytes,
    ) -> Result<(Bytes, Bytes), Failed> {
        match &mut self.0 {
            Filter::Remote(remote) => {
                let (context, metadata) = asked.told();
                // Boxed, because it is rare and large.
                let asking = Box::pin(remote.ask(hook, context, body, metadata));
                asking.await.map_err(Failed::from)
            }
            Filter::Local { function, session } => {
                let called = call(function, session, asked, hook, body).await;
                let id = function.id.as_str();
                called.map_err(|failure| Failed::of(id, asked.contract, hook, &failure))
            }
        }
    }

    /// Shows a filter in Rust a request, without waiting; gives what it made of body and metadata, or `None` of any other
    /// filter.
    pub(super) fn inlet(
        &mut self,
        request: &ChatRequest,
    ) -> Option<Result<(Bytes, Bytes), Failed>> {
        let body = &request.document;
        let made = self.native()?.inlet(body).map(|changed| {
            let metadata = request.metadata.as_ref().unwrap_or(&NO_METADATA);
            let body = changed.unwrap_or_else(|| body.bytes().clone());
            (body, metadata.json.clone())
        });
        let failed = |failure| Failed::of(self.id(), request.contract, Hook::Inlet, &failure);
        Some(made.map_err(failed))
    }

    /// Shows a filter in Rust the message of a whole answer; `None` if that stays as it is.
    pub(super) fn answer(
        &mut self,
        contract: Contract,
        message: &Bytes,
    ) -> Result<Option<Bytes>, Failed> {
        let answered = self.native().map(|native| native.answer(message));
        let answered = answered.unwrap_or(Ok(None));
        answered.map_err(|failure| Failed::of(self.id(), contract, Hook::Outlet, &failure))
    }

    /// Passes events through its `stream`.
    async fn call_stream(&mut self, asked: Asked<'_>, events: &[Bytes]) -> Streamed {
        let Filter::Local { function, session } = &mut self.0 else {
            return Streamed {
                events: events.iter().map(|_| Made::Same).collect(),
                error: None,
            };
        };
        let result = match begun(function, session, asked).await {
            Ok(session) => {
                let metadata = asked.metadata.unwrap_or(&NO_METADATA);
                session.call_stream(events, metadata).await
            }
            Err(failure) => StreamResult::failed(failure),
        };
        Streamed::of(function.id.as_str(), asked.contract, result)
    }

    /// Its part in the request, if it is a filter in Rust, which is asked without waiting.
    fn native(&mut self) -> Option<&mut NativeSession> {
        match &mut self.0 {
            Filter::Local {
                session: Some(FilterSession::Native(native)),
                ..
            } => Some(native),
            _ => None,
        }
    }

    /// Shows a filter in Rust an event of a stream, without waiting; `None` if that stays as it is.
    pub(super) fn event(
        &mut self,
        contract: Contract,
        event: &Tape,
    ) -> Result<Option<Tape>, Error> {
        let made = self.native().map_or(Ok(None), |native| native.event(event));
        made.map_err(|failure| failure::of_answer_hook(contract, self.id(), STREAM, &failure))
    }

    /// Counts the time that events took which a filter in Rust was shown together.
    pub(super) fn took_events(&mut self, began: Instant) {
        if let Some(native) = self.native() {
            native.took_events(began);
        }
    }

    /// An event with all that it held back of a stream, once no other event will come.
    pub(super) fn rest_of_stream(&mut self, contract: Contract) -> Result<Option<Bytes>, Error> {
        let Filter::Local {
            function,
            session: Some(session),
        } = &mut self.0
        else {
            return Ok(None);
        };
        let rest = session.rest_of_stream();
        let id = function.id.as_str();
        rest.map_err(|failure| failure::of_answer_hook(contract, id, STREAM, &failure))
    }
}

impl Streamed {
    fn of(id: &str, contract: Contract, result: StreamResult) -> Self {
        let failed = |failure| failure::of_answer_hook(contract, id, STREAM, &failure);
        Self {
            events: result.events,
            error: result.failure.map(failed),
        }
    }

    /// Whether whoever is behind it is shown anything.
    fn leaves_any(&self) -> bool {
        let is_left = |made: &Made| !matches!(made, Made::Dropped);
        self.error.is_none() && self.events.iter().any(is_left)
    }
}

impl Failed {
    fn of(id: &str, contract: Contract, hook: Hook, failure: &Failure) -> Self {
        let error = match hook {
            Hook::Outlet => failure::of_answer_hook(contract, id, OUTLET, failure),
            hook => failure::of_request_hook(contract, id, hook.name(), failure),
        };
        Self {
            error,
            raised: failure.exception().map(Exception::text),
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self {
            error,
            raised: None,
        }
    }
}

/// Without what the filter is told.
impl fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("contract", &self.contract)
            .finish_non_exhaustive()
    }
}

async fn call(
    function: &Arc<Function>,
    session: &mut Option<FilterSession>,
    asked: Asked<'_>,
    hook: Hook,
    body: &Bytes,
) -> Result<(Bytes, Bytes), Failure> {
    let metadata = asked.metadata.unwrap_or(&NO_METADATA);
    let session = begun(function, session, asked).await?;
    session.call_hook(hook, body, metadata).await
}

/// A function's part in the request, begun if it has not.
async fn begun<'a>(
    function: &Arc<Function>,
    session: &'a mut Option<FilterSession>,
    asked: Asked<'_>,
) -> Result<&'a mut FilterSession, Failure> {
    if session.is_none() {
        let (context, metadata) = asked.told();
        let opened = asked.host.open_filter(function, context, metadata).await?;
        *session = Some(opened);
    }
    Ok(session.as_mut().expect("it was begun above"))
}
