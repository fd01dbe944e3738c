//! What can go wrong with a request: one type, made where it happens, turned into an answer in one place.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// Whose fault an error is, which decides what is logged and whether anyone must look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The caller asked for something that cannot be done.
    Client,
    /// A model server failed or refused.
    Upstream,
    /// A Python function failed or refused.
    Function,
    /// The gateway itself.
    Gateway,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The body is no JSON that we accept.
    InvalidJson,
    /// The body is JSON but not a request of this route.
    InvalidRequest,
    /// The body is longer than `limits.body_bytes`.
    BodyTooLarge,
    /// The request took too long to arrive.
    RequestTimeout,
    /// No credential was sent.
    MissingCredential,
    /// A credential was sent and is not known.
    UnknownCredential,
    /// Too many unknown credentials came from the caller's address.
    TooManyAttempts,
    /// The caller is known and may not do this.
    Forbidden,
    /// No such model, or none that the caller may use.
    UnknownModel,
    /// No such route.
    UnknownRoute,
    /// A route that is shut because no filters run on it.
    ShutRoute,
    /// The route exists, the method does not.
    MethodNotAllowed,
    /// The body's type or coding is not understood.
    UnsupportedMediaType,
    /// Something that was named does not exist.
    NotFound,
    /// What was asked conflicts with what is there.
    Conflict,
    /// No connection to the model server.
    UpstreamUnreachable,
    /// The model server's certificate or handshake failed.
    UpstreamTls,
    /// The model server did not answer in time.
    UpstreamTimeout,
    /// The model server's answer broke off.
    UpstreamCut,
    /// The model server's answer makes no sense.
    UpstreamInvalid,
    /// The model server answered with an error of its own, which is passed on.
    UpstreamRefused,
    /// Every member of an upstream group is full or ejected.
    UpstreamBusy,
    /// A function raised in a hook where that is its way to refuse.
    FunctionRefused,
    /// A function failed by accident.
    FunctionFailed,
    /// A function returned something that is no answer.
    FunctionWrongReturn,
    /// The process of a function died.
    FunctionCrashed,
    /// A function did not answer in time.
    FunctionTimeout,
    /// The process of a function cannot be started, or too many calls wait for it.
    FunctionUnavailable,
    /// The gateway has as much to do as it may.
    Overloaded,
    /// The gateway is about to end.
    ShuttingDown,
    /// The client has gone; nobody will read the answer.
    ClientGone,
    /// Anything unforeseen.
    Internal,
}

impl Kind {
    /// The HTTP status that says this, where nothing more particular does.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::InvalidJson | Self::InvalidRequest | Self::FunctionRefused => {
                StatusCode::BAD_REQUEST
            }
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::MissingCredential | Self::UnknownCredential => StatusCode::UNAUTHORIZED,
            Self::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::UnknownModel | Self::UnknownRoute | Self::ShutRoute | Self::NotFound => {
                StatusCode::NOT_FOUND
            }
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Conflict => StatusCode::CONFLICT,
            Self::UpstreamUnreachable | Self::UpstreamTls | Self::UpstreamCut => {
                StatusCode::BAD_GATEWAY
            }
            Self::UpstreamInvalid | Self::UpstreamRefused | Self::FunctionCrashed => {
                StatusCode::BAD_GATEWAY
            }
            Self::UpstreamTimeout | Self::FunctionTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::UpstreamBusy
            | Self::FunctionUnavailable
            | Self::Overloaded
            | Self::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            Self::FunctionFailed | Self::FunctionWrongReturn | Self::Internal => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::ClientGone => StatusCode::from_u16(499).expect("499 is a status code"),
        }
    }

    /// The machine-readable `code` of the error body.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidRequest => "invalid_request",
            Self::BodyTooLarge => "body_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::MissingCredential | Self::UnknownCredential => "invalid_api_key",
            Self::TooManyAttempts => "too_many_attempts",
            Self::Forbidden => "forbidden",
            Self::UnknownModel => "model_not_found",
            Self::UnknownRoute => "unknown_route",
            Self::ShutRoute => "route_without_filters",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamTls => "upstream_tls",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamCut => "upstream_cut",
            Self::UpstreamInvalid => "upstream_invalid",
            Self::UpstreamRefused => "upstream_refused",
            Self::UpstreamBusy => "upstream_busy",
            Self::FunctionRefused => "function_refused",
            Self::FunctionFailed | Self::FunctionWrongReturn => "function_error",
            Self::FunctionCrashed => "function_crashed",
            Self::FunctionTimeout => "function_timeout",
            Self::FunctionUnavailable => "function_unavailable",
            Self::Overloaded => "overloaded",
            Self::ShuttingDown => "shutting_down",
            Self::ClientGone => "client_gone",
            Self::Internal => "internal_error",
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub fn fault(self) -> Fault {
        match self {
            Self::UpstreamUnreachable
            | Self::UpstreamTls
            | Self::UpstreamTimeout
            | Self::UpstreamCut => Fault::Upstream,
            Self::UpstreamInvalid | Self::UpstreamRefused | Self::UpstreamBusy => Fault::Upstream,
            Self::FunctionRefused | Self::FunctionFailed | Self::FunctionWrongReturn => {
                Fault::Function
            }
            Self::FunctionCrashed | Self::FunctionTimeout | Self::FunctionUnavailable => {
                Fault::Function
            }
            Self::Overloaded | Self::ShuttingDown | Self::Internal => Fault::Gateway,
            _ => Fault::Client,
        }
    }
}

