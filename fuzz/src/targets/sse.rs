//! Streams of events: both readers, at every split, against a reader that sees the whole stream at once.

use bytes::Bytes;
use sluicegate::wire::json;
use sluicegate::wire::sse::{Decoder, Event, EventEnds, encode_data};

use super::splits;
use crate::oracles;

/// Reads `bytes` as a stream, and writes them as data.
pub fn check(bytes: &[u8]) {
    let expected: Vec<Vec<u8>> = oracles::events(bytes)
        .iter()
        .map(|data| data.join(&b'\n'))
        .collect();
    let parted = parted(bytes);
    let ends = ends_of(&[bytes]);
    for split in splits(bytes) {
        assert_eq!(
            data_of(&events(Decoder::new(), &split)),
            expected,
            "cut {:?}",
            lengths(&split)
        );
        assert_eq!(
            data_of(&events(Decoder::per_line(), &split)),
            parted,
            "cut {:?}",
            lengths(&split)
        );
        assert_eq!(ends_of(&split), ends, "cut {:?}", lengths(&split));
    }
    let whole: Vec<u8> = events(Decoder::new(), &[bytes])
        .iter()
        .flat_map(|event| event.raw.to_vec())
        .collect();
    assert_eq!(whole, bytes, "no byte is lost or added");
    let is_done = |line: &&[u8]| line.trim_ascii() == b"[DONE]";
    assert_eq!(ends.0, oracles::events(bytes).concat().iter().any(is_done));
    encode_and_decode(bytes);
}

/// The events as the lenient decoder is to see them: lines that are JSON each, but not together, are parted.
fn parted(bytes: &[u8]) -> Vec<Vec<u8>> {
    let is_value = |line: &&[u8]| line.trim_ascii() == b"[DONE]" || json::validate(line).is_ok();
    let mut parted = Vec::new();
    for lines in oracles::events(bytes) {
        let joined = lines.join(&b'\n');
        if lines.len() > 1 && json::validate(&joined).is_err() && lines.iter().all(is_value) {
            parted.extend(lines.iter().map(|line| line.to_vec()));
        } else {
            parted.push(joined);
        }
    }
    parted
}

fn events(mut decoder: Decoder, pieces: &[&[u8]]) -> Vec<Event> {
    let mut events = Vec::new();
    for piece in pieces {
        decoder
            .push(Bytes::copy_from_slice(piece))
            .expect("no input is as long");
        events.extend(std::iter::from_fn(|| decoder.next_event()));
    }
    events.extend(decoder.finish());
    events.extend(std::iter::from_fn(|| decoder.next_event()));
    events
}

fn data_of(events: &[Event]) -> Vec<Vec<u8>> {
    events
        .iter()
        .filter_map(|event| event.data.as_ref())
        .map(|data| data.to_vec())
        .collect()
}

/// What the reader that passes streams on says of one, which it must not change.
fn ends_of(pieces: &[&[u8]]) -> (bool, bool, Option<Bytes>) {
    let mut ends = EventEnds::new();
    let mut passed = Vec::new();
    for piece in pieces {
        let whole = ends
            .push(Bytes::copy_from_slice(piece))
            .expect("no input is as long");
        passed.extend_from_slice(&whole.unwrap_or_default());
    }
    passed.extend_from_slice(&ends.finish().unwrap_or_default());
    assert_eq!(passed, pieces.concat(), "no byte is lost or added");
    (ends.saw_done(), ends.saw_finish_reason(), ends.last_data())
}

/// Data comes back as it was, but for the kinds of its line ends, and is one event whatever is in it.
fn encode_and_decode(data: &[u8]) {
    let expected = vec![oracles::lines(data).join(&b'\n')];
    let encoded = encode_data(data);
    if !data.is_empty() {
        assert_eq!(data_of(&events(Decoder::new(), &[&encoded])), expected);
    }
    for event in events(Decoder::new(), &[data]) {
        let changed = Event::parse(event.with_data(b"{\"new\":1}"));
        assert_eq!(changed.data.as_deref(), Some(&b"{\"new\":1}"[..]));
        assert_eq!(
            oracles::lines(&changed.raw)
                .iter()
                .filter(|line| line.is_empty())
                .count(),
            1,
            "one event"
        );
    }
}

fn lengths(pieces: &[&[u8]]) -> Vec<usize> {
    pieces.iter().map(|piece| piece.len()).collect()
}
