//! Streams cut at every byte, which must read like streams that came at once.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn vectors() -> Vec<(PathBuf, Bytes)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/sse");
    let paths = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let inputs = paths.filter(|path| path.extension().is_some_and(|end| end == "in"));
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        (path, Bytes::from(bytes))
    };
    inputs.map(read).collect()
}

/// What both readers make of a stream that comes in `pieces`, in the form of the `.out` files.
fn read(pieces: &[Bytes]) -> String {
    let mut text = read_events(pieces);
    text += &read_ends(pieces);
    text
}

fn read_events(pieces: &[Bytes]) -> String {
    let mut text = String::new();
    let mut joined = Vec::new();
    let mut decoder = Decoder::new();
    for piece in pieces {
        decoder.push(piece.clone()).unwrap();
        while let Some(event) = decoder.next_event() {
            joined.extend_from_slice(&event.raw);
            describe(&mut text, "event", &event);
        }
    }
    if let Some(rest) = decoder.finish() {
        joined.extend_from_slice(&rest.raw);
        describe(&mut text, "unfinished", &rest);
    }
    assert_eq!(joined, pieces.concat(), "no byte is lost or added");
    text
}

fn describe(text: &mut String, what: &str, event: &Event) {
    if event.is_done() {
        *text += &format!("{what} done\n");
    } else if let Some(data) = &event.data {
        *text += &format!("{what} {}\n", data.escape_ascii());
    }
}

fn read_ends(pieces: &[Bytes]) -> String {
    let mut ends = EventEnds::new();
    let mut joined = Vec::new();
    for piece in pieces {
        joined.extend_from_slice(&ends.push(piece.clone()).unwrap().unwrap_or_default());
    }
    joined.extend_from_slice(&ends.finish().unwrap_or_default());
    assert_eq!(joined, pieces.concat(), "no byte is lost or added");
    let last = ends.last_data().unwrap_or_default();
    let (done, reason) = (ends.saw_done(), ends.saw_finish_reason());
    format!(
        "done {done}, finish_reason {reason}, last {}\n",
        last.escape_ascii()
    )
}

#[test]
fn vectors_read_alike_however_they_are_cut() {
    let vectors = vectors();
    assert!(vectors.len() >= 40, "the vectors are in place");
    for (path, stream) in vectors {
        let expected = fs::read_to_string(path.with_extension("out")).unwrap();
        assert_eq!(
            read(std::slice::from_ref(&stream)),
            expected,
            "{}",
            path.display()
        );
        for cut in 0..=stream.len() {
            let pieces = [stream.slice(..cut), stream.slice(cut..)];
            assert_eq!(read(&pieces), expected, "{} cut at {cut}", path.display());
        }
        let bytes: Vec<Bytes> = (0..stream.len()).map(|at| stream.slice(at..=at)).collect();
        assert_eq!(read(&bytes), expected, "{} byte by byte", path.display());
    }
}

