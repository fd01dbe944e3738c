//! `redact`: takes mail addresses, phone and card numbers out of questions and answers, as `filters/redact.py` does.

mod classes;
mod patterns;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::fields::{Field, Mistake, PRIORITY_FIELD, Shape, Values};
use super::message::{self, Roles};
use super::streamed::Answers;
use super::text::{Finder, Match};
use super::{Asker, Changed, Events, Filter, Kind, Refusal};
use crate::wire::json::{Document, Kind as JsonKind, Splices};

const MAIL: &str = "mail";
const CARD: &str = "card";
const PHONE: &str = "phone";

/// What stands for the kind in a marker.
const KIND_MARK: &str = "{kind}";

pub(super) static KIND: Kind = Kind {
    name: "redact",
    about: "Takes mail addresses, phone and card numbers out of questions and answers.",
    handlers: &["inlet", "outlet", "stream"],
    valves: &[
        PRIORITY_FIELD,
        flag(MAIL, "Look for mail addresses."),
        flag(PHONE, "Look for phone numbers."),
        flag(CARD, "Look for payment card numbers."),
        Field {
            name: "replacement",
            about: "Marker; {kind} is the kind.",
            shape: Shape::Text("[{kind}]"),
        },
        flag("requests", "Treat what goes to the model."),
        flag("answers", "Treat what comes from the model."),
        Field {
            name: "roles",
            about: "Whose messages to treat, by commas.",
            shape: Shape::Text("user"),
        },
    ],
    user_valves: &[],
    build,
};

const fn flag(name: &'static str, about: &'static str) -> Field {
    Field {
        name,
        about,
        shape: Shape::Flag(true),
    }
}

fn build(values: &Values) -> Result<Arc<dyn Filter>, Mistake> {
    let replacement = values.text("replacement");
    let marker = |kind: &str| {
        let is_wanted = values.flag(kind);
        is_wanted.then(|| replacement.replace(KIND_MARK, kind))
    };
    Ok(Arc::new(Redact {
        finder: Arc::new(Shapes {
            mail: marker(MAIL),
            card: marker(CARD),
            phone: marker(PHONE),
        }),
        requests: values.flag("requests"),
        answers: values.flag("answers"),
        roles: Roles::new(values.list("roles")),
    }))
}

/// The filter.
#[derive(Debug)]
struct Redact {
    finder: Arc<Shapes>,
    requests: bool,
    answers: bool,
    roles: Roles,
}

impl Filter for Redact {
    fn handles(&self, handler: &str) -> bool {
        match handler {
            "inlet" => self.requests || self.answers,
            "stream" | "outlet" => self.answers,
            _ => false,
        }
    }

    fn inlet(&self, body: &Document, _asker: &Asker<'_>) -> Changed {
        let mut edit = body.edit();
        if self.requests {
            message::rewrite_all(&*self.finder, &self.roles, body, edit.splices())?;
        }
        for key in self.unasked(body) {
            if body.kind(key).is_some() {
                edit.remove(key);
            }
        }
        Ok(edit.changed())
    }

    fn outlet(&self, message: &Document) -> Changed {
        let mut splices = Splices::default();
        message::rewrite(&*self.finder, message.root(), &mut splices)?;
        Ok(splices.applied(message.bytes()))
    }

    fn stream(&self) -> Option<Box<dyn Events>> {
        let finder = Arc::clone(&self.finder);
        self.answers
            .then(|| Box::new(Answers::new(finder)) as Box<dyn Events>)
    }
}

impl Redact {
    /// What a model server must not be asked for: token probabilities spell the answer out, and, as in Python, whole
    /// answers are asked for singly.
    fn unasked(&self, body: &Document) -> &'static [&'static str] {
        let is_streamed = match body.kind("stream") {
            None | Some(JsonKind::Null) => false,
            Some(_) => body.boolean("stream").unwrap_or(true),
        };
        match (self.answers, is_streamed) {
            (false, _) => &[],
            (true, true) => &["logprobs", "top_logprobs"],
            (true, false) => &["logprobs", "top_logprobs", "n"],
        }
    }
}

/// Finds addresses and numbers, each kind with the marker that stands for it, if it is looked for.
#[derive(Debug)]
pub(super) struct Shapes {
    mail: Option<String>,
    card: Option<String>,
    phone: Option<String>,
}

