//! Neighbouring filters of one group, which are called together: everything is as if each had been called by itself.

use serde_json::json;

use crate::PATIENCE;
use crate::support::{
    Answer, Door, FakeUpstream, TestGateway, chat, events_of, eventually, source_with, streamed,
    streamed_chat,
};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A test's group of five filters, every other one of them async.
struct Group<'a> {
    /// What their outlets do to streams.
    stream_outlet: &'a str,
    /// Settings that all of them have.
    of_all: &'a str,
    /// Settings that one of them has.
    of_one: (&'a str, &'a str),
    /// Where they may knock.
    door: u16,
}

impl Default for Group<'_> {
    fn default() -> Self {
        Self {
            stream_outlet: "hold",
            of_all: "",
            of_one: ("c", ""),
            door: 0,
        }
    }
}

impl Group<'_> {
    async fn start(&self, upstream: &FakeUpstream) -> TestGateway {
        let mut setup = TestGateway::setup()
            .python()
            .upstream("fake", &upstream.base_url());
        for (place, name) in NAMES.iter().enumerate() {
            let own = if *name == self.of_one.0 {
                self.of_one.1
            } else {
                ""
            };
            let (outlet, all) = (self.stream_outlet, self.of_all);
            let table = format!(
                "[function.{name}]\ngroup = \"five\"\nstream_outlet = \"{outlet}\"\n{all}\n{own}\n"
            );
            setup = setup.tables(&table).function(name, &self.code(name, place));
        }
        setup.start().await
    }

    /// The code of the filter that calls itself `name` and is the one at `place`.
    fn code(&self, name: &str, place: usize) -> String {
        let is_async = if place.is_multiple_of(2) {
            "True"
        } else {
            "False"
        };
        let (name, place) = (format!("\"{name}\""), place.to_string());
        let door = self.door.to_string();
        let constants = [
            ("NAME", name.as_str()),
            ("PRIORITY", &place),
            ("WAITS", is_async),
            ("DOOR", &door),
        ];
        source_with("neighbour", &constants)
    }
}

/// The value of a line of the metrics.
async fn counted(gateway: &TestGateway, line: &str) -> u64 {
    let text = gateway.admin().get("/metrics").await.expect(200).text();
    let found = text.lines().find_map(|found| found.strip_prefix(line));
    found.map_or(0, |value| value.trim().parse().unwrap())
}

/// How many calls went to processes.
async fn crossings(gateway: &TestGateway) -> u64 {
    counted(gateway, "sluicegate_process_calls_total").await
}

async fn say(gateway: &TestGateway, text: &str) -> Answer {
    gateway.user().chat(&chat("echo", text)).await
}

#[tokio::test]
async fn five_filters_of_a_group_take_one_call_for_inlet_and_one_for_outlet() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = Group::default().start(&upstream).await;
    let answer = say(&gateway, "hi").await.expect(200);
    assert_eq!(answer.content(), "echo: hi a b c d e a5 b5 c5 d5 e5");
    assert_eq!(upstream.request().await.json()["seen"], json!(NAMES));
    let before = crossings(&gateway).await;
    say(&gateway, "hi").await.expect(200);
    assert_eq!(crossings(&gateway).await - before, 2);
    for name in NAMES {
        for hook in ["inlet", "outlet"] {
            let labels = format!("function=\"{name}\",hook=\"{hook}\"");
            let calls = format!("sluicegate_function_calls_total{{{labels},outcome=\"changed\"}}");
            assert_eq!(counted(&gateway, &calls).await, 2, "{name} {hook}");
            let times = format!("sluicegate_function_duration_seconds_count{{{labels}}}");
            assert_eq!(counted(&gateway, &times).await, 2, "{name} {hook}");
        }
    }
}

#[tokio::test]
async fn a_streams_batches_take_one_call_for_all_of_a_group() {
    let pieces = ["x", "drop:b", "y", "drop:a"];
    for stream_outlet in ["hold", "observe"] {
        let upstream = FakeUpstream::start(move |_| streamed(events_of(&pieces))).await;
        let group = Group {
            stream_outlet,
            ..Group::default()
        };
        let gateway = group.start(&upstream).await;
        let client = gateway.user();
        let answer = client.chat(&streamed_chat("echo", "hi")).await.expect(200);
        let outlets = if stream_outlet == "hold" {
            " a5 b5 c5 d5 e5"
        } else {
            ""
        };
        let text = format!("xabcdeyabcde{outlets}");
        assert_eq!(answer.streamed_content(), text, "{}", answer.text());
        let line = "sluicegate_function_duration_seconds_count{function=\"a\",hook=\"stream\"}";
        let batches = counted(&gateway, line).await;
        assert!(batches > 0);
        assert_eq!(crossings(&gateway).await, batches + 2);
    }
}