#[test]
fn short_vectors_read_alike_cut_at_every_pair_of_bytes() {
    for (path, stream) in vectors()
        .into_iter()
        .filter(|(_, stream)| stream.len() <= 80)
    {
        let expected = fs::read_to_string(path.with_extension("out")).unwrap();
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let pieces = [
                    stream.slice(..first),
                    stream.slice(first..second),
                    stream.slice(second..),
                ];
                assert_eq!(
                    read(&pieces),
                    expected,
                    "{} cut at {first}, {second}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn every_mix_of_line_ends_reads_like_line_feeds() {
    for first in ["\n", "\r", "\r\n"] {
        for second in ["\n", "\r", "\r\n"] {
            // CR and LF together would be one end and not two.
            if (first, second) == ("\r", "\n") {
                continue;
            }
            let stream = Bytes::from(format!("data: a{first}{second}data: b{second}{second}"));
            let expected = "event a\nevent b\ndone false, finish_reason false, last b\n";
            for cut in 0..=stream.len() {
                let pieces = [stream.slice(..cut), stream.slice(cut..)];
                assert_eq!(read(&pieces), expected, "{stream:?} cut at {cut}");
            }
        }
    }
}

#[test]
fn whole_events_pass_without_a_copy() {
    let chunk = Bytes::from(b"data: a\n\ndata: b\n\nda".to_vec());
    let mut ends = EventEnds::new();
    let passed = ends.push(chunk.clone()).unwrap().unwrap();
    assert_eq!(passed, "data: a\n\ndata: b\n\n");
    assert_eq!(passed.as_ptr(), chunk.as_ptr());
    assert_eq!(ends.push(Bytes::from_static(b"ta: c\n")).unwrap(), None);
    let joined = ends.push(Bytes::from_static(b"\n")).unwrap();
    assert_eq!(joined.unwrap(), "data: c\n\n");
    assert_eq!(ends.finish(), None);
}

#[test]
fn half_an_event_is_never_let_out() {
    let stream = Bytes::from_static(b": hi\r\ndata: {\"a\":1}\r\nid: 7\r\n\r\n");
    for cut in 0..stream.len() - 1 {
        let mut ends = EventEnds::new();
        assert_eq!(
            ends.push(stream.slice(..cut)).unwrap(),
            None,
            "cut at {cut}"
        );
        assert_eq!(ends.finish().unwrap_or_default(), stream.slice(..cut));
    }
}

#[test]
fn a_carriage_return_ends_an_event_at_once() {
    let mut ends = EventEnds::new();
    let passed = ends.push(Bytes::from_static(b"data: a\r\r")).unwrap();
    assert_eq!(passed.unwrap(), "data: a\r\r");
    let late = ends.push(Bytes::from_static(b"\n")).unwrap();
    assert_eq!(late.unwrap(), "\n");
}

#[test]
fn an_event_beyond_the_limit_is_refused() {
    let megabyte = Bytes::from(vec![b'x'; 1 << 20]);
    let mut ends = EventEnds::new();
    let mut decoder = Decoder::new();
    for _ in 0..8 {
        assert_eq!(ends.push(megabyte.clone()), Ok(None));
        assert_eq!(decoder.push(megabyte.clone()), Ok(()));
    }
    assert_eq!(ends.push(Bytes::from_static(b"x")), Err(EventTooLong));
    assert_eq!(decoder.push(Bytes::from_static(b"x")), Err(EventTooLong));
}

#[test]
fn the_limit_is_for_one_event_and_not_for_a_stream() {
    let chunk = Bytes::from([vec![b'x'; 3 << 20], b"\n\n".to_vec()].concat());
    let mut ends = EventEnds::new();
    for _ in 0..4 {
        assert_eq!(ends.push(chunk.clone()), Ok(Some(chunk.clone())));
    }
}

#[test]
fn one_data_line_is_read_without_a_copy() {
    let raw = Bytes::from(b"id: 1\ndata: {}\n\n".to_vec());
    let event = Event::parse(raw.clone());
    assert_eq!(event.data.unwrap().as_ptr(), raw[12..].as_ptr());
}

#[test]
fn with_data_keeps_the_other_fields() {
    let with =
        |raw: &'static str| Event::parse(Bytes::from_static(raw.as_bytes())).with_data(b"NEW");
    assert_eq!(with("data: old\n\n"), "data: NEW\n\n");
    assert_eq!(
        with(": note\r\nevent: message\r\ndata:old\r\nid: 1\r\nretry: 3\r\n\r\n"),
        ": note\nevent: message\ndata: NEW\nid: 1\nretry: 3\n\n"
    );
    assert_eq!(with("data: {\ndata: }\nid: 1\n\n"), "data: NEW\nid: 1\n\n");
    assert_eq!(with("event: x\n\n"), "event: x\ndata: NEW\n\n");
    assert_eq!(with("data: cut off"), "data: NEW\n\n");
}

#[test]
fn with_data_drops_the_byte_order_mark() {
    let mut decoder = Decoder::new();
    decoder
        .push(Bytes::from_static(b"\xEF\xBB\xBFdata: old\n\n"))
        .unwrap();
    assert_eq!(
        decoder.next_event().unwrap().with_data(b"NEW"),
        "data: NEW\n\n"
    );
}

#[test]
fn data_with_line_ends_cannot_forge_an_event() {
    assert_eq!(encode_data(b"{}"), "data: {}\n\n");
    assert_eq!(encode_data(b""), "data: \n\n");
    let encoded = encode_data(b"a\n\ndata: [DONE]\r\rb");
    assert_eq!(
        encoded,
        "data: a\ndata: \ndata: data: [DONE]\ndata: \ndata: b\n\n"
    );
    let mut decoder = Decoder::new();
    decoder.push(encoded).unwrap();
    assert_eq!(
        decoder.next_event().unwrap().data.unwrap(),
        "a\n\ndata: [DONE]\n\nb"
    );
    assert_eq!(decoder.next_event(), None);
}

fn per_line(stream: &'static str) -> Vec<Bytes> {
    let mut decoder = Decoder::per_line();
    decoder.push(Bytes::from_static(stream.as_bytes())).unwrap();
    std::iter::from_fn(|| decoder.next_event())
        .map(|event| event.raw)
        .collect()
}

#[test]
fn events_without_a_blank_line_between_are_parted() {
    assert_eq!(
        per_line("no field\ndata: {\"a\":2}\nid: 1\ndata: {\"a\":3}\ndata: [DONE]\nid: 2\n\n"),
        [
            "no field\ndata: {\"a\":2}\n\n",
            "id: 1\ndata: {\"a\":3}\n\n",
            "data: [DONE]\nid: 2\n\n"
        ]
    );
    assert_eq!(
        per_line("data: 1\rdata: 2\r\r"),
        ["data: 1\r\r", "data: 2\r\r"]
    );
}

#[test]
fn what_is_unfinished_is_parted_too() {
    let mut decoder = Decoder::per_line();
    decoder
        .push(Bytes::from_static(b"data: 1\ndata: 2\ndata: [DONE]"))
        .unwrap();
    assert_eq!(decoder.next_event(), None);
    assert_eq!(decoder.finish().unwrap().raw, "data: 1\n\n");
    assert_eq!(decoder.next_event().unwrap().raw, "data: 2\n\n");
    assert!(decoder.next_event().unwrap().is_done());
    assert_eq!(decoder.next_event(), None);
}

#[test]
fn data_that_is_json_only_together_stays_one_event() {
    let pretty = "data: {\ndata:  \"a\": 1\ndata: }\n\n";
    assert_eq!(per_line(pretty), [pretty]);
    let numbers = "data: [1,\ndata: 2\ndata: ]\n\n";
    assert_eq!(per_line(numbers), [numbers]);
    let garbage = "data: {\"a\":1}\ndata: {\"b\n\n";
    assert_eq!(per_line(garbage), [garbage]);
}
