//! The filters on the request: each gets the body that the one before it gave back.

use bytes::Bytes;
use tracing::warn;

use super::chain::Chain;
use super::failure;
use super::link::{Asked, Failed, Link, together};
use super::request::{ChatRequest, Incoming};
use crate::config::Closing;
use crate::error::{Error, Kind, Result};
use crate::host::{Hook, Host, Step};
use crate::telemetry::{Outcome, RequestLog};

/// Runs `inlet` of every filter that has it.
///
/// # Errors
///
/// If a filter refuses, or fails and does so closed.
pub(super) async fn run(
    host: &Host,
    chain: &mut Chain,
    request: &mut ChatRequest,
    incoming: &Incoming<'_>,
) -> Result<()> {
    if let Some(context) = &chain.context {
        request.make_metadata(incoming, &context.model)?;
    }
    if chain.handles(Hook::Inlet.name()) {
        // Boxed here and below: a request's future has room for the largest of its ways, and most pass no filter.
        Box::pin(run_hook(host, chain, request, Hook::Inlet)).await?;
    }
    Ok(())
}

/// Runs `request` of every filter that has it: last, when tools and route are settled (ruling R10).
///
/// # Errors
///
/// As [`run`].
pub(super) async fn run_last(
    host: &Host,
    chain: &mut Chain,
    request: &mut ChatRequest,
) -> Result<()> {
    if chain.handles(Hook::Request.name()) {
        Box::pin(run_hook(host, chain, request, Hook::Request)).await?;
    }
    Ok(())
}

async fn run_hook(
    host: &Host,
    chain: &mut Chain,
    request: &mut ChatRequest,
    hook: Hook,
) -> Result<()> {
    let links = chain.links.iter_mut();
    let mut links: Vec<&mut Link> = links.filter(|link| link.handles(hook.name())).collect();
    let mut left = links.as_mut_slice();
    while !left.is_empty() {
        let here = (hook == Hook::Inlet).then(|| left[0].inlet(request));
        if let Some(made) = here.flatten() {
            settle(left[0], hook, made, request, &chain.log)?;
            left = &mut left[1..];
            continue;
        }
        let asked = Asked {
            host,
            context: chain.context.as_ref(),
            metadata: request.metadata.as_ref(),
            contract: request.contract,
            observes: false,
        };
        let steps = together::call(left, asked, hook, request.document.bytes()).await;
        let mut done = 0;
        for Step { place, result } in steps {
            done = place + 1;
            settle(left[place], hook, result, request, &chain.log)?;
        }
        left = &mut left[done..];
    }
    let takes_files = hook == Hook::Inlet && links.iter().any(|link| link.takes_files());
    // After all inlets: a later filter may still read the files.
    if takes_files {
        request.drop_files()
    } else {
        Ok(())
    }
}

/// Takes over what a filter made of the request. A failure ends the request, unless it is forgiven.
fn settle(
    link: &Link,
    hook: Hook,
    made: std::result::Result<(Bytes, Bytes), Failed>,
    request: &mut ChatRequest,
    log: &RequestLog,
) -> Result<()> {
    let taken = made.and_then(|(body, metadata)| {
        let taken = request.replace(body, metadata);
        let failed = |error: Error| Error::function_failed(link.id(), hook.name(), error.message());
        taken.map_err(|error| Failed::from(failed(error)))
    });
    let id = link.id();
    let failed = match taken {
        Ok(is_changed) => {
            log.function_ran(id, hook.name(), Outcome::of(is_changed));
            return Ok(());
        }
        Err(failed) => failed.error,
    };
    log.function_ran(id, hook.name(), failure::outcome(&failed));
    // An exception that carries a status was meant; any other may be an accident, which the operator lets pass.
    let was_meant = failed.kind() == Kind::FunctionRefused && failed.own_status().is_some();
    if link.on_error() == Closing::Open && !was_meant {
        warn!(function.id = %id, error = %failed, "function failed, its step is skipped");
        log.function_error(id);
        return Ok(());
    }
    Err(failed)
}
