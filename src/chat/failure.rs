//! What a function's failure is to the request: a refusal in its own words, or an accident.

use http::StatusCode;

use super::Contract;
use crate::error::{Error, Kind};
use crate::host::{Exception, Failure};
use crate::telemetry::Outcome;

/// The error of a failed `inlet` or `request`: any exception there is the function's way to refuse (ruling R3).
pub(crate) fn of_request_hook(
    contract: Contract,
    id: &str,
    hook: &str,
    failure: &Failure,
) -> Error {
    match failure.exception() {
        Some(exception) if exception.is_breakdown() => of_answer_hook(contract, id, hook, failure),
        Some(exception) if exception.is_wrong_return() => wrong_return(contract, id, exception),
        Some(exception) => refused(id, exception).unwrap_or_else(|| {
            Error::new(Kind::FunctionRefused, exception.text()).with_function(id)
        }),
        None => of_process(id, hook, failure),
    }
}

/// The error of a failed `stream`, `outlet` or pipe: only an exception that carries a status is a refusal.
pub(crate) fn of_answer_hook(contract: Contract, id: &str, hook: &str, failure: &Failure) -> Error {
    match failure.exception() {
        Some(exception) if exception.is_wrong_return() => wrong_return(contract, id, exception),
        Some(exception) => refused(id, exception)
            .unwrap_or_else(|| Error::function_failed(id, hook, &exception.described())),
        None => of_process(id, hook, failure),
    }
}

/// The word for a failure in the access log.
pub(crate) fn outcome(error: &Error) -> Outcome {
    match error.kind() {
        Kind::FunctionRefused => Outcome::Refused,
        _ => Outcome::Failed,
    }
}

/// A refusal with the status that the exception carries.
fn refused(id: &str, exception: &Exception) -> Option<Error> {
    let status = StatusCode::from_u16(exception.status?).ok()?;
    let error = Error::new(Kind::FunctionRefused, exception.text()).with_function(id);
    Some(error.with_status(status))
}

/// A handler that gave back something that is no answer (ruling R4).
fn wrong_return(contract: Contract, id: &str, exception: &Exception) -> Error {
    let error = Error::new(Kind::FunctionWrongReturn, exception.message.clone()).with_function(id);
    match contract {
        Contract::OpenAi => error,
        Contract::OpenWebUi => error.with_status(StatusCode::BAD_REQUEST),
    }
}

fn of_process(id: &str, hook: &str, failure: &Failure) -> Error {
    match failure {
        Failure::TimedOut(limit) => Error::function_timeout(id, hook, *limit),
        Failure::Unavailable(why) | Failure::NotInstalled(why) => {
            Error::function_unavailable(id, why)
        }
        Failure::Crashed => Error::function_crashed(id, hook),
        Failure::Raised(_) | Failure::Garbled => {
            Error::function_failed(id, hook, "its process gave no answer that makes sense")
        }
    }
}
