//! Events that are ready at one time, on their way through the `stream` filters.

use bytes::Bytes;
use tokio::time::Instant;
use tracing::{info, warn};

use super::filtered::STREAM;
use crate::chat::link::{Asked, Link, Streamed, together};
use crate::chat::{Contract, failure};
use crate::config::Closing;
use crate::error::{Error, Kind, Result};
use crate::host::{Made, Step};
use crate::telemetry::{Outcome, RequestLog};
use crate::wire::json::{Alike, Tape};
use crate::wire::sse::{self, Event};

/// Events in order.
pub(super) struct Batch {
    events: Vec<Passing>,
    /// Whether no other will come.
    is_last: bool,
}

/// One event on its way.
pub(super) struct Passing {
    event: Event,
    sight: Sight,
    is_changed: bool,
}

/// What filters see of an event.
enum Sight {
    /// Nothing: a comment, a blank line or the end marker, which pass by.
    Nothing,
    /// Its data, a JSON object.
    Object(Tape),
    /// It has data that is no JSON object.
    Opaque,
    /// A filter dropped it.
    Dropped,
}

impl Batch {
    /// These events, which are probably like the ones before.
    pub(super) fn new(events: impl IntoIterator<Item = Event>, alike: &mut Alike) -> Self {
        let events = events.into_iter().map(|event| Passing::new(event, alike));
        Self {
            events: events.collect(),
            is_last: false,
        }
    }

    /// What comes at the end of a stream: what was left of an event that was not ended.
    pub(super) fn last(rest: impl IntoIterator<Item = Event>, alike: &mut Alike) -> Self {
        Self {
            is_last: true,
            ..Self::new(rest, alike)
        }
    }

    /// Whether it is one event.
    pub(super) fn is_single(&self) -> bool {
        self.events.len() == 1
    }

    /// What is left of the events after the filters.
    pub(super) fn into_rest(self) -> impl Iterator<Item = Passing> {
        self.events
            .into_iter()
            .filter(|passing| !matches!(passing.sight, Sight::Dropped))
    }

    /// Passes the events through the first of `links` and those that can be asked together with it; gives how many these
    /// were. After a failure that is not forgiven, the event at which it happened and those behind it are gone.
    pub(super) async fn pass(
        &mut self,
        asked: Asked<'_>,
        links: &mut [&mut Link],
        log: &RequestLog,
    ) -> (usize, Result<()>) {
        // The events before one that the filter cannot see pass it all the same. None of those that it is asked together
        // with would let that event pass either.
        let opaque = self.cut_at_opaque(links[0]);
        let mut done = 1;
        if self.events.iter().any(|passing| passing.data().is_some()) {
            let passed = match links[0].is_outside() {
                true => self.pass_outside(asked, links, log, &mut done).await,
                false => self.pass_here(asked.contract, links[0], log),
            };
            if let Err(error) = passed {
                return (done, Err(error));
            }
        }
        // Only a filter in Rust holds anything back, and that is asked by itself.
        let added = opaque.and_then(|()| self.add_rest(asked, links[0], log));
        (done, added)
    }

    /// Passes the events through filters outside this process, which are shown all at once; `done` is how many these were.
    async fn pass_outside(
        &mut self,
        asked: Asked<'_>,
        links: &mut [&mut Link],
        log: &RequestLog,
        done: &mut usize,
    ) -> Result<()> {
        let (_, events) = self.visible();
        for Step { place, result } in together::call_stream(links, asked, &events).await {
            *done = place + 1;
            self.settle(links[place], result, log)?;
        }
        Ok(())
    }

    /// Passes the events through a filter in Rust, each where it stands.
    fn pass_here(&mut self, contract: Contract, link: &mut Link, log: &RequestLog) -> Result<()> {
        let began = Instant::now();
        let (mut outcome, mut failed) = (Outcome::Passed, None);
        for (place, passing) in self.events.iter_mut().enumerate() {
            let Some(event) = passing.data() else {
                continue;
            };
            match link.event(contract, event) {
                Ok(None) => {}
                Ok(Some(event)) => {
                    if passing.replace(Made::Changed(event)) {
                        outcome = Outcome::Changed;
                    }
                }
                Err(error) => {
                    failed = Some((place, error));
                    break;
                }
            }
        }
        link.took_events(began);
        log.function_ran(link.id(), STREAM, outcome);
        let Some((place, error)) = failed else {
            return Ok(());
        };
        forgive(link, error, log).inspect_err(|_| self.events.truncate(place))
    }

