//! Streams that end early, hold garbage, or never end.

use crate::faults::rig::{Random, Rig};
use crate::support::{
    FakeUpstream, Step, TestGateway, answer_of, event, events_of, head_of_stream, source, streamed,
    streamed_chat,
};

#[tokio::test]
async fn u09_a_clean_end_counts_only_with_an_end_marker_or_a_finish_reason() {
    let all = events_of(&["text"]);
    let (text, finish, done) = (all[0].clone(), all[1].clone(), all[2].clone());
    let cases = [
        ("done", vec![text.clone(), done.clone()], true),
        ("finish", vec![text.clone(), finish.clone()], true),
        ("both", vec![text.clone(), finish, done], true),
        (
            "unterminated",
            vec![text.clone(), b"data: [DONE]".to_vec()],
            true,
        ),
        (
            "unterminated lines",
            vec![text.clone(), b"data: {\"id\":1}\ndata: [DONE]".to_vec()],
            true,
        ),
        ("neither", vec![text.clone()], false),
        (
            "half",
            vec![text.clone(), text[..text.len() - 2].to_vec()],
            false,
        ),
        ("comment", vec![text.clone(), b": bye\n\n".to_vec()], false),
        (
            "null",
            vec![
                text,
                b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":null}]}\n\n".to_vec(),
            ],
            false,
        ),
        ("empty", vec![], false),
    ];
    let scripts: Vec<_> = cases
        .iter()
        .map(|(name, events, _)| (*name, events.clone()))
        .collect();
    for with_filter in [false, true] {
        let scripts = scripts.clone();
        let upstream = FakeUpstream::start(move |request| {
            let found = scripts
                .iter()
                .find(|(name, _)| *name == request.last_text());
            found.map_or_else(|| answer_of("fine"), |(_, events)| streamed(events.clone()))
        })
        .await;
        let setup = TestGateway::setup();
        let setup = match with_filter {
            true => setup.python().function("calm", &source("calm")),
            false => setup,
        };
        let rig = Rig::with(setup, upstream).await;
        for (name, events, is_whole) in &cases {
            let answer = rig.gateway.user().chat(&streamed_chat("echo", name)).await;
            if *is_whole {
                assert_eq!(
                    (answer.status, answer.is_whole),
                    (200, true),
                    "{name}: {}",
                    answer.text()
                );
                assert!(!answer.text().contains("\"error\""), "{name}");
                assert!(
                    with_filter || answer.body == events.concat(),
                    "{name}: it passes as it came"
                );
                continue;
            }
            let last = answer.events().pop().unwrap_or(answer.text());
            let last: serde_json::Value = serde_json::from_str(&last).unwrap_or_default();
            assert!(
                last["error"].is_object() && !answer.text().contains("[DONE]"),
                "{name}: {}",
                answer.text()
            );
            assert!(
                answer.status == 502 || !answer.is_whole,
                "{name}: {}",
                answer.status
            );
        }
        rig.ends_unharmed("u09").await;
    }
}

/// Things that stand in streams and should not.
fn garbage() -> Vec<Vec<u8>> {
    [
        &b"data: {\"choices\":[\n\n"[..],
        b"data: not json\n\n",
        b"data: \xff\xfe\x00\n\n",
        b"\0\0\0\0\n\n",
        b"\rdata: {}\r\r",
        b"\xEF\xBB\xBFdata: {}\n\n",
        b"\n\n\n\n\n\n\n\n",
        b"\r\n\r\n\r\n\r\n",
        b": only a comment\n\n",
        b"event: ping\n\n",
        b"event: error\nid: 1\nretry: 5\ndata: {}\n\n",
        b"data\n\n",
        b"data:\n\n",
        b"data: 1\ndata: 2\n\n",
        b"data: []\n\n",
        b"data: null\n\n",
        b"nonsense\n\n",
        b"data: [DONE] \n\n",
        b"<html>oops</html>\n\n",
    ]
    .map(<[u8]>::to_vec)
    .into()
}

