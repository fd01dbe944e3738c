//! The filters on the request: each gets the body that the one before it gave back.

use tracing::warn;

use super::chain::{Chain, Link};
use super::failure;
use super::request::{ChatRequest, Incoming};
use crate::config::Closing;
use crate::error::{Error, Kind, Result};
use crate::host::{Context, Failure, Hook, Host};
use crate::telemetry::{Outcome, RequestLog};

/// Runs the remote filters, then `inlet` of every local one that has it.
///
/// # Errors
///
/// If a filter refuses, or fails and does so closed.
pub(super) async fn run(
    host: &Host,
    chain: &mut Chain,
    mut request: ChatRequest,
    incoming: &Incoming<'_>,
) -> Result<ChatRequest> {
    if let Some(context) = &chain.context {
        request.make_metadata(incoming, &context.model)?;
    }
    if let (Some(remotes), Some(context)) = (&chain.remotes, &chain.context) {
        // Boxed, because it is rare and large.
        Box::pin(remotes.inlet(context, &mut request, &chain.log)).await?;
    }
    run_hook(host, chain, &mut request, Hook::Inlet).await?;
    Ok(request)
}

/// Runs `request` of every filter that has it: last, when tools and route are settled (ruling R10).
///
/// # Errors
///
/// As [`run`].
pub(super) async fn run_last(
    host: &Host,
    chain: &mut Chain,
    mut request: ChatRequest,
) -> Result<ChatRequest> {
    run_hook(host, chain, &mut request, Hook::Request).await?;
    Ok(request)
}

async fn run_hook(
    host: &Host,
    chain: &mut Chain,
    request: &mut ChatRequest,
    hook: Hook,
) -> Result<()> {
    let Some(context) = &chain.context else {
        return Ok(());
    };
    let mut takes_files = false;
    for link in chain
        .links
        .iter_mut()
        .filter(|link| link.function.handles(hook.name()))
    {
        call(host, context, link, request, hook, &chain.log).await?;
        takes_files |= hook == Hook::Inlet && link.function.version.learnt.file_handler;
    }
    // After all inlets: a later filter may still read the files.
    if takes_files {
        request.drop_files()
    } else {
        Ok(())
    }
}

async fn call(
    host: &Host,
    context: &Context,
    link: &mut Link,
    request: &mut ChatRequest,
    hook: Hook,
    log: &RequestLog,
) -> Result<()> {
    let id = link.function.id.clone();
    let on_error = link.function.settings.on_error;
    let failed = match pass(host, context, link, request, hook).await {
        Ok((body, metadata)) => match request.replace(body, metadata) {
            Ok(is_changed) => {
                let outcome = if is_changed {
                    Outcome::Changed
                } else {
                    Outcome::Passed
                };
                log.function_ran(id.as_str(), hook.name(), outcome);
                return Ok(());
            }
            Err(error) => Error::function_failed(id.as_str(), hook.name(), error.message()),
        },
        Err(failure) => failure::of_request_hook(request.contract, &id, hook.name(), &failure),
    };
    log.function_ran(id.as_str(), hook.name(), failure::outcome(&failed));
    // An exception that carries a status was meant; any other may be an accident, which the operator lets pass.
    let was_meant = failed.kind() == Kind::FunctionRefused && failed.own_status().is_some();
    if on_error == Closing::Open && !was_meant {
        warn!(function.id = %id, error = %failed, "function failed, its step is skipped");
        log.function_error(id.as_str());
        return Ok(());
    }
    Err(failed)
}

async fn pass(
    host: &Host,
    context: &Context,
    link: &mut Link,
    request: &ChatRequest,
    hook: Hook,
) -> std::result::Result<(bytes::Bytes, bytes::Bytes), Failure> {
    let metadata = request
        .metadata
        .as_ref()
        .expect("a chain with filters has metadata");
    let session = link.session(host, context, metadata).await?;
    session
        .call_hook(hook, request.document.bytes(), metadata)
        .await
}
