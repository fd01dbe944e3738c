//! Answers and errors as responses, in the manners of the path that was asked.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Body as _;

use super::Contract;
use crate::body::Body;
use crate::error::{Error, Fault, Kind};
use crate::telemetry::RequestLog;
use crate::upstream::Answer;
use crate::wire::openai::{self, ErrorBody};

/// Names the generation of the configuration in which a request lived.
const GENERATION: HeaderName = HeaderName::from_static("x-sluicegate-generation");

/// Names the request, in the access log as well.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names the request where `x-request-id` is the model server's.
const OWN_REQUEST_ID: HeaderName = HeaderName::from_static("x-sluicegate-request-id");

/// The model server's name for the request.
const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-upstream-request-id");

/// Names the function that refused or failed.
const FUNCTION_ID: HeaderName = HeaderName::from_static("x-function-id");

/// Names functions that failed without ending the request.
const FUNCTION_ERRORS: HeaderName = HeaderName::from_static("x-sluicegate-function-errors");

/// The head of a JSON answer made here.
#[must_use]
pub fn json_headers() -> HeaderMap {
    HeaderMap::from_iter([(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )])
}

/// The head of a stream made here.
#[must_use]
pub fn sse_headers() -> HeaderMap {
    HeaderMap::from_iter([
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream; charset=utf-8"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ])
}

/// A whole answer.
#[must_use]
pub fn whole(answer: Answer) -> Response<Body> {
    response(answer.status, answer.headers, Body::whole(answer.body))
}

/// A JSON value as an answer.
#[must_use]
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    response(status, json_headers(), Body::whole(body))
}

/// A stream.
#[must_use]
pub(super) fn stream(headers: HeaderMap, body: Body) -> Response<Body> {
    response(StatusCode::OK, headers, body)
}

fn response(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Says which request this answers, in which generation it lived, and which functions failed on the way.
#[must_use]
pub fn with_request(
    contract: Contract,
    mut response: Response<Body>,
    log: &RequestLog,
) -> Response<Body> {
    let headers = response.headers_mut();
    match contract {
        Contract::OpenAi => set(headers, REQUEST_ID, log.id()),
        // There the name belongs to the model server's own, as in Open WebUI.
        Contract::OpenWebUi => {
            set(headers, OWN_REQUEST_ID, log.id());
            if let Some(id) = headers.get(UPSTREAM_REQUEST_ID).cloned() {
                headers.insert(REQUEST_ID, id);
            }
        }
    }
    if let Some(generation) = log.generation() {
        response
            .headers_mut()
            .insert(GENERATION, generation_value(generation));
    }
    if let Some(functions) = log.function_errors() {
        set(response.headers_mut(), FUNCTION_ERRORS, &functions);
    }
    response
}

/// A generation as a header's value. It is the same for many requests, and made once for them on each thread.
fn generation_value(generation: u64) -> HeaderValue {
    thread_local! {
        static LAST: RefCell<Option<(u64, HeaderValue)>> = const { RefCell::new(None) };
    }
    LAST.with_borrow_mut(|last| {
        let known = last.take().filter(|(known, _)| *known == generation);
        let (_, value) = last.insert(known.unwrap_or_else(|| (generation, generation.into())));
        value.clone()
    })
}

/// An error as a response: the one place where errors become bodies.
#[must_use]
pub fn error(contract: Contract, error: &Error) -> Response<Body> {
    let mut response = match (contract, error.passed()) {
        (_, Some(passed)) if is_json(&passed.headers) => response(
            error.status(),
            passed.headers.clone(),
            Body::whole(passed.body.clone()),
        ),
        (Contract::OpenWebUi, Some(passed)) => {
            let mut headers = passed.headers.clone();
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/plain; charset=utf-8"),
            );
            response(error.status(), headers, Body::whole(passed.body.clone()))
        }
        (Contract::OpenAi, passed) => {
            let headers = passed
                .map(|passed| passed.headers.clone())
                .unwrap_or_default();
            let mut response = json(error.status(), body_of(error).to_json());
            keep_advice(&headers, response.headers_mut());
            response
        }
        (Contract::OpenWebUi, None) => json(webui_status(error), openai::detail(webui_text(error))),
    };
    let headers = response.headers_mut();
    if let Some(function) = error.function() {
        set(headers, FUNCTION_ID, function);
    }
    if let Some(method) = error.allowed() {
        set(headers, header::ALLOW, method);
    }
    if let Some(after) = error.retry_after() {
        headers.insert(header::RETRY_AFTER, after.as_secs().max(1).into());
    }
    response
}

/// The event that stands in for the rest of a stream that failed.
#[must_use]
pub(super) fn error_event(error: &Error) -> Bytes {
    match error.passed() {
        Some(passed) if is_json(&passed.headers) => crate::wire::sse::encode_data(&passed.body),
        _ => openai::error_event(&body_of(error)),
    }
}

fn body_of(error: &Error) -> ErrorBody<'_> {
    let kind = match (error.kind(), error.kind().fault()) {
        (Kind::MissingCredential | Kind::UnknownCredential, _) => "authentication_error",
        (Kind::Forbidden, _) => "permission_error",
        (_, Fault::Client) => "invalid_request_error",
        (Kind::FunctionRefused, _) => "invalid_request_error",
        (_, Fault::Upstream) => "upstream_error",
        (_, Fault::Function) => "function_error",
        (_, Fault::Gateway) => "server_error",
    };
    ErrorBody {
        message: error.message(),
        kind,
        code: Some(error.kind().code()),
        param: error.param(),
    }
}

/// Open WebUI's status for an error, where it has one of its own (recorded in the conformance cases).
fn webui_status(error: &Error) -> StatusCode {
    match error.kind() {
        Kind::UnknownModel => StatusCode::BAD_REQUEST,
        Kind::InvalidJson => StatusCode::UNPROCESSABLE_ENTITY,
        _ => error.status(),
    }
}

fn webui_text(error: &Error) -> &str {
    match error.kind() {
        Kind::UnknownModel => "Model not found",
        _ => error.message(),
    }
}

/// Whether a header tells when to try again, or what is left of a limit.
pub(super) fn is_advice(name: &HeaderName) -> bool {
    *name == header::RETRY_AFTER || name.as_str().starts_with("x-ratelimit-")
}

/// When to try again, and what is left of a limit, is for the caller even where the body is not.
fn keep_advice(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        if is_advice(name) {
            to.insert(name.clone(), value.clone());
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/json"))
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// A body whose end completes the access line, and whose being dropped before shows that the client left.
#[must_use]
pub fn logged(mut body: Body, log: &Arc<RequestLog>) -> Body {
    let log = Arc::clone(log);
    Body::stream(futures_util::stream::poll_fn(move |context| {
        let piece = Pin::new(&mut body).poll_frame(context);
        if matches!(piece, Poll::Ready(None)) {
            log.complete();
        }
        piece.map(|piece| {
            piece.map(|piece| piece.map(|frame| frame.into_data().unwrap_or_default()))
        })
    }))
}