/// An answer of a model server that is passed on as it came.
#[derive(Clone, Debug)]
pub struct PassedAnswer {
    /// Its headers, without those that belong to the connection.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// An error of the request path. Small, because it travels in every `Result` there.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    status: Option<StatusCode>,
    message: String,
    param: Option<&'static str>,
    allowed: Option<&'static str>,
    function: Option<String>,
    retry_after: Option<Duration>,
    retryable: bool,
    passed: Option<PassedAnswer>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A result of the request path.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind` with a message for the caller.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            status: None,
            message: message.into(),
            param: None,
            allowed: None,
            function: None,
            retry_after: None,
            retryable: false,
            passed: None,
            source: None,
        }))
    }

    /// No such model, or none that the caller may use: the two are not told apart.
    #[must_use]
    pub fn unknown_model(id: &str) -> Self {
        Self::new(
            Kind::UnknownModel,
            format!("the model `{id}` does not exist or you do not have access to it"),
        )
        .with_param("model")
    }

    /// What the operator set for this model cannot be read, so nobody knows what must run on its requests.
    #[must_use]
    pub fn unreadable_model(id: &str) -> Self {
        let message = format!(
            "the model `{id}` is unavailable: what was set for it cannot be read from the store"
        );
        Self::new(Kind::Internal, message)
            .with_status(StatusCode::SERVICE_UNAVAILABLE)
            .with_param("model")
    }

    /// The body is not a request of this route; `param` is the member at fault.
    #[must_use]
    pub fn invalid_request(param: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidRequest, message).with_param(param)
    }

    /// A function failed in `method`, with the exception as `text`.
    #[must_use]
    pub fn function_failed(id: &str, method: &str, text: &str) -> Self {
        Self::new(
            Kind::FunctionFailed,
            format!("function `{id}` {method} failed: {text}"),
        )
        .with_function(id)
    }

    /// A function did not answer within its limit.
    #[must_use]
    pub fn function_timeout(id: &str, method: &str, limit: Duration) -> Self {
        let message = format!(
            "function `{id}` {method} took longer than {} s",
            limit.as_secs_f64()
        );
        Self::new(Kind::FunctionTimeout, message).with_function(id)
    }

    /// The process of a function died during a call.
    #[must_use]
    pub fn function_crashed(id: &str, method: &str) -> Self {
        Self::new(
            Kind::FunctionCrashed,
            format!("function `{id}` {method} crashed"),
        )
        .with_function(id)
    }

    /// A function cannot be called now.
    #[must_use]
    pub fn function_unavailable(id: &str, why: &str) -> Self {
        let error = Self::new(
            Kind::FunctionUnavailable,
            format!("function `{id}` is unavailable: {why}"),
        );
        error
            .with_function(id)
            .with_retry_after(Duration::from_secs(1))
    }

    /// The gateway ends before the answer is there.
    #[must_use]
    pub fn shutting_down() -> Self {
        Self::new(Kind::ShuttingDown, "the gateway is shutting down")
            .with_retry_after(Duration::from_secs(1))
    }

    /// An error answer of a model server, to be passed on unchanged.
    #[must_use]
    pub fn upstream_refused(status: StatusCode, passed: PassedAnswer) -> Self {
        let mut error = Self::new(
            Kind::UpstreamRefused,
            format!("upstream answered {}", status.as_u16()),
        );
        error.0.status = Some(status);
        error.0.passed = Some(passed);
        error
    }

    /// Something unforeseen; the cause goes to the log, never to the caller.
    #[must_use]
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Kind::Internal, "internal error").with_source(source)
    }

    /// Sets the status in place of the kind's own.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Names the member of the request that is at fault.
    #[must_use]
    pub fn with_param(mut self, param: &'static str) -> Self {
        self.0.param = Some(param);
        self
    }

    /// Says which method the route takes.
    #[must_use]
    pub fn with_allowed(mut self, method: &'static str) -> Self {
        self.0.allowed = Some(method);
        self
    }

    /// Names the function in which it happened.
    #[must_use]
    pub fn with_function(mut self, id: &str) -> Self {
        self.0.function = Some(id.to_owned());
        self
    }

    /// Says when the caller may try again.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Marks that nothing was sent yet, so that another target may be tried.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.0.retryable = true;
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The HTTP status of an answer that says this.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status.unwrap_or_else(|| self.0.kind.status())
    }

    /// The status that was set on this error itself, if one was.
    #[must_use]
    pub fn own_status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// The text for the caller.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The member of the request that is at fault.
    #[must_use]
    pub fn param(&self) -> Option<&'static str> {
        self.0.param
    }

    /// The method that the route takes, for [`Kind::MethodNotAllowed`].
    #[must_use]
    pub fn allowed(&self) -> Option<&'static str> {
        self.0.allowed
    }

    /// The function in which it happened.
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        self.0.function.as_deref()
    }

    /// When the caller may try again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether nothing was sent yet, so that another target may be tried.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// The answer to pass on, for [`Kind::UpstreamRefused`].
    #[must_use]
    pub fn passed(&self) -> Option<&PassedAnswer> {
        self.0.passed.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