#[tokio::test]
async fn u10_garbage_in_a_stream_passes_unchanged_where_no_filter_looks() {
    let pieces = garbage();
    let mut events = events_of(&["a", "b"]);
    let tail = events.split_off(1);
    let expected = [events.concat(), pieces.concat(), tail.concat()].concat();
    let bytes = expected.clone();
    let mut random = Random::seeded();
    let rig = Rig::new(move |request| match request.last_text().parse::<usize>() {
        // Cut in two at this place.
        Ok(at) => streamed([&bytes[..at], &bytes[at..]]),
        Err(_) => answer_of("fine"),
    })
    .await;
    for _ in 0..100 {
        let at = 1 + random.below(expected.len() - 1);
        let answer = rig
            .gateway
            .user()
            .chat(&streamed_chat("echo", &at.to_string()))
            .await
            .expect(200);
        assert!(answer.body == expected, "split at {at}");
        assert!(answer.is_whole);
    }
    rig.ends_unharmed("u10").await;
}

#[tokio::test]
async fn u10_garbage_in_a_filtered_stream_is_an_error_or_passes_by_policy() {
    let pieces = garbage();
    for policy in ["closed", "open"] {
        let pieces = pieces.clone();
        let count = pieces.len();
        let upstream =
            FakeUpstream::start(move |request| match request.last_text().parse::<usize>() {
                Ok(number) => {
                    let mut events = events_of(&["a", "b"]);
                    events.insert(1, pieces[number].clone());
                    streamed(events)
                }
                Err(_) => answer_of("fine"),
            })
            .await;
        let table = format!("[function.calm]\non_error = \"{policy}\"");
        let setup = TestGateway::setup()
            .python()
            .function("calm", &source("calm"))
            .tables(&table);
        let rig = Rig::with(setup, upstream).await;
        for number in 0..count {
            let answer = rig
                .gateway
                .user()
                .chat(&streamed_chat("echo", &number.to_string()))
                .await
                .expect(200);
            let text = answer.text();
            let is_error =
                text.contains("\"error\"") && !text.contains("[DONE]\n\n") && !answer.is_whole;
            let is_passed = text.contains("[DONE]") && answer.is_whole;
            assert!(
                is_passed || policy == "closed" && is_error,
                "{policy} {number}: {text}"
            );
        }
        rig.ends_unharmed(&format!("u10 {policy}")).await;
    }
}

#[tokio::test]
async fn u10_random_bytes_for_a_stream_harm_nobody() {
    let mut random = Random::seeded();
    let seed = random.clone();
    let noise: Vec<Vec<u8>> = (0..60)
        .map(|_| {
            let length = 1 + random.below(3000);
            random.bytes(length)
        })
        .collect();
    for with_filter in [false, true] {
        let noise = noise.clone();
        let upstream =
            FakeUpstream::start(move |request| match request.last_text().parse::<usize>() {
                Ok(number) => streamed([noise[number].clone()]),
                Err(_) => answer_of("fine"),
            })
            .await;
        let setup = match with_filter {
            true => TestGateway::setup()
                .python()
                .function("calm", &source("calm")),
            false => TestGateway::setup(),
        };
        let rig = Rig::with(setup, upstream).await;
        for number in 0..60 {
            let answer = rig
                .gateway
                .user()
                .chat(&streamed_chat("echo", &number.to_string()))
                .await;
            assert!(
                answer.status == 502 || !answer.is_whole,
                "{number} of {seed:?}"
            );
        }
        rig.ends_unharmed("u10 noise").await;
    }
}

#[tokio::test]
async fn u11_an_event_without_end_is_cut_at_the_cap() {
    for with_filter in [false, true] {
        let upstream = FakeUpstream::start(|request| {
            if !request.is_streamed() {
                return answer_of("fine");
            }
            let Step::Send(piece) = event("x".repeat(32 * 1024)) else {
                unreachable!("events are sent")
            };
            let first = events_of(&["first"]).swap_remove(0);
            vec![
                head_of_stream(),
                event(first),
                event("data: \""),
                Step::Flood(piece),
            ]
        })
        .await;
        let setup = match with_filter {
            true => TestGateway::setup()
                .python()
                .function("calm", &source("calm")),
            false => TestGateway::setup(),
        };
        let rig = Rig::with(setup, upstream).await;
        let answer = rig
            .gateway
            .user()
            .chat(&streamed_chat("echo", "hi"))
            .await
            .expect(200);
        let events = answer.events();
        assert_eq!(events.len(), 2, "the first event and the error");
        assert!(
            events[1].contains("\"error\"") && !answer.is_whole,
            "{events:?}"
        );
        // Three times the cap of 8 MiB.
        assert!(
            rig.growth_kib() < 24 * 1024 + 4096,
            "{} KiB",
            rig.growth_kib()
        );
        rig.ends_unharmed_within("u11", 28 * 1024).await;
    }
}