#[tokio::test]
async fn outlets_that_observe_a_stream_are_all_shown_what_was_sent() {
    let expected = [
        ("hold", "e sees show:eabcde a5 b5 c5 d5\""),
        ("observe", "e sees show:eabcde\""),
    ];
    for (stream_outlet, words) in expected {
        let upstream = FakeUpstream::start(|_| streamed(events_of(&["show:e"]))).await;
        let group = Group {
            stream_outlet,
            ..Group::default()
        };
        let gateway = group.start(&upstream).await;
        let answer = gateway.user().chat(&streamed_chat("echo", "hi")).await;
        assert!(answer.text().contains(words), "{}", answer.text());
    }
}

#[tokio::test]
async fn the_function_that_fails_is_the_one_that_is_named() {
    let upstream = FakeUpstream::echo().await;
    let group = Group {
        of_one: ("c", "timeout = 1"),
        ..Group::default()
    };
    let gateway = group.start(&upstream).await;
    for (deed, status, words) in [
        ("refuse", 403, "c refuses"),
        ("lose", 500, "filter c: inlet returned None"),
        ("spoil", 400, "spoilt"),
        ("wait", 504, "function `c` inlet took longer than 1 s"),
        ("die", 502, "function `c` inlet crashed"),
        ("hang", 504, "function `c` inlet took longer than 1 s"),
    ] {
        let answer = say(&gateway, &format!("{deed}:c")).await.expect(status);
        assert!(answer.text().contains(words), "{deed}: {}", answer.text());
    }
    for name in ["a", "e"] {
        let answer = say(&gateway, &format!("die:{name}")).await.expect(502);
        let words = format!("function `{name}` inlet crashed");
        assert!(answer.text().contains(&words), "{}", answer.text());
        let answer = say(&gateway, &format!("bury:{name}")).await.expect(500);
        assert!(
            answer.text().contains("deeper than 127"),
            "{}",
            answer.text()
        );
        let failed = format!(
            "sluicegate_function_calls_total{{function=\"{name}\",hook=\"inlet\",outcome=\"failed\"}}"
        );
        assert_eq!(counted(&gateway, &failed).await, 2, "{name}");
    }
    say(&gateway, "hi").await.expect(200);
}

#[tokio::test]
async fn a_board_that_lies_gains_no_more_time_than_all_have() {
    let upstream = FakeUpstream::echo().await;
    let group = Group {
        of_all: "timeout = 1",
        ..Group::default()
    };
    let gateway = group.start(&upstream).await;
    let answer = say(&gateway, "forge:b").await.expect(504);
    assert!(answer.text().contains("inlet took longer than 1 s"));
    say(&gateway, "hi").await.expect(200);
}

#[tokio::test]
async fn a_process_that_is_replaced_is_left_by_all_of_its_group() {
    let upstream = FakeUpstream::echo().await;
    let group = Group {
        of_one: ("b", "timeout = 2"),
        ..Group::default()
    };
    let gateway = group.start(&upstream).await;
    // Slow code moves to a thread, where it cannot be cancelled.
    say(&gateway, "nap:b").await.expect(200);
    say(&gateway, "stick:b").await.expect(504);
    for _ in 0..20 {
        say(&gateway, "hi").await.expect(200);
    }
    let ends = |reason: &str| format!("sluicegate_worker_failures_total{{reason=\"{reason}\"}}");
    assert_eq!(counted(&gateway, &ends("replaced")).await, 1);
    assert_eq!(counted(&gateway, &ends("crashed")).await, 0);
}

#[tokio::test]
async fn the_time_of_others_does_not_count() {
    let upstream = FakeUpstream::echo().await;
    let group = Group {
        of_one: ("d", "timeout = 2"),
        ..Group::default()
    };
    let gateway = group.start(&upstream).await;
    say(&gateway, "hi").await.expect(200);
    // Longer than `d` may take, before it and in it.
    let answer = say(&gateway, "nap:a nap:b nap:c nap:d").await.expect(200);
    assert!(answer.content().ends_with("a b c d e a5 b5 c5 d5 e5"));
}

#[tokio::test]
async fn one_that_lets_errors_pass_is_skipped_and_takes_nothing_along() {
    let upstream = FakeUpstream::echo().await;
    let group = Group {
        of_one: ("c", "on_error = \"open\"\ntimeout = 1"),
        ..Group::default()
    };
    let gateway = group.start(&upstream).await;
    for deed in ["spoil", "lose"] {
        let answer = say(&gateway, &format!("{deed}:c")).await.expect(200);
        let content = format!("echo: {deed}:c a b d e a4 b4 c4 d4 e4");
        assert_eq!(answer.content(), content);
    }
    // What was done before a process dies must not be missing from a request that goes on.
    let before = crossings(&gateway).await;
    say(&gateway, "hi").await.expect(200);
    assert_eq!(crossings(&gateway).await - before, 6);
}

