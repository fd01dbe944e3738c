//! The upstreams as they are configured: addresses, keys and headers, ready to use and shared by
//! all threads.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::ClientConfig;

use crate::config::{
    Affinity, RemoteFiltersConfig, UpstreamConfig, UpstreamKind, UpstreamSettings,
};
use crate::error::Result;

use super::base::Base;
use super::fetch::Fetcher;
use super::groups::{Group, Rules};
use super::{connect, unknown_index};

/// All upstreams, in the order of the configuration.
#[derive(Debug)]
pub struct Directory {
    upstreams: Vec<Arc<Upstream>>,
    /// How long to wait for what.
    pub(super) limits: Limits,
    /// The certificates that servers are checked against.
    pub(super) tls: Arc<ClientConfig>,
}

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) connect: Duration,
    pub(super) head: Duration,
    pub(super) idle: Duration,
    pub(super) health: Duration,
}

/// One upstream.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) name: String,
    pub(super) kind: UpstreamKind,
    pub(super) group: Arc<Group>,
    pub(super) authorization: Option<HeaderValue>,
    pub(super) headers: HeaderMap,
    pub(super) prefix: String,
    pub(super) models: Vec<String>,
    /// What holds for its filters, if it is a Pipelines server.
    pub(super) filters: Arc<RemoteFiltersConfig>,
}

/// Why the upstreams cannot be set up.
#[derive(Debug)]
pub struct SetupError {
    message: String,
}

impl SetupError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for SetupError {}

impl Directory {
    /// Reads the certificates and prepares every upstream.
    ///
    /// # Errors
    ///
    /// A certificate file that cannot be read, an address or header that is none.
    pub fn build(
        upstreams: &[UpstreamConfig],
        settings: &UpstreamSettings,
    ) -> std::result::Result<Self, SetupError> {
        let upstreams = upstreams
            .iter()
            .map(|upstream| Upstream::build(upstream, settings).map(Arc::new))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        // Reading the system's certificates takes its time, so only where they are of use.
        let needs_public = upstreams.iter().any(|upstream| upstream.has_tls());
        Ok(Self {
            upstreams,
            limits: Limits {
                connect: settings.connect,
                head: settings.head,
                idle: settings.idle,
                health: settings.health,
            },
            tls: connect::tls_config(settings.ca_file.as_deref(), needs_public)?,
        })
    }

    /// The place of the upstream called `name`.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.upstreams
            .iter()
            .position(|upstream| upstream.name == name)
    }

    /// The name of the upstream at `index`.
    #[must_use]
    pub fn name(&self, index: usize) -> Option<&str> {
        self.upstreams
            .get(index)
            .map(|upstream| upstream.name.as_str())
    }

    /// The kind of the upstream at `index`.
    #[must_use]
    pub fn kind(&self, index: usize) -> Option<UpstreamKind> {
        self.upstreams.get(index).map(|upstream| upstream.kind)
    }

    /// Whether the upstream at `index` is OpenAI's own server.
    #[must_use]
    pub fn is_openais(&self, index: usize) -> bool {
        let upstream = self.upstreams.get(index);
        upstream.is_some_and(|upstream| upstream.is_openais())
    }

    /// The upstream at `index`.
    pub(super) fn at(&self, index: usize) -> Result<&Arc<Upstream>> {
        self.upstreams
            .get(index)
            .ok_or_else(|| unknown_index(index))
    }

    /// All upstreams with their places.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &Arc<Upstream>)> {
        self.upstreams.iter().enumerate()
    }

    /// Asks the members of groups for their state, again and again, so that a dead one is left out
    /// before a request meets it. Never ends; its owner spawns it on the control runtime and aborts
    /// it.
    ///
    /// # Errors
    ///
    /// When the client for it cannot be made; after that, never.
    pub async fn watch_health(self: Arc<Self>) -> std::result::Result<(), SetupError> {
        let fetcher = Fetcher::new(&self)?;
        if self.limits.health.is_zero() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(self.limits.health).await;
            self.check_health(&fetcher).await;
        }
    }

    async fn check_health(&self, fetcher: &Fetcher) {
        let groups = self.all().filter(|(_, upstream)| upstream.group.len() > 1);
        let checks = groups.map(|(_, upstream)| upstream.check_health(fetcher));
        futures_util::future::join_all(checks).await;
    }
}

