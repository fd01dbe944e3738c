//! The hooks of filters, and what they make of what they are given.

use bytes::Bytes;
use frames::{Handler, texts};

use super::failure::Failure;
use crate::wire::json::{Alike, Tape, elements_around};

/// A hook that takes a body and gives one back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// On the request, first.
    Inlet,
    /// On the request, last.
    Request,
    /// On the answer.
    Outlet,
}

impl Hook {
    /// The handler's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inlet => "inlet",
            Self::Request => "request",
            Self::Outlet => "outlet",
        }
    }

    pub(super) fn handler(self) -> Handler {
        match self {
            Self::Inlet => Handler::Inlet,
            Self::Request => Handler::Request,
            Self::Outlet => Handler::Outlet,
        }
    }
}

/// What a `stream` hook made of a batch of events.
#[derive(Debug)]
pub struct StreamResult {
    /// What became of the events, in order. Shorter than the batch if it failed midway.
    pub events: Vec<Made>,
    /// Why it stopped.
    pub failure: Option<Failure>,
}

/// What became of an event.
#[derive(Debug)]
pub enum Made {
    /// It stays as it was.
    Same,
    /// There is another in its place.
    Changed(Tape),
    /// There is none any more.
    Dropped,
}

impl StreamResult {
    /// Reads what a worker answered to the events that it was `given`, which is probably `alike`.
    pub(super) fn of_reply(reply: &Bytes, given: &[Bytes], alike: &mut Alike) -> Self {
        let places = texts::places(reply).filter(|places| places.len() == given.len());
        let made = places.and_then(|places| {
            let made = places.into_iter().map(|place| reply.slice(place));
            let made = made.zip(given).map(|(it, was)| Made::of(it, was, alike));
            made.collect()
        });
        made.map_or_else(|| Self::failed(Failure::Garbled), Self::whole)
    }

    /// Reads a list of what became of the first of the events that were `given`, before `failure` if there is one.
    pub(super) fn of_list(
        events: Option<Bytes>,
        given: &[Bytes],
        failure: Option<Failure>,
    ) -> Self {
        let done = events.and_then(|events| elements_around(&events, 1).ok());
        let done = done.unwrap_or_default();
        let is_long = done.len() > given.len();
        let mut alike = Alike::default();
        let made = done.into_iter().zip(given).map(|(event, was)| match event {
            null if null == "null" => Some(Made::Dropped),
            event => Made::of(event, was, &mut alike),
        });
        let events: Vec<_> = made.map_while(|made| made).collect();
        let is_garbled = is_long || events.len() < given.len();
        Self {
            events,
            failure: failure.or(is_garbled.then_some(Failure::Garbled)),
        }
    }

    /// No events, because none could be passed on.
    #[must_use]
    pub fn failed(failure: Failure) -> Self {
        Self {
            events: Vec::new(),
            failure: Some(failure),
        }
    }

    /// All events as they were.
    pub(super) fn unchanged(count: usize) -> Self {
        Self::whole((0..count).map(|_| Made::Same).collect())
    }

    fn whole(events: Vec<Made>) -> Self {
        Self {
            events,
            failure: None,
        }
    }
}

impl Made {
    /// Reads what became of an event; `None` if it is no event.
    fn of(text: Bytes, given: &Bytes, alike: &mut Alike) -> Option<Self> {
        match text.first() {
            None => Some(Self::Dropped),
            // It has been checked before.
            Some(_) if text == *given => Some(Self::Same),
            Some(b'{') => alike.parse(text).ok().map(Self::Changed),
            Some(_) => None,
        }
    }

    /// The event as it is now, if there is one.
    #[must_use]
    pub fn text<'a>(&'a self, given: &'a Bytes) -> Option<&'a Bytes> {
        match self {
            Self::Same => Some(given),
            Self::Changed(tape) => Some(tape.bytes()),
            Self::Dropped => None,
        }
    }
}

/// The word for a handler.
pub(super) fn name_of(handler: Handler) -> &'static str {
    match handler {
        Handler::Inlet => "inlet",
        Handler::Request => "request",
        Handler::Stream => "stream",
        Handler::Outlet => "outlet",
        Handler::Pipe => "pipe",
        Handler::Action => "action",
        Handler::Tool => "tool",
        Handler::Pipes | Handler::CheckValves | Handler::ValvesSpec => "about",
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    /// What became of two events: `=` is the same, `-` none, and whether there is a failure.
    fn told(result: &StreamResult) -> (Vec<&str>, bool) {
        let events = result.events.iter().map(|made| match made {
            Made::Same => "=",
            Made::Dropped => "-",
            Made::Changed(event) => str::from_utf8(event.bytes()).unwrap(),
        });
        (events.collect(), result.failure.is_some())
    }

    const GIVEN: [Bytes; 2] = [
        Bytes::from_static(br#"{"a":1}"#),
        Bytes::from_static(br#"{"a":2}"#),
    ];

    fn reply(texts: &[&str]) -> StreamResult {
        let mut payload = BytesMut::new();
        for text in texts {
            texts::add(&mut payload, text.as_bytes());
        }
        StreamResult::of_reply(&payload.freeze(), &GIVEN, &mut Alike::default())
    }

    fn list(json: &'static str, failure: Option<Failure>) -> StreamResult {
        StreamResult::of_list(Some(Bytes::from_static(json.as_bytes())), &GIVEN, failure)
    }

    #[test]
    fn what_was_made_of_events_is_told_from_what_they_were() {
        let expected = (vec!["=", r#"{"b":2}"#], false);
        assert_eq!(told(&reply(&[r#"{"a":1}"#, r#"{"b":2}"#])), expected);
        assert_eq!(told(&list(r#"[{"a":1},{"b":2}]"#, None)), expected);
        assert_eq!(told(&reply(&["", r#"{"a":2}"#])), (vec!["-", "="], false));
        assert_eq!(
            told(&list(r#"[null,{"a":2}]"#, None)),
            (vec!["-", "="], false)
        );
        let failed = list(r#"[{"b":1}]"#, Some(Failure::Crashed));
        assert_eq!(told(&failed), (vec![r#"{"b":1}"#], true));
    }

    #[test]
    fn no_event_is_left_alone_by_an_answer_that_makes_no_sense() {
        for texts in [
            &[r#"{"a":1}"#][..],
            &["", "", ""],
            &["5", ""],
            &["", "{\"a\":"],
            &["null", "{}"],
        ] {
            assert_eq!(told(&reply(texts)), (vec![], true), "{texts:?}");
        }
        for json in ["[]", "5", "[5,{}]", "{}", r#"["",{}]"#] {
            assert_eq!(told(&list(json, None)), (vec![], true), "{json}");
        }
        assert!(told(&list("[null,null,null]", None)).1);
        assert_eq!(told(&list("[null,true]", None)), (vec!["-"], true));
    }
}
