//! Filters that are asked together: neighbours that live in one process, with one way there and back for all of them.
//!
//! To whoever asks it is as if each had been asked by itself, with what the one before gave back.

use bytes::Bytes;

use super::{Asked, Failed, Filter, Link, NO_METADATA, Streamed, begun};
use crate::config::Closing;
use crate::host::{Failure, FilterSession, Hook, Passed, Series, Session, Step, StreamResult};

/// Shows a body to the first of `links` and those that can be asked together with it. Gives what each made of it and of
/// the metadata, up to the first that failed; whoever is behind the last of these is yet to be asked.
pub(in crate::chat) async fn call(
    links: &mut [&mut Link],
    asked: Asked<'_>,
    hook: Hook,
    body: &Bytes,
) -> Vec<Step<Result<(Bytes, Bytes), Failed>>> {
    let steps = match begin(links, asked).await {
        Ok(1) => return vec![alone(links[0].call(asked, hook, body).await)],
        Ok(count) => {
            let metadata = asked.metadata.unwrap_or(&NO_METADATA);
            let series = series(&mut links[..count]);
            series.call_hook(hook, asked.observes, body, metadata).await
        }
        Err(failure) => vec![alone(Err(failure))],
    };
    let told = |Step { place, result }: Step<Passed>| {
        let id = links[place].id();
        let result = result.map_err(|failure| Failed::of(id, asked.contract, hook, &failure));
        Step { place, result }
    };
    steps.into_iter().map(told).collect()
}

/// Passes events through `stream` of the first of `links` and those that can be asked together with it, as [`call`] does
/// with a body.
pub(in crate::chat) async fn call_stream(
    links: &mut [&mut Link],
    asked: Asked<'_>,
    events: &[Bytes],
) -> Vec<Step<Streamed>> {
    let steps = match begin(links, asked).await {
        Ok(1) => return vec![alone(links[0].call_stream(asked, events).await)],
        Ok(count) => {
            let metadata = asked.metadata.unwrap_or(&NO_METADATA);
            let series = series(&mut links[..count]);
            series.call_stream(events, metadata).await
        }
        Err(failure) => vec![alone(StreamResult::failed(failure))],
    };
    let told = |Step { place, result }: Step<StreamResult>| {
        let result = Streamed::of(links[place].id(), asked.contract, result);
        Step { place, result }
    };
    steps.into_iter().map(told).collect()
}

/// Begins the parts of those at the start of `links` that can be asked together; how many they are.
///
/// # Errors
///
/// If there is no process for the first. What is wrong with another shows when its turn comes.
async fn begin(links: &mut [&mut Link], asked: Asked<'_>) -> Result<usize, Failure> {
    let mut count = 1;
    while count < links.len() && links[count - 1].leads_to(links[count]) {
        if count == 1 {
            links[0].begin(asked).await?;
        }
        if links[count].begin(asked).await.is_err()
            || !links[count - 1].shares_process(links[count])
        {
            break;
        }
        count += 1;
    }
    Ok(count)
}

fn series<'a>(links: &'a mut [&mut Link]) -> Series<'a> {
    let sessions = links.iter_mut().filter_map(|link| link.worker_mut());
    Series::new(sessions.collect())
}

fn alone<T>(result: T) -> Step<T> {
    Step { place: 0, result }
}

impl Link {
    /// Whether this filter and the next may be asked together, going by their settings. One that lets errors pass is
    /// asked by itself: what its neighbours have done would be lost with a process that it ends, and must not be missing
    /// from a request that goes on.
    fn leads_to(&self, next: &Self) -> bool {
        let is_closed = |link: &Self| link.on_error() == Closing::Closed;
        self.is_outside()
            && next.is_outside()
            && is_closed(self)
            && is_closed(next)
            && self
                .group()
                .is_some_and(|group| next.group() == Some(group))
    }

    /// Whom it shares its process with.
    fn group(&self) -> Option<&str> {
        match &self.0 {
            Filter::Local { function, .. } => Some(function.settings.group.as_str()),
            Filter::Remote(_) => None,
        }
        .filter(|group| !group.is_empty())
    }

    /// Begins a function's part in the request.
    async fn begin(&mut self, asked: Asked<'_>) -> Result<(), Failure> {
        match &mut self.0 {
            Filter::Local { function, session } => begun(function, session, asked).await.map(drop),
            Filter::Remote(_) => Ok(()),
        }
    }

    /// Its part in the request, if that has begun in a process.
    fn worker(&self) -> Option<&Session> {
        match &self.0 {
            Filter::Local {
                session: Some(FilterSession::Worker(session)),
                ..
            } => Some(session),
            _ => None,
        }
    }

    /// As [`Link::worker`].
    fn worker_mut(&mut self) -> Option<&mut Session> {
        match &mut self.0 {
            Filter::Local {
                session: Some(FilterSession::Worker(session)),
                ..
            } => Some(session),
            _ => None,
        }
    }

    fn shares_process(&self, other: &Self) -> bool {
        let (session, other) = (self.worker(), other.worker());
        session.is_some_and(|it| other.is_some_and(|other| it.shares_process(other)))
    }
}
