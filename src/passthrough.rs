//! OpenAI's other routes, passed on to a model server: an allow list, because no filters run on them (ruling R34).

mod beside;
mod form;
mod path;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response, header};

use crate::body::Body;
use crate::chat::request::Incoming;
use crate::chat::respond;
use crate::error::{Error, Kind, Result};
use crate::models::{Models, Target};
use crate::registry::{Registry, Snapshot};
use crate::upstream::{Passage, Upstreams};
use crate::wire::json::Document;

/// Routes below `/v1` that carry no chat, so that there is nothing for filters to see.
const OPEN: &[&str] = &[
    "/embeddings",
    "/audio/",
    "/images/",
    "/moderations",
    "/rerank",
];

/// Routes below `/v1` that carry prompts and on which no filters run yet.
const SHUT: &[&str] = &[
    "/completions",
    "/responses",
    "/messages",
    "/files",
    "/batches",
    "/fine_tuning/",
    "/assistants",
    "/threads",
];

/// Whether a route is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It is.
    Open,
    /// It is not: it would get round the filters.
    Shut,
    /// There is no such route.
    Unknown,
}

/// Passes requests on. One per data thread.
#[derive(Clone, Debug)]
pub struct Passthrough {
    /// What is installed now.
    pub registry: Arc<Registry>,
    /// The model servers, with this thread's connections.
    pub upstreams: Upstreams,
    /// Which models there are, and who may use them.
    pub models: Arc<Models>,
    /// Where requests go that name no model, as the upstream's place in the directory.
    pub default: Option<usize>,
    /// Routes that the operator opened knowingly (`unfiltered_routes`), as whole paths.
    pub opened: Arc<[String]>,
}

impl Passthrough {
    /// Whether the route of this whole path is passed on.
    #[must_use]
    pub fn access(&self, path: &str) -> Access {
        let Some(rest) = path.strip_prefix("/v1") else {
            return Access::Unknown;
        };
        // The model server may resolve it to a route that was not looked at here.
        if path::climbs(rest) {
            return Access::Unknown;
        }
        if let Some(stored) = rest.strip_prefix(beside::CHATS) {
            return self.access_to_stored(stored);
        }
        let covers = |route: &&str| {
            rest.strip_prefix(*route).is_some_and(|more| {
                more.is_empty() || route.ends_with('/') || more.starts_with('/')
            })
        };
        if OPEN.iter().any(&covers) || self.opened.iter().any(|route| covers_whole(route, path)) {
            return Access::Open;
        }
        if SHUT.iter().any(covers) {
            Access::Shut
        } else {
            Access::Unknown
        }
    }

    /// Passes a request on to the model server of its `model`, else to the default one.
    ///
    /// # Errors
    ///
    /// If there is no server for it, or it cannot be reached.
    pub async fn pass(&self, incoming: &Incoming<'_>, body: Bytes) -> Result<Response<Body>> {
        let snapshot = self.registry.current();
        incoming.log.set_generation(snapshot.generation);
        let named = model_of(incoming.headers, &body)?;
        let (upstream, body) = match named {
            Some(named) => self.route(&snapshot, incoming, &named, body).await?,
            None => (self.default.ok_or_else(no_default)?, body),
        };
        let target = incoming
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let path = target.strip_prefix("/v1").unwrap_or(target);
        self.send(incoming, upstream, path, body).await
    }

    /// Sends a request to a model server under this path, and answers as that does.
    async fn send(
        &self,
        incoming: &Incoming<'_>,
        upstream: usize,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Body>> {
        let passage = Passage {
            method: incoming.method.clone(),
            path,
            headers: incoming.headers,
            body,
        };
        let passed = self.upstreams.pass(upstream, &passage).await?;
        let mut response = Response::new(respond::logged(passed.body, incoming.log));
        *response.status_mut() = passed.status;
        *response.headers_mut() = passed.headers;
        Ok(response)
    }

    /// The server of a model, and the body with the model's name there.
    async fn route(
        &self,
        snapshot: &Snapshot,
        incoming: &Incoming<'_>,
        named: &Named,
        body: Bytes,
    ) -> Result<(usize, Bytes)> {
        let model = self
            .models
            .find(snapshot, incoming.caller, &named.model)
            .await?;
        incoming.log.set_model(&named.model);
        incoming.log.set_target(self.models.target_name(&model));
        let Target::Upstream(target) = &model.target else {
            let message = format!(
                "the model `{}` is a function, which answers chats only",
                named.model
            );
            return Err(Error::invalid_request("model", message));
        };
        if target.model == named.model {
            return Ok((target.upstream, body));
        }
        let Some(document) = &named.document else {
            let message = format!(
                "the model `{}` cannot be renamed inside a form",
                named.model
            );
            return Err(Error::invalid_request("model", message));
        };
        let mut edit = document.edit();
        edit.set_string("model", &target.model);
        Ok((target.upstream, edit.finish()))
    }
}

/// The model that a body names.
struct Named {
    model: String,
    document: Option<Document>,
}

/// The model that a body names. What cannot be read here is refused: the model server may read it otherwise, and find
/// a model in it that its sender may not use.
fn model_of(headers: &HeaderMap, body: &Bytes) -> Result<Option<Named>> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if form::is_form(kind) {
        let model = form::field(kind, body, MODEL).ok_or_else(|| {
            let message =
                "the form cannot be read: each part needs one name, and `model` may be there once";
            Error::invalid_request(MODEL, message)
        })?;
        return Ok(model.map(|model| Named {
            model,
            document: None,
        }));
    }
    if body.is_empty() {
        return Ok(None);
    }
    let document = Document::parse(body.clone()).map_err(|error| {
        let message = format!("the body is neither a form nor valid JSON: {error}");
        Error::new(Kind::InvalidJson, message)
    })?;
    let model = document.string(MODEL).map(|model| model.into_owned());
    Ok(model.map(|model| Named {
        model,
        document: Some(document),
    }))
}

const MODEL: &str = "model";

fn covers_whole(route: &str, path: &str) -> bool {
    path.strip_prefix(route.trim_end_matches('/'))
        .is_some_and(|more| more.is_empty() || more.starts_with('/'))
}

fn no_default() -> Error {
    let hint = "name a `model`, or set `passthrough_upstream`";
    Error::new(
        Kind::InvalidRequest,
        format!("nothing says where this request goes; hint: {hint}"),
    )
    .with_param("model")
}
