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
    let failed =
        |link: &Link, failure: &Failure| Failed::of(link.id(), asked.contract, hook, failure);
    let (count, failure) = begin(links, asked).await;
    let mut steps = match count {
        0 => Vec::new(),
        1 => vec![step(0, links[0].call(asked, hook, body).await)],
        _ => {
            let metadata = asked.metadata.unwrap_or(&NO_METADATA);
            let series = series(&mut links[..count]);
            let steps = series.call_hook(hook, asked.observes, body, metadata).await;
            let told = |Step { place, result }: Step<Passed>| {
                step(place, result.map_err(|it| failed(links[place], &it)))
            };
            steps.into_iter().map(told).collect()
        }
    };
    let is_its_turn = steps.len() == count && steps.iter().all(|step| step.result.is_ok());
    if let Some(failure) = failure.filter(|_| is_its_turn) {
        steps.push(step(count, Err(failed(links[count], &failure))));
    }
    steps
}

/// Passes events through `stream` of the first of `links` and those that can be asked together with it, as [`call`] does
/// with a body.
pub(in crate::chat) async fn call_stream(
    links: &mut [&mut Link],
    asked: Asked<'_>,
    events: &[Bytes],
) -> Vec<Step<Streamed>> {
    let told = |link: &Link, result| Streamed::of(link.id(), asked.contract, result);
    let (count, failure) = begin(links, asked).await;
    let mut steps = match count {
        0 => Vec::new(),
        1 => vec![step(0, links[0].call_stream(asked, events).await)],
        _ => {
            let metadata = asked.metadata.unwrap_or(&NO_METADATA);
            let series = series(&mut links[..count]);
            let steps = series.call_stream(events, metadata).await.into_iter();
            let told = |Step { place, result }: Step<_>| step(place, told(links[place], result));
            steps.map(told).collect()
        }
    };
    let is_its_turn =
        steps.len() == count && steps.last().is_none_or(|last| last.result.leaves_any());
    if let Some(failure) = failure.filter(|_| is_its_turn) {
        let failed = StreamResult::failed(failure);
        steps.push(step(count, told(links[count], failed)));
    }
    steps
}

/// Begins the parts of those at the start of `links` that are asked together; how many they are, and what is wrong with
/// the one behind them, to be told when its turn comes. One that is asked by itself begins with that.
async fn begin(links: &mut [&mut Link], asked: Asked<'_>) -> (usize, Option<Failure>) {
    let pairs = links.windows(2);
    let together = 1 + pairs.take_while(|pair| pair[0].leads_to(pair[1])).count();
    if together == 1 {
        return (1, None);
    }
    for count in 0..together {
        if let Err(failure) = links[count].begin(asked).await {
            return (count, Some(failure));
        }
        if count > 0 && !links[count - 1].shares_process(links[count]) {
            return (count, None);
        }
    }
    (together, None)
}

fn series<'a>(links: &'a mut [&mut Link]) -> Series<'a> {
    let sessions = links.iter_mut().filter_map(|link| link.worker_mut());
    Series::new(sessions.collect())
}

fn step<T>(place: usize, result: T) -> Step<T> {
    Step { place, result }
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
