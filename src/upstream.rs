//! Talking to model servers: one request in, one whole or streamed answer out, whatever the server
//! speaks.

mod answer;
mod base;
mod bell;
mod catalog;
mod client;
mod connect;
mod connection;
mod directory;
mod embedded;
mod failure;
mod fetch;
mod gather;
mod groups;
mod headers;
mod incoming;
mod ollama;
mod openai;
mod pass;
mod pipelines;
mod pool;
#[cfg(test)]
mod tests;

pub use catalog::{Catalog, ModelEntry};
pub use directory::{Directory, SetupError};
pub use pass::{Passage, Passed};
pub use pipelines::{RemoteFilter, RemoteHook};

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::body::Body;
use crate::config::UpstreamKind;
use crate::error::{Error, Result};
use crate::wire::json::Document;
use client::Client;

/// Whose manners an answer follows, which the path of the request decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contract {
    /// `/v1/*`: OpenAI's.
    OpenAi,
    /// `/api/*`: Open WebUI's.
    OpenWebUi,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The upstream's place in the [`Directory`].
    pub upstream: usize,
    /// The model's id as the upstream knows it, without our prefix.
    pub model: String,
}

/// A chat request on its way to a model server.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The body.
    pub document: &'a Document,
    /// Whether the body asks for a stream.
    pub stream: bool,
    /// The headers of the caller; those that are not for the upstream are left out here.
    pub headers: &'a HeaderMap,
    /// Whose manners the answer follows.
    pub contract: Contract,
    /// A hash that is equal for all requests of one conversation.
    pub conversation: Option<u64>,
    /// The id of the request, after which an answer is named that is made here (Ollama's dialect and the demo model have
    /// no ids).
    pub request_id: &'a str,
    /// The `created` time of an answer that is made here, in seconds since 1970.
    pub created: u64,
}

impl Outgoing<'_> {
    /// The id of an answer that is made here.
    fn answer_id(&self) -> String {
        format!("chatcmpl-{}", self.request_id)
    }
}

/// What a model server answered.
#[derive(Debug)]
pub enum Reply {
    /// All of it at once.
    Whole(Answer),
    /// Server-sent events, as they come.
    Stream(StreamAnswer),
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status, which says success: refusals are errors.
    pub status: StatusCode,
    /// Its headers, without those that belong to the connection.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// A streamed answer.
#[derive(Debug)]
pub struct StreamAnswer {
    /// Its headers, without those that belong to the connection.
    pub headers: HeaderMap,
    /// Its events in pieces of any size. Dropping it ends the request at the upstream.
    pub body: Body,
}

/// The model servers as one data thread reaches them. Made once per thread; clones share the
/// connections.
#[derive(Clone, Debug)]
pub struct Upstreams {
    directory: Arc<Directory>,
    client: Client,
}

impl Upstreams {
    /// The upstreams of `directory`, with a connection pool for the calling thread.
    #[must_use]
    pub fn new(directory: Arc<Directory>) -> Self {
        let client = Client::new(&directory);
        Self { directory, client }
    }

    /// Whether requests of one conversation stay together at this target, so that their hash is needed.
    #[must_use]
    pub fn needs_conversation(&self, target: &Target) -> bool {
        let upstream = self.directory.at(target.upstream);
        upstream.is_ok_and(|upstream| upstream.group.keeps_conversations())
    }

    /// Sends a chat request and waits for the head of its answer, or for all of a whole one.
    /// Cancel safe: dropping the future ends the request at the upstream.
    ///
    /// # Errors
    ///
    /// Of the kinds `Upstream…`, or `UnknownModel` from the demo model.
    pub async fn send(&self, target: &Target, request: &Outgoing<'_>) -> Result<Reply> {
        let upstream = self.directory.at(target.upstream)?;
        match upstream.kind {
            UpstreamKind::OpenAi => {
                openai::send(&self.client, upstream, &target.model, request).await
            }
            UpstreamKind::Ollama => {
                // Apart, as a request's future has room for the largest of its ways.
                Box::pin(ollama::send(&self.client, upstream, &target.model, request)).await
            }
            UpstreamKind::Embedded => embedded::send(&target.model, request),
        }
    }

    /// Passes a body through a filter of a Pipelines server; what it made of it.
    /// Cancel safe: dropping the future ends the request at the upstream.
    ///
    /// # Errors
    ///
    /// `FunctionRefused` with the filter's status and words, or one of the kinds `Upstream…`.
    pub async fn filter(
        &self,
        filter: &RemoteFilter,
        hook: RemoteHook,
        body: Bytes,
    ) -> Result<Bytes> {
        let upstream = self.directory.at(filter.upstream)?;
        pipelines::call(&self.client, upstream, filter, hook, body).await
    }

    /// Sends any other request of OpenAI's API and waits for the head of its answer.
    /// Cancel safe: dropping the future ends the request at the upstream.
    ///
    /// # Errors
    ///
    /// Of the kinds `Upstream…`; an error status of the upstream is no error here, it is passed on.
    pub async fn pass(&self, upstream: usize, passage: &Passage<'_>) -> Result<Passed> {
        let upstream = self.directory.at(upstream)?;
        match upstream.kind {
            UpstreamKind::Embedded => Err(pass::unsupported(upstream)),
            UpstreamKind::OpenAi | UpstreamKind::Ollama => {
                pass::send(&self.client, upstream, passage).await
            }
        }
    }
}

/// Targets come from the catalog, which numbers upstreams as the directory does: a wrong index is a
/// fault of ours.
fn unknown_index(index: usize) -> Error {
    Error::internal(format!("no upstream has the index {index}"))
}
