//! Pipelines servers: what their lists say of filters, and calls to those.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use crate::config::RemoteFiltersConfig;
use crate::error::{Error, Kind, Result};

use super::answer::{self, Judged};
use super::client::{Call, Client};
use super::directory::Upstream;
use super::{failure, openai};

/// A filter that a Pipelines server runs.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteFilter {
    /// Its id there.
    pub id: String,
    /// The server's place in the [`Directory`](super::Directory).
    pub upstream: usize,
    /// The models that it names, or a lone `*` for all.
    pub targets: Vec<String>,
    /// Its order among the remote filters; lower runs first.
    pub priority: f64,
    /// How it is called, and what it means that it cannot be.
    pub settings: Arc<RemoteFiltersConfig>,
}

/// One of the two things that a remote filter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteHook {
    /// On the request.
    Inlet,
    /// On the answer.
    Outlet,
}

impl RemoteHook {
    /// The word for it, which is also the end of its path.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inlet => "inlet",
            Self::Outlet => "outlet",
        }
    }
}

/// What an entry of a list of models says of a pipeline.
#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    pipelines: Vec<String>,
    #[serde(default)]
    priority: Option<f64>,
}

/// Whether a list's entry is a pipeline of any kind, which is asked before and after its own answers.
pub(super) fn is_pipeline(raw: &Value) -> bool {
    raw.get("pipeline").is_some_and(Value::is_object)
}

/// Whether a list's entry is a filter, which is no model, whatever else is wrong with it.
pub(super) fn is_filter(raw: &Value) -> bool {
    raw.pointer("/pipeline/type").and_then(Value::as_str) == Some("filter")
}

/// The pipeline that an entry of the list of upstream `index` describes. An entry that makes no sense is for every
/// model: a filter that might have refused must not be passed by.
pub(super) fn filter_of(index: usize, upstream: &Upstream, id: &str, raw: &Value) -> RemoteFilter {
    let described = Described::deserialize(&raw["pipeline"]);
    let described = described.unwrap_or_else(|_| Described {
        pipelines: vec!["*".to_owned()],
        priority: None,
    });
    RemoteFilter {
        id: id.to_owned(),
        upstream: index,
        targets: described.pipelines,
        priority: described.priority.unwrap_or(0.0),
        settings: Arc::clone(&upstream.filters),
    }
}

/// Calls a filter with `body`, `{"user", "body"}`; what it made of the inner body. A refusal is an error of the kind
/// `FunctionRefused` with the server's status.
pub(super) async fn call(
    client: &Client,
    upstream: &Upstream,
    filter: &RemoteFilter,
    hook: RemoteHook,
    body: Bytes,
) -> Result<Bytes> {
    let path = format!("/{}/filter/{}", escaped(&filter.id), hook.name());
    let call = Call {
        method: Method::POST,
        path: &path,
        headers: &|| openai::json_headers(&HeaderMap::new(), upstream),
        body,
        conversation: None,
    };
    let limit = filter.settings.limit;
    timeout(limit, answer_to(client, upstream, &call))
        .await
        .map_err(|_| failure::late_head(&upstream.name, limit))?
}

async fn answer_to(client: &Client, upstream: &Upstream, call: &Call<'_>) -> Result<Bytes> {
    let arrived = client.send(upstream, call).await?;
    match answer::judge(upstream, arrived).await? {
        Judged::Answer(_, body) => body.collect(answer::ANSWER_LIMIT_BYTES).await,
        Judged::Refused(refusal) => {
            let detail = refusal.body.as_deref().and_then(detail_of);
            Err(match detail {
                Some(detail) => refused(refusal.status, detail),
                None => {
                    let why = format!("status {} without a `detail`", refusal.status.as_u16());
                    failure::invalid(&upstream.name, &why)
                }
            })
        }
    }
}

fn refused(status: StatusCode, detail: String) -> Error {
    Error::new(Kind::FunctionRefused, detail).with_status(status)
}

/// The words of a refusal.
fn detail_of(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    match body.get("detail")? {
        Value::Null => None,
        Value::String(detail) => Some(detail.clone()),
        detail => Some(detail.to_string()),
    }
}

/// An id as one segment of a path.
fn escaped(id: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut escaped = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            byte if is_plain(byte) && id != "." && id != ".." => escaped.push(char::from(byte)),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_of_filters_are_told_from_models() {
        assert!(is_filter(&json!({"pipeline": {"type": "filter"}})));
        assert!(!is_filter(&json!({"pipeline": {"type": "manifold"}})));
        assert!(!is_filter(&json!({"id": "m"})));
        assert!(is_pipeline(
            &json!({"pipeline": {"type": "pipe", "valves": true}})
        ));
        assert!(!is_pipeline(&json!({"pipeline": null})));
    }

    #[test]
    fn refusals_have_a_detail() {
        assert_eq!(detail_of(br#"{"detail":"no"}"#).as_deref(), Some("no"));
        assert_eq!(detail_of(br#"{"detail":[1]}"#).as_deref(), Some("[1]"));
        assert_eq!(detail_of(br#"{"error":"no"}"#), None);
        assert_eq!(detail_of(b"no"), None);
    }

    #[test]
    fn ids_stay_one_segment() {
        assert_eq!(escaped("policy_1.a"), "policy_1.a");
        assert_eq!(escaped("../a?b"), "..%2Fa%3Fb");
        assert_eq!(escaped(".."), "%2E%2E");
    }
}