    /// Takes over what a filter made of the events that it was shown.
    fn settle(&mut self, link: &Link, streamed: Streamed, log: &RequestLog) -> Result<()> {
        let (places, _) = self.visible();
        let done = streamed.events.len();
        let outcome = self.apply(&places, streamed.events);
        log.function_ran(link.id(), STREAM, outcome);
        let Some(error) = streamed.error else {
            return Ok(());
        };
        let length = self.events.len();
        let failed_at = places.get(done).copied().unwrap_or(length);
        forgive(link, error, log).inspect_err(|_| self.events.truncate(failed_at))
    }

    /// Puts what the filter held back before the end marker, or behind everything if the stream ends without one.
    fn add_rest(&mut self, asked: Asked<'_>, link: &mut Link, log: &RequestLog) -> Result<()> {
        let marker = self.events.iter().position(Passing::is_done);
        let Some(place) = marker.or(self.is_last.then_some(self.events.len())) else {
            return Ok(());
        };
        match link.rest_of_stream(asked.contract) {
            Ok(None) => Ok(()),
            Ok(Some(rest)) => {
                let event = Event::parse(sse::encode_data(&rest));
                self.events
                    .insert(place, Passing::new(event, &mut Alike::default()));
                log.function_ran(link.id(), STREAM, Outcome::Changed);
                Ok(())
            }
            Err(error) => {
                let forgiven = forgive(link, error, log);
                if forgiven.is_err() {
                    self.events.truncate(place);
                }
                forgiven
            }
        }
    }

    /// Data that is no JSON object can be seen by no filter. It passes only by one that lets errors pass: nothing else
    /// may get round a filter (ruling R11).
    fn cut_at_opaque(&mut self, link: &Link) -> Result<()> {
        let is_opaque = |passing: &Passing| matches!(passing.sight, Sight::Opaque);
        let Some(at) = self.events.iter().position(is_opaque) else {
            return Ok(());
        };
        let id = link.id();
        if link.on_error() == Closing::Open {
            info!(function.id = %id, "an event is no JSON object, the stream filter does not see it");
            return Ok(());
        }
        self.events.truncate(at);
        let message = format!(
            "an event of the upstream is no JSON object, so that function `{id}` cannot see it"
        );
        Err(Error::new(Kind::UpstreamInvalid, message))
    }

    /// The events that filters see, with their places.
    fn visible(&self) -> (Vec<usize>, Vec<Bytes>) {
        let places = self.events.iter().enumerate();
        places
            .filter_map(|(place, passing)| Some((place, passing.data()?.bytes().clone())))
            .unzip()
    }

    /// Puts what a filter gave back in the place of what it was given.
    fn apply(&mut self, places: &[usize], events: Vec<Made>) -> Outcome {
        let mut outcome = Outcome::Passed;
        for (place, made) in places.iter().zip(events) {
            if self.events[*place].replace(made) {
                outcome = Outcome::Changed;
            }
        }
        outcome
    }
}

impl Passing {
    fn new(event: Event, alike: &mut Alike) -> Self {
        let sight = match &event.data {
            Some(data) if !event.is_done() && !data.is_empty() => {
                let is_object = data.first() == Some(&b'{');
                let tape = is_object.then(|| alike.parse(data.clone()).ok()).flatten();
                tape.map_or(Sight::Opaque, Sight::Object)
            }
            _ => Sight::Nothing,
        };
        Self {
            event,
            sight,
            is_changed: false,
        }
    }

    /// Whether it is the end marker.
    pub(super) fn is_done(&self) -> bool {
        self.event.is_done()
    }

    /// Its data as it stands, if filters see it.
    pub(super) fn data(&self) -> Option<&Tape> {
        match &self.sight {
            Sight::Object(data) => Some(data),
            _ => None,
        }
    }

    /// Its bytes for the client: as they came, unless a filter changed the data.
    pub(super) fn into_bytes(self) -> Bytes {
        match self.sight {
            Sight::Object(data) if self.is_changed => self.event.with_data(data.bytes()),
            _ => self.event.raw,
        }
    }

    /// Takes over what a filter made of it; whether that is something else.
    fn replace(&mut self, made: Made) -> bool {
        match made {
            Made::Same => return false,
            Made::Dropped => self.sight = Sight::Dropped,
            Made::Changed(event) => {
                self.sight = Sight::Object(event);
                self.is_changed = true;
            }
        }
        true
    }
}

/// Lets the events go on unchanged in spite of a failure, or not.
fn forgive(link: &Link, error: Error, log: &RequestLog) -> Result<()> {
    let id = link.id();
    log.function_ran(id, STREAM, failure::outcome(&error));
    if link.on_error() == Closing::Closed || error.kind() == Kind::FunctionRefused {
        return Err(error);
    }
    warn!(function.id = %id, %error, "stream filter failed, events go on unchanged");
    log.function_error(id);
    Ok(())
}