impl Finder for Shapes {
    fn scan(&self, text: &str, start: usize, is_last: bool) -> (Vec<Match>, usize) {
        let mut search = Search::new(self, text, start);
        let mut found = Vec::new();
        let mut start = start;
        let mut decided = self.decided(text, start, is_last);
        loop {
            if decided < start {
                decided = self.decided(text, start, is_last);
            }
            match search.next(start) {
                Some(next) if next.range.start < decided => {
                    start = next.range.end;
                    found.push(next);
                }
                _ => return (found, decided),
            }
        }
    }

    fn replacement(&self, found: &Match) -> Result<Cow<'_, str>, Refusal> {
        let marker = match found.what {
            MAIL => &self.mail,
            CARD => &self.card,
            _ => &self.phone,
        };
        Ok(Cow::Borrowed(marker.as_deref().unwrap_or_default()))
    }
}

impl Shapes {
    fn looks_for_numbers(&self) -> bool {
        self.card.is_some() || self.phone.is_some()
    }

    /// Where the text begins that may still become part of a match.
    fn decided(&self, text: &str, start: usize, is_last: bool) -> usize {
        if is_last {
            return text.len();
        }
        let mail = self
            .mail
            .as_ref()
            .and_then(|_| patterns::open_mail(text, start));
        let number = self
            .looks_for_numbers()
            .then(|| patterns::open_number(text, start))
            .flatten();
        let openings = mail.into_iter().chain(number);
        openings.min().unwrap_or(text.len())
    }

    /// The first number of a kind that is looked for and begins at `start` or later.
    fn next_number(&self, text: &str, start: usize) -> Option<Match> {
        let mut from = start;
        while let Some(place) = patterns::next_beginning(text, from) {
            let card = || {
                self.card
                    .as_ref()
                    .and_then(|_| patterns::card_end(text, place))
            };
            let phone = || {
                self.phone
                    .as_ref()
                    .and_then(|_| patterns::phone_end(text, place))
            };
            if let Some(end) = card() {
                return Some(matched(place..end, CARD));
            }
            if let Some(end) = phone() {
                return Some(matched(place..end, PHONE));
            }
            from = place + 1;
        }
        None
    }
}

fn matched(range: Range<usize>, what: &'static str) -> Match {
    Match { range, what }
}

/// A search through one text, which looks at no part of it twice for the same.
struct Search<'a> {
    shapes: &'a Shapes,
    text: &'a str,
    mail: Option<Match>,
    number: Option<Match>,
}

impl<'a> Search<'a> {
    fn new(shapes: &'a Shapes, text: &'a str, start: usize) -> Self {
        let mut search = Self {
            shapes,
            text,
            mail: None,
            number: None,
        };
        search.find_mail(start);
        search.find_number(start);
        search
    }

    /// The first match that begins at `start` or later; of two at one place the address. `start` only grows.
    fn next(&mut self, start: usize) -> Option<Match> {
        let is_past = |found: &Option<Match>| {
            found
                .as_ref()
                .is_some_and(|found| found.range.start < start)
        };
        if is_past(&self.mail) {
            self.find_mail(start);
        }
        if is_past(&self.number) {
            self.find_number(start);
        }
        let found = self.mail.iter().chain(&self.number);
        found.min_by_key(|found| found.range.start).cloned()
    }

    fn find_mail(&mut self, start: usize) {
        let wanted = self.shapes.mail.as_ref();
        let found = wanted.and_then(|_| patterns::next_mail(self.text, start));
        self.mail = found.map(|range| matched(range, MAIL));
    }

    fn find_number(&mut self, start: usize) {
        let wanted = self.shapes.looks_for_numbers();
        self.number = wanted
            .then(|| self.shapes.next_number(self.text, start))
            .flatten();
    }
}

/// All kinds, for tests.
#[cfg(test)]
pub(super) fn shapes(replacement: &str) -> Shapes {
    let marker = |kind: &str| Some(replacement.replace(KIND_MARK, kind));
    Shapes {
        mail: marker(MAIL),
        card: marker(CARD),
        phone: marker(PHONE),
    }
}

/// The first number from `start` on, as filters find it.
#[cfg(test)]
pub(super) fn next_number(shapes: &Shapes, text: &str, start: usize) -> Option<Match> {
    shapes.next_number(text, start)
}

/// The same by asking at every place.
#[cfg(test)]
pub(super) fn number_at_any_place(text: &str, start: usize) -> Option<Match> {
    let places = text[start..]
        .char_indices()
        .map(|(offset, _)| start + offset);
    let mut found = places.filter_map(|place| {
        let card = patterns::card_end(text, place).map(|end| matched(place..end, CARD));
        card.or_else(|| patterns::phone_end(text, place).map(|end| matched(place..end, PHONE)))
    });
    found.next()
}
