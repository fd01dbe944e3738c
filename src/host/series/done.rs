//! What a worker says of the functions of a series that are done.

use bytes::Bytes;

use super::{Passed, Step};
use crate::host::session::StreamResult;
use crate::wire::json::Document;

/// What the functions made that are done.
#[derive(Default)]
pub(super) struct Done {
    seconds: Vec<f64>,
    members: Option<Document>,
}

impl Done {
    /// Reads what a worker says of at most so many functions.
    pub(super) fn read(described: Bytes, most: usize) -> Option<Self> {
        let members = Document::parse(described).ok()?;
        let mut seconds: Vec<f64> = serde_json::from_slice(&members.raw("seconds")?).ok()?;
        seconds.truncate(most);
        Some(Self {
            seconds,
            members: Some(members),
        })
    }

    /// How many functions these are.
    pub(super) fn count(&self) -> usize {
        self.seconds.len()
    }

    /// How long each took.
    pub(super) fn seconds(&self) -> &[f64] {
        &self.seconds
    }

    /// The events that the function behind these had finished when it failed.
    pub(super) fn unfinished(&self) -> Option<Bytes> {
        self.members.as_ref()?.raw("events")
    }

    fn member(&self, name: &str, place: usize) -> Option<Bytes> {
        self.members.as_ref()?.raw(&format!("{name}.{place}"))
    }

    /// What each made of `body` and `metadata`; all were given that very body if they `observe`.
    pub(super) fn bodies(
        &self,
        body: &Bytes,
        metadata: &Bytes,
        observe: bool,
    ) -> Vec<Step<Passed>> {
        let (mut body, mut metadata) = (body.clone(), metadata.clone());
        let step = |place| {
            let given = body.clone();
            let made = self.member("body", place).unwrap_or(given);
            if let Some(changed) = self.member("metadata", place) {
                metadata = changed;
            }
            if !observe {
                body = made.clone();
            }
            Step {
                place,
                result: Ok((made, metadata.clone())),
            }
        };
        (0..self.count()).map(step).collect()
    }

    /// The same for batches of events, up to one that is not as long as what the function was given.
    pub(super) fn batches(&self, events: &[Bytes]) -> Vec<Step<StreamResult>> {
        let mut left = events.to_vec();
        let mut steps = Vec::with_capacity(self.count());
        for place in 0..self.count() {
            let result = match self.member("events", place) {
                Some(events) => StreamResult::read(Some(events), left.len(), None),
                None => StreamResult::unchanged(&left),
            };
            left = result.events.iter().flatten().cloned().collect();
            let is_garbled = result.failure.is_some();
            steps.push(Step { place, result });
            if is_garbled {
                break;
            }
        }
        steps
    }
}
