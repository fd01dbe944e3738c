//! Asking model servers about themselves: their models, and whether they live. Control plane only,
//! never a chat.

use std::fmt;
use std::time::Duration;

use http::HeaderMap;
use reqwest::redirect;
use serde_json::Value;

use crate::config::UpstreamKind;
use crate::wire::ollama;

use super::base::Base;
use super::directory::{Directory, SetupError, Upstream};

/// How long a server may take to list its models.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest list of models.
const LIST_LIMIT_BYTES: usize = 8 << 20;

/// A client for the control plane.
#[derive(Clone, Debug)]
pub(super) struct Fetcher {
    http: reqwest::Client,
}

/// A model as its server lists it.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) id: String,
    /// For people, where the server has one.
    pub(super) name: Option<String>,
    /// The whole entry.
    pub(super) raw: Value,
}

/// Why there is no list of models. For the log.
#[derive(Debug)]
pub(super) enum FetchError {
    Http(reqwest::Error),
    Address(http::Error),
    Status(u16),
    TooLong,
    NotAList,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => write!(f, "{error}"),
            Self::Address(error) => write!(f, "{error}"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::TooLong => write!(f, "the list is longer than {LIST_LIMIT_BYTES} bytes"),
            Self::NotAList => f.write_str("the answer is not a list of models"),
        }
    }
}

impl Fetcher {
    /// A client that trusts whom the chat's client trusts and follows no redirect.
    pub(super) fn new(directory: &Directory) -> Result<Self, SetupError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured((*directory.tls).clone())
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(directory.limits.connect.min(LIMIT))
            .timeout(LIMIT)
            .build()
            .map_err(|error| SetupError::new(format!("cannot make a client: {error}")))?;
        Ok(Self { http })
    }

    /// The models of `upstream` as its first member that answers lists them.
    pub(super) async fn models(&self, upstream: &Upstream) -> Result<Vec<Listed>, FetchError> {
        let mut outcome = Err(FetchError::NotAList);
        for base in upstream.group.bases() {
            outcome = self.models_of(upstream, base).await;
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    async fn models_of(&self, upstream: &Upstream, base: &Base) -> Result<Vec<Listed>, FetchError> {
        let response = self.get(upstream, base).await?;
        if !response.status().is_success() {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let body = read(response).await?;
        let listed = match upstream.kind {
            UpstreamKind::Ollama => from_tags(&body),
            UpstreamKind::OpenAi | UpstreamKind::Embedded => from_list(&body),
        };
        listed.ok_or(FetchError::NotAList)
    }

    /// Whether a member of `upstream` answers at all; a refusal is an answer.
    pub(super) async fn lives(&self, upstream: &Upstream, base: &Base) -> bool {
        match self.get(upstream, base).await {
            Ok(response) => !response.status().is_server_error(),
            Err(_) => false,
        }
    }

    async fn get(&self, upstream: &Upstream, base: &Base) -> Result<reqwest::Response, FetchError> {
        let uri = base
            .join(upstream.list_path())
            .map_err(FetchError::Address)?;
        let mut headers = HeaderMap::new();
        upstream.authorize(&mut headers);
        let request = self.http.get(uri.to_string()).headers(headers);
        // Without the address, which may be a secret of the operator's network.
        let sent = request.send().await;
        sent.map_err(|error| FetchError::Http(error.without_url()))
    }
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(piece) = next_piece(&mut response).await? {
        body.extend_from_slice(&piece);
        if body.len() > LIST_LIMIT_BYTES {
            return Err(FetchError::TooLong);
        }
    }
    Ok(body)
}

async fn next_piece(response: &mut reqwest::Response) -> Result<Option<bytes::Bytes>, FetchError> {
    let piece = response.chunk().await;
    piece.map_err(|error| FetchError::Http(error.without_url()))
}

impl Listed {
    /// Reads an entry of OpenAI's shape, `None` if it has no id.
    pub(super) fn from_entry(raw: Value) -> Option<Self> {
        let text = |key| raw.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            id: text("id")?,
            name: text("name"),
            raw,
        })
    }
}

/// OpenAI's answer, `{"data": [{"id": …}]}`.
fn from_list(body: &[u8]) -> Option<Vec<Listed>> {
    let mut list: Value = serde_json::from_slice(body).ok()?;
    match list.get_mut("data")?.take() {
        Value::Array(entries) => Some(entries.into_iter().filter_map(Listed::from_entry).collect()),
        _ => None,
    }
}

/// Ollama's answer.
fn from_tags(body: &[u8]) -> Option<Vec<Listed>> {
    let models = ollama::models(body).ok()?;
    let listed = models.into_iter().map(|model| Listed {
        id: model.id,
        name: Some(model.name),
        raw: serde_json::from_slice(&model.raw).unwrap_or_default(),
    });
    Some(listed.collect())
}
