//! What a worker says of the functions of a series that are done.

use bytes::Bytes;

use super::{Passed, Step};
use crate::host::hook::StreamResult;
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
        // Around a body is one level of ours, around an event are two.
        let members = Document::parse_around(described, 2).ok()?;
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

    /// The same for batches of events, up to one that is not as long as what the function was given; and the events that
    /// are left.
    pub(super) fn batches(&self, events: &[Bytes]) -> (Vec<Step<StreamResult>>, Vec<Bytes>) {
        let mut left = events.to_vec();
        let mut steps = Vec::with_capacity(self.count());
        for place in 0..self.count() {
            let result = match self.member("events", place) {
                Some(events) => StreamResult::of_list(Some(events), &left, None),
                None => StreamResult::unchanged(left.len()),
            };
            let made = result.events.iter().zip(&left);
            left = made.filter_map(|(it, was)| it.text(was).cloned()).collect();
            let is_garbled = result.failure.is_some();
            steps.push(Step { place, result });
            if is_garbled {
                break;
            }
        }
        (steps, left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(described: &'static str, most: usize) -> Option<Done> {
        Done::read(Bytes::from_static(described.as_bytes()), most)
    }

    #[test]
    fn what_was_left_out_is_what_was_given() {
        let told = r#"{"seconds":[0.1,0.2,0.3],"body.1":{"n":1},"metadata.0":{"m":0}}"#;
        let (body, metadata) = (Bytes::from_static(b"{}"), Bytes::from_static(b"[]"));
        let told = done(told, 3).unwrap();
        let made = |observe| -> Vec<_> {
            let steps = told.bodies(&body, &metadata, observe).into_iter();
            steps.map(|step| step.result.unwrap().0).collect()
        };
        assert_eq!(made(false), ["{}", r#"{"n":1}"#, r#"{"n":1}"#]);
        assert_eq!(made(true), ["{}", r#"{"n":1}"#, "{}"]);
        let steps = told.bodies(&body, &metadata, false);
        assert!(
            steps
                .into_iter()
                .all(|step| step.result.unwrap().1 == r#"{"m":0}"#)
        );
    }

    #[test]
    fn a_batch_of_another_length_is_no_answer() {
        let told = r#"{"seconds":[0,0,0],"events.0":[null,{}],"events.1":[{},{}]}"#;
        let events = [Bytes::from_static(b"{}"), Bytes::from_static(b"{}")];
        let (steps, _) = done(told, 3).unwrap().batches(&events);
        assert_eq!(steps.len(), 2);
        assert!(steps[0].result.failure.is_none() && steps[1].result.failure.is_some());
    }

    #[test]
    fn no_more_are_done_than_were_called() {
        assert_eq!(done(r#"{"seconds":[1,2,3,4]}"#, 3).unwrap().count(), 3);
        for garbled in ["", "{}", r#"{"seconds":1}"#, r#"{"seconds":["x"]}"#] {
            assert!(done(garbled, 3).is_none(), "{garbled}");
        }
    }
}
