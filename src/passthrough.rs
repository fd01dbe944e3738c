//! OpenAI's other routes, passed on to a model server: an allow list, because no filters run on them (ruling R34).

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response, header};
use memchr::memmem;

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
        let named = model_of(incoming.headers, &body);
        let (upstream, body) = match named {
            Some(named) => self.route(&snapshot, incoming, &named, body).await?,
            None => (self.default.ok_or_else(no_default)?, body),
        };
        let target = incoming
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let passage = Passage {
            method: incoming.method.clone(),
            path: target.strip_prefix("/v1").unwrap_or(target),
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

fn model_of(headers: &HeaderMap, body: &Bytes) -> Option<Named> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    if kind.starts_with("multipart/form-data") {
        return Some(Named {
            model: form_field(body, "model")?,
            document: None,
        });
    }
    let document = Document::parse(body.clone()).ok()?;
    let model = document.string("model")?.into_owned();
    Some(Named {
        model,
        document: Some(document),
    })
}

/// The text of a form's field: what stands between the blank line after its name and the next line end.
fn form_field(body: &[u8], name: &str) -> Option<String> {
    let named = memmem::find(body, format!("name=\"{name}\"").as_bytes())?;
    let value = named + memmem::find(&body[named..], b"\r\n\r\n")? + 4;
    let end = value + memmem::find(&body[value..], b"\r\n")?;
    String::from_utf8(body[value..end].to_vec()).ok()
}

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

#[cfg(test)]
mod tests {
    use super::form_field;

    #[test]
    fn form_fields_are_found() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nabc\r\n\
                     --x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--x--\r\n";
        assert_eq!(form_field(body, "model").as_deref(), Some("whisper-1"));
        assert_eq!(form_field(body, "language"), None);
        assert_eq!(form_field(b"name=\"model\"", "model"), None);
    }
}