#[tokio::test]
async fn an_accident_in_one_outlet_leaves_what_the_others_did() {
    let upstream = FakeUpstream::echo().await;
    let gateway = Group::default().start(&upstream).await;
    let answer = say(&gateway, "stumble:c").await.expect(200);
    let content = "echo: stumble:c a b c d e a5 b5 d5 e5";
    assert_eq!(answer.content(), content);
    assert_eq!(answer.header("x-sluicegate-function-errors"), "c");
}

#[tokio::test]
async fn events_before_one_at_which_a_filter_fails_pass_those_behind_it() {
    let group = Group {
        stream_outlet: "observe",
        ..Group::default()
    };
    for (deed, words) in [
        ("spoil:c", "spoilt"),
        ("die:c", "function `c` stream crashed"),
    ] {
        let pieces = ["x", deed, "y"];
        let upstream = FakeUpstream::start(move |_| streamed(events_of(&pieces))).await;
        let gateway = group.start(&upstream).await;
        let answer = gateway.user().chat(&streamed_chat("echo", "hi")).await;
        let text = answer.text();
        assert!(text.contains(words) && !text.contains("yab"), "{text}");
        // What was done before a process dies is lost with it, but nothing leaves as it came.
        assert!(deed == "die:c" || text.contains("xabcde"), "{text}");
        assert!(!text.contains("\"x\""), "{text}");
    }
}

#[tokio::test]
async fn valves_are_each_functions_own() {
    let upstream = FakeUpstream::echo().await;
    let group = Group {
        of_one: ("c", "valves = { priority = 2, mark = \"C\" }"),
        ..Group::default()
    };
    let gateway = group.start(&upstream).await;
    let answer = say(&gateway, "hi").await.expect(200);
    assert_eq!(answer.content(), "echo: hi a b C d e a5 b5 C5 d5 e5");
}

#[tokio::test]
async fn a_request_keeps_valves_and_code_of_all_of_them() {
    let (upstream, door) = (FakeUpstream::echo().await, Door::start().await);
    let group = Group {
        door: door.port,
        ..Group::default()
    };
    let gateway = group.start(&upstream).await;
    say(&gateway, "hi").await.expect(200);
    let client = gateway.user();
    let held = tokio::spawn(async move { client.chat(&chat("echo", "knock:a")).await });
    let waiting = door.expect("a").await;
    let valves = json!({"priority": 2, "mark": "C"});
    let management = gateway.management();
    management.set_valves("c", &valves).await.expect(200);
    gateway.write_function("d", &group.code("D", 3));
    eventually(PATIENCE, "the new code", async || {
        let answer = say(&gateway, "hi").await.expect(200);
        (answer.content() == "echo: hi a b C D e a5 b5 C5 D5 e5").then_some(())
    })
    .await;
    drop(waiting);
    let answer = held.await.unwrap().expect(200);
    assert_eq!(answer.content(), "echo: knock:a a b c d e a5 b5 c5 d5 e5");
    let before = crossings(&gateway).await;
    say(&gateway, "hi").await.expect(200);
    assert_eq!(crossings(&gateway).await - before, 2);
}

#[tokio::test]
async fn whoever_leaves_ends_the_call_and_not_the_process() {
    let (upstream, door) = (FakeUpstream::echo().await, Door::start().await);
    let group = Group {
        door: door.port,
        ..Group::default()
    };
    let gateway = group.start(&upstream).await;
    let client = gateway.user().send_chat(&chat("echo", "knock:c")).await;
    let waiting = door.expect("c").await;
    drop(client);
    waiting.left().await;
    say(&gateway, "hi").await.expect(200);
    for reason in ["crashed", "killed", "replaced"] {
        let line = format!("sluicegate_worker_failures_total{{reason=\"{reason}\"}}");
        assert_eq!(counted(&gateway, &line).await, 0, "{reason}");
    }
}

#[tokio::test]
async fn long_bodies_go_one_by_one() {
    let upstream = FakeUpstream::echo().await;
    let gateway = Group::default().start(&upstream).await;
    let text = "x".repeat(1200 * 1024);
    let answer = say(&gateway, &text).await.expect(200);
    assert!(answer.content().ends_with("x a b c d e a5 b5 c5 d5 e5"));
    assert_eq!(crossings(&gateway).await, 10);
}
