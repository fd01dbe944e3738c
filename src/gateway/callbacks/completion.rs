//! A completion that a function asks for: through the gateway again, with the same caller's rights (ruling R23).

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, Desk};
use crate::body::Body;
use crate::chat::Contract;
use crate::chat::request::Incoming;
use crate::error::{Error, Kind};
use crate::host::Refusal;
use crate::registry::FunctionId;
use crate::store::ids;
use crate::telemetry::metrics::Route as MetricsRoute;
use crate::telemetry::{RequestLog, request_id};
use crate::wire::sse::Decoder;

/// Longest answer that a function gets, in bytes.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// What the access log calls these requests.
const PATH: &str = "/internal/generate_chat_completion";

#[derive(Deserialize)]
pub(super) struct Wanted {
    body: Map<String, Value>,
    #[serde(default)]
    bypass_filter: bool,
}

impl Desk {
    /// The answer to a chat: an object, or `{"events"}` of a stream. The function that asks does not see it as a filter.
    pub(super) async fn complete(&self, asker: &FunctionId, wanted: Wanted) -> Answer {
        let (method, uri, headers) = (Method::POST, Uri::from_static(PATH), HeaderMap::new());
        let log = RequestLog::begin(request_id(), method.as_str(), PATH, MetricsRoute::Chat);
        log.set_caller(&self.asking.caller.user.id);
        let incoming = Incoming {
            contract: Contract::OpenWebUi,
            caller: &self.asking.caller,
            method: &method,
            uri: &uri,
            headers: &headers,
            peer: self.asking.peer,
            is_encrypted: false,
            log: &log,
            within: self.asking.within.call_of(asker),
            bypasses_filters: wanted.bypass_filter && self.is_trusted(asker),
            now: ids::unix_seconds().unsigned_abs(),
        };
        let body = Bytes::from(Value::Object(wanted.body).to_string());
        let chat = self.reception.chat();
        // Boxed: it may lead here again.
        let response = Box::pin(chat.complete(&incoming, body)).await;
        let answer = match response {
            Ok(response) => {
                log.set_status(response.status().as_u16(), None);
                read(response).await
            }
            Err(error) => {
                log.set_status(error.status().as_u16(), Some(error.kind().code()));
                Err(refused(&error))
            }
        };
        log.complete();
        answer
    }

    /// Whether the operator lets this function ask for completions that no filter sees.
    fn is_trusted(&self, asker: &FunctionId) -> bool {
        let snapshot = self.reception.registry.current();
        let function = match asker.is_tool() {
            true => snapshot.tool(asker.shown()),
            false => snapshot.function(asker.as_str()),
        };
        function.is_some_and(|function| function.settings.bypass_filter)
    }
}

async fn read(response: Response<Body>) -> Answer {
    let (head, body) = response.into_parts();
    let too_long = || {
        Error::new(
            Kind::UpstreamInvalid,
            "the answer is too long for a function",
        )
    };
    let body = body.collect(MAX_ANSWER_BYTES, too_long).await;
    let body = body.map_err(|error| refused(&error))?;
    if !head.status.is_success() {
        return Err(status_refusal(head.status, &body));
    }
    let kind = head.headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("text/event-stream") {
        return Ok(json!({"events": events(body)?}));
    }
    Ok(serde_json::from_slice(&body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned())))
}

/// The data of a stream's events, without the end marker.
fn events(body: Bytes) -> Answer<Vec<Value>> {
    let mut decoder = Decoder::new();
    let pushed = decoder.push(body);
    pushed.map_err(|error| Refusal::new(error.to_string()))?;
    let mut events = Vec::new();
    while let Some(event) = decoder.next_event() {
        if let Some(Ok(event)) = event.data.map(|data| serde_json::from_slice(&data)) {
            events.push(event);
        }
    }
    Ok(events)
}

fn refused(error: &Error) -> Refusal {
    Refusal {
        message: error.message().to_owned(),
        status: Some(error.status().as_u16()),
    }
}

/// The refusal of an answer that is an error: with its own words, wherever they stand.
fn status_refusal(status: StatusCode, body: &[u8]) -> Refusal {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let words = [
        &body["detail"],
        &body["error"]["message"],
        &body["error"]["detail"],
    ];
    let message = words.into_iter().find_map(Value::as_str);
    Refusal {
        message: message.map_or_else(|| status.to_string(), str::to_owned),
        status: Some(status.as_u16()),
    }
}