impl Upstream {
    fn build(
        config: &UpstreamConfig,
        settings: &UpstreamSettings,
    ) -> std::result::Result<Self, SetupError> {
        let at_fault =
            |what: String| SetupError::new(format!("upstream `{}`: {what}", config.name));
        let bases = config
            .base_urls
            .iter()
            .map(|url| Base::parse(url))
            .collect::<std::result::Result<_, _>>()
            .map_err(at_fault)?;
        let rules = Rules {
            max_in_flight: config.max_in_flight,
            eject_failures: settings.eject_failures,
            eject: settings.eject,
        };
        let affinity = config.affinity == Affinity::Conversation;
        let key = config.api_key.as_ref().map(|key| key.reveal());
        let key = key.filter(|key| !key.is_empty());
        Ok(Self {
            name: config.name.clone(),
            kind: config.kind,
            group: Arc::new(Group::new(&config.name, bases, affinity, rules)),
            authorization: key.map(authorization).transpose().map_err(at_fault)?,
            headers: configured_headers(&config.headers).map_err(at_fault)?,
            prefix: config.prefix.clone(),
            models: config.models.clone(),
            filters: Arc::new(config.filters.clone()),
        })
    }

    /// The id under which our callers know a model of this upstream.
    pub(super) fn public_id(&self, model: &str) -> String {
        match self.prefix.as_str() {
            "" => model.to_owned(),
            prefix => format!("{prefix}.{model}"),
        }
    }

    /// The upstream's own id of a model, if `id` has its prefix.
    pub(super) fn own_id<'a>(&self, id: &'a str) -> Option<&'a str> {
        match self.prefix.as_str() {
            "" => Some(id),
            prefix => id.strip_prefix(prefix)?.strip_prefix('.'),
        }
    }

    /// Whether any model id is accepted.
    pub(super) fn takes_any_model(&self) -> bool {
        self.models.iter().any(|model| model == "*")
    }

    fn has_tls(&self) -> bool {
        let mut bases = self.group.bases().into_iter();
        bases.any(|base| base.is_https())
    }

    /// OpenAI's own list has models that cannot chat; they are left out, as in Open WebUI.
    pub(super) fn is_hidden(&self, model: &str) -> bool {
        const NO_CHAT: [&str; 6] = [
            "babbage",
            "dall-e",
            "davinci",
            "embedding",
            "tts",
            "whisper",
        ];
        self.is_openais() && NO_CHAT.iter().any(|part| model.contains(part))
    }

    /// Whether it is OpenAI's own server.
    fn is_openais(&self) -> bool {
        let is_theirs = |base: &Base| base.host() == "api.openai.com";
        self.group.bases().into_iter().any(is_theirs)
    }

    /// The path under the base address that lists models, which also tells whether a member lives.
    pub(super) fn list_path(&self) -> &'static str {
        match self.kind {
            UpstreamKind::Ollama => "/api/tags",
            UpstreamKind::OpenAi | UpstreamKind::Embedded => "/models",
        }
    }

    /// Sets what the operator configured, over whatever is there.
    pub(super) fn authorize(&self, headers: &mut HeaderMap) {
        if let Some(authorization) = &self.authorization {
            headers.insert(http::header::AUTHORIZATION, authorization.clone());
        }
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
    }

    /// A good sign brings an ejected member back; it does not excuse failures of one that is in
    /// use.
    async fn check_health(&self, fetcher: &Fetcher) {
        for index in 0..self.group.len() {
            let lives = fetcher.lives(self, self.group.base(index)).await;
            match (lives, self.group.is_ejected(index)) {
                (true, true) => self.group.succeeded(index),
                (true, false) => {}
                (false, _) => self.group.failed(index),
            }
        }
    }
}

/// Marked sensitive, so that no debug output of a request shows it.
fn authorization(key: &str) -> std::result::Result<HeaderValue, String> {
    let mut value = HeaderValue::try_from(format!("Bearer {key}"))
        .map_err(|_| "api_key has characters that no header may have".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

fn configured_headers(pairs: &[(String, String)]) -> std::result::Result<HeaderMap, String> {
    let mut headers = HeaderMap::with_capacity(pairs.len());
    for (name, value) in pairs {
        let name = HeaderName::try_from(name.as_str())
            .map_err(|_| format!("header `{name}` is no header name"))?;
        let mut value = HeaderValue::try_from(value.as_str())
            .map_err(|_| format!("header `{name}` has a value that no header may have"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_not_in_debug_output() {
        let value = authorization("sk-canary").unwrap();
        assert!(!format!("{value:?}").contains("canary"));
        let headers = configured_headers(&[("X-Key".to_owned(), "canary".to_owned())]).unwrap();
        assert!(!format!("{headers:?}").contains("canary"));
    }
}
