//! U08: answers that break off, at every byte.

use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;

use crate::faults::rig::{Random, Rig};
use crate::support::{
    FakeUpstream, Script, Step, TestGateway, answer_of, event, events_of, head_of_stream, source,
    streamed_chat, tail_of_stream,
};

/// A recorded answer with letters of two and more bytes, tool calls and usage, in uneven pieces.
pub(super) fn recorded_stream() -> Vec<u8> {
    let events = events_of(&["Gr\u{fc}\u{df}e", " \u{1f30d}", " \\u00e9 \"quoted\"\n"]);
    let Step::Send(head) = head_of_stream() else {
        unreachable!("heads are sent")
    };
    let mut bytes = head;
    let all = events.concat();
    for piece in all.chunks(37) {
        let Step::Send(piece) = event(piece) else {
            unreachable!("events are sent")
        };
        bytes.extend(piece);
    }
    let Step::Send(tail) = tail_of_stream() else {
        unreachable!("tails are sent")
    };
    [bytes, tail].concat()
}

/// Where the last byte of the end marker stands in such an answer: before it the answer is not whole.
pub(super) fn end_marker_at(bytes: &[u8]) -> usize {
    let mut at = bytes.len();
    // The closing of the last chunk and of the framing come after it.
    while !bytes[..at].ends_with(b"\n\n") {
        at -= 1;
    }
    at
}

/// How the connection ends after so many bytes.
#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    Reset,
}

/// What a client may see of an answer cut anywhere: whole events, one error event, no end marker, a broken framing; or
/// a status of an error if nothing had come.
async fn cut_at_every_byte(setup: crate::support::Setup, row: &str, end: End, step: usize) {
    let bytes = recorded_stream();
    let whole: Vec<String> = events_of(&["Gr\u{fc}\u{df}e", " \u{1f30d}", " \\u00e9 \"quoted\"\n"])
        .iter()
        .map(|event| String::from_utf8(event.clone()).unwrap())
        .collect();
    let script = bytes.clone();
    let upstream = FakeUpstream::start(move |request| {
        let Ok(at) = request.last_text().parse::<usize>() else {
            return answer_of("fine");
        };
        let last = match end {
            End::Close => Step::Close,
            End::Reset => Step::Reset,
        };
        let mut steps: Script = vec![Step::Send(script[..at].to_vec())];
        // A reset takes away what has not been read, so it waits for a reader.
        if matches!(end, End::Reset) {
            steps.push(Step::Pause(std::time::Duration::from_millis(20)));
        }
        steps.push(last);
        steps
    })
    .await;
    let rig = Rig::with(setup, upstream).await;
    let places = Arc::new(Mutex::new((0..bytes.len()).step_by(step)));
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let (places, client, whole) = (Arc::clone(&places), rig.gateway.user(), whole.clone());
        clients.spawn(async move {
            loop {
                let Some(at) = places.lock().unwrap().next() else {
                    break;
                };
                let answer = client.chat(&streamed_chat("echo", &at.to_string())).await;
                if answer.status != 200 {
                    assert_eq!(answer.status, 502, "at {at}: {}", answer.text());
                    continue;
                }
                assert!(
                    !answer.is_whole,
                    "at {at}: the framing says that this is all: {}",
                    answer.text()
                );
                let mut events = answer.events();
                let last = events.pop().unwrap_or_default();
                assert!(last.contains("\"error\""), "at {at}: {}", answer.text());
                for (event, expected) in events.iter().zip(&whole) {
                    let is_filtered = event.contains("\"calm\"");
                    assert!(
                        is_filtered || expected.contains(event.as_str()),
                        "at {at}: half an event: {event}"
                    );
                    assert!(
                        event == "[DONE]"
                            || serde_json::from_str::<serde_json::Value>(event).is_ok(),
                        "at {at}: {event}"
                    );
                }
                // All that came is text: no letter was cut.
                assert!(
                    std::str::from_utf8(&answer.body).is_ok(),
                    "at {at}: {:?}",
                    answer.body
                );
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    rig.ends_unharmed(row).await;
}

#[tokio::test]
async fn u08_cut_at_every_byte_is_an_error_every_time() {
    cut_at_every_byte(TestGateway::setup(), "u08", End::Close, 1).await;
}

#[tokio::test]
async fn u08_reset_at_every_seventh_byte_is_an_error_every_time() {
    cut_at_every_byte(TestGateway::setup(), "u08 reset", End::Reset, 7).await;
}

#[tokio::test]
async fn u08_cut_at_every_third_byte_behind_a_filter_is_an_error_every_time() {
    let setup = TestGateway::setup()
        .python()
        .function("calm", &source("calm"));
    cut_at_every_byte(setup, "u08 filter", End::Close, 3).await;
}

#[tokio::test]
async fn u08_whole_answers_that_are_cut_are_a_bad_gateway() {
    let Some(Step::Send(bytes)) = answer_of("a whole answer").pop() else {
        unreachable!("it is sent")
    };
    let script = bytes.clone();
    let rig = Rig::new(move |request| match request.last_text().parse::<usize>() {
        Ok(at) => vec![Step::Send(script[..at].to_vec()), Step::Close],
        Err(_) => answer_of("fine"),
    })
    .await;
    for at in (0..bytes.len()).step_by(3) {
        let answer = rig
            .gateway
            .user()
            .chat(&crate::support::chat("echo", &at.to_string()))
            .await;
        assert_eq!(answer.status, 502, "at {at}: {}", answer.text());
    }
    rig.ends_unharmed("u08 whole").await;
}

#[tokio::test]
async fn u08_pieces_of_any_size_make_no_difference() {
    let mut random = Random::seeded();
    let seed = random.clone();
    let events = events_of(&["Gr\u{fc}\u{df}e", " \u{1f30d}", " again"]);
    let all = events.concat();
    let expected = all.clone();
    let mut scripts = Vec::new();
    for _ in 0..40 {
        let mut script = vec![head_of_stream()];
        let mut rest = &all[..];
        while !rest.is_empty() {
            let (piece, later) = rest.split_at((1 + random.below(30)).min(rest.len()));
            script.push(event(piece));
            rest = later;
        }
        script.push(tail_of_stream());
        scripts.push(script);
    }
    // One comes byte by byte of the connection, not only of the stream.
    let Some(Step::Send(head)) = scripts[0].first().cloned() else {
        unreachable!("heads are sent")
    };
    let rest: Vec<u8> = scripts[0][1..]
        .iter()
        .flat_map(|step| match step {
            Step::Send(bytes) => bytes.clone(),
            _ => Vec::new(),
        })
        .collect();
    scripts[0] = vec![Step::Trickle(
        [head, rest].concat(),
        std::time::Duration::from_micros(100),
    )];
    let rig =
        Rig::new(move |request| scripts[request.last_text().parse::<usize>().unwrap_or(1)].clone())
            .await;
    for number in 0..40 {
        let answer = rig
            .gateway
            .user()
            .chat(&streamed_chat("echo", &number.to_string()))
            .await
            .expect(200);
        assert!(
            answer.is_whole && answer.body == expected,
            "{number} of {seed:?}: {}",
            answer.text()
        );
    }
    rig.ends_unharmed("u08 pieces").await;
}
