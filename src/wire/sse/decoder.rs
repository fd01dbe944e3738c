//! Hands out a stream event by event.

use std::collections::VecDeque;
use std::fmt;

use bytes::{Bytes, BytesMut};

use super::carry::Carry;
use super::lines::{Line, Lines};
use super::{Event, EventTooLong, is_done};
use crate::wire::json;

/// Splits a stream into its events. The bytes of all events joined are the stream, but where
/// [`Decoder::per_line`] has parted events that were one.
#[derive(Default)]
pub struct Decoder {
    carry: Carry,
    whole: Bytes,
    parted: VecDeque<Event>,
    per_line: bool,
    started: bool,
}

impl Decoder {
    /// A decoder that goes by the standard: an event ends at a blank line and nowhere else.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder that also parts events between which the blank line was forgotten: several data
    /// lines that make no JSON together, but each of which is JSON, are an event each.
    #[must_use]
    pub fn per_line() -> Self {
        Self {
            per_line: true,
            ..Self::default()
        }
    }

    /// Takes the next piece of the stream.
    ///
    /// # Errors
    ///
    /// [`EventTooLong`] once an event has grown beyond the limit.
    pub fn push(&mut self, chunk: Bytes) -> Result<(), EventTooLong> {
        if let Some(events) = self.carry.push(chunk)? {
            self.append(events);
        }
        Ok(())
    }

    /// The next event that is complete. Blank lines beyond those that end events come as an event
    /// without data.
    pub fn next_event(&mut self) -> Option<Event> {
        if let Some(event) = self.parted.pop_front() {
            return Some(event);
        }
        if self.whole.is_empty() {
            return None;
        }
        let raw = self.whole.split_to(first_event_length(&self.whole));
        self.first_part(raw)
    }

    /// What is left of an unfinished event at the end of the stream, as if it had ended. To be
    /// called when [`Decoder::next_event`] has nothing more; if the rest was parted, it has again.
    pub fn finish(&mut self) -> Option<Event> {
        let rest = self.carry.finish()?;
        self.first_part(rest)
    }

    fn first_part(&mut self, raw: Bytes) -> Option<Event> {
        let event = self.parse(raw);
        match self.part(&event) {
            Some(parts) => {
                self.parted = parts;
                self.parted.pop_front()
            }
            None => Some(event),
        }
    }

    fn append(&mut self, events: Bytes) {
        if self.whole.is_empty() {
            self.whole = events;
            return;
        }
        let mut joined = BytesMut::from(self.whole.as_ref());
        joined.extend_from_slice(&events);
        self.whole = joined.freeze();
    }

    fn parse(&mut self, raw: Bytes) -> Event {
        if std::mem::replace(&mut self.started, true) {
            return Event::parse(raw);
        }
        Event::parse_first(raw)
    }

    fn part(&self, event: &Event) -> Option<VecDeque<Event>> {
        if !self.per_line {
            return None;
        }
        let data = event.data.as_deref()?;
        let several = memchr::memchr(b'\n', data).is_some();
        if !several || json::validate(data).is_ok() || !each_line_is_json(event) {
            return None;
        }
        Some(parts_of(event))
    }
}

/// The length of the first event, or of the blank lines that stand before it.
fn first_event_length(bytes: &[u8]) -> usize {
    let mut lines = Lines::new(bytes).peekable();
    if lines.peek().is_some_and(Line::is_blank) {
        let blank = lines.take_while(Line::is_blank);
        return blank.last().map_or(bytes.len(), |line| line.end);
    }
    lines
        .find(Line::is_blank)
        .map_or(bytes.len(), |line| line.end)
}

fn each_line_is_json(event: &Event) -> bool {
    let mut values = event.lines().filter_map(|line| line.data(&event.raw));
    values.all(|value| is_done(value) || json::validate(value).is_ok())
}

/// One event for each data line, with the other lines before it; the last takes what follows.
fn parts_of(event: &Event) -> VecDeque<Event> {
    let raw = &event.raw;
    let is_data = |line: &Line| line.data(raw).is_some();
    let count = event.lines().filter(is_data).count();
    let mut start = event.lines().next().map_or(0, |line| line.range.start);
    let mut parts = VecDeque::with_capacity(count);
    for line in event.lines().filter(is_data).take(count.saturating_sub(1)) {
        // The line's end once more is the blank line that was forgotten.
        let part = [&raw[start..line.end], &raw[line.range.end..line.end]].concat();
        parts.push_back(Event::parse(Bytes::from(part)));
        start = line.end;
    }
    parts.push_back(Event::parse(raw.slice(start..)));
    parts
}

/// Without the events, which are somebody's answer.
impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decoder({} bytes ready)", self.whole.len())
    }
}
