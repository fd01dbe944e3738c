//! P13: everything that a function may return, from every place that returns something.

use serde_json::Value;

use crate::faults::rig::Rig;
use crate::support::{Answer, FakeUpstream, TestGateway, chat, source, streamed_chat};

/// What a member of a JSON object may be: what stands for it then.
const MEMBERS: &[(&str, &str)] = &[
    ("None", "null"),
    ("str", "\"text\""),
    ("int", "7"),
    ("list", "[1,\"two\"]"),
    ("datetime", "\"2026-01-02T03:04:05\""),
    ("model", "{\"word\":\"from a model\"}"),
    ("keys", "{\"1\":\"true\",\"null\":\"none\"}"),
    ("surrogate", "\"a\u{fffd}b\""),
];

/// What JSON has no word for, or no reader takes.
const NO_MEMBERS: &[&str] = &[
    "bytes",
    "NaN",
    "Infinity",
    "set",
    "Decimal",
    "object",
    "cyclic",
    "tuple keys",
    "equal keys",
    "100,000 deep",
    "64 MiB",
];

/// What is no JSON object by itself.
const NO_OBJECTS: &[&str] = &[
    "None",
    "str",
    "bytes",
    "int",
    "list",
    "NaN",
    "Infinity",
    "set",
    "datetime",
    "Decimal",
    "object",
    "surrogate",
    "100 deep",
    "100,000 deep",
    "64 MiB",
];

async fn rig() -> Rig {
    let setup = TestGateway::setup()
        .python()
        .tables(
            "[function.returning]\nglobal = false\nmodels = [\"echo\"]\noutlet_error = \"closed\"",
        )
        .function("returning", &(source("returned") + &source("returning")))
        .function(
            "returning_pipe",
            &(source("returned") + &source("returning_pipe")),
        );
    Rig::with(setup, FakeUpstream::echo().await).await
}

/// An order to return `value` in `place`.
fn order(place: &str, how: &str, value: &str) -> Value {
    let text = format!("{place};{how};{value}");
    match place {
        "inlet" | "outlet" => chat("echo", &text),
        "stream" => streamed_chat("echo", &text),
        "whole" => chat("returning_pipe", &text),
        _ => streamed_chat("returning_pipe", &text),
    }
}

/// Whatever came, each piece of it is JSON.
fn parts_of(what: &str, answer: &Answer) -> Vec<Value> {
    if !answer
        .header("content-type")
        .starts_with("text/event-stream")
    {
        return vec![answer.json()];
    }
    let events = answer.events();
    let data = events.iter().filter(|data| *data != "[DONE]");
    data.map(|data| {
        serde_json::from_str(data).unwrap_or_else(|error| panic!("{what}: {error}: {data}"))
    })
    .collect()
}

fn expect_failure(what: &str, answer: &Answer) {
    let parts = parts_of(what, answer);
    let error = &parts.last().unwrap_or(&Value::Null)["error"];
    let start: String = answer.text().chars().take(300).collect();
    assert_eq!(
        error["code"], "function_error",
        "{what}: {} {start}",
        answer.status
    );
    assert!(
        answer.status == 500 || answer.status == 200 && !answer.is_whole,
        "{what}: {start}"
    );
}

#[tokio::test]
async fn p13_what_json_has_a_word_for_goes_on_from_everywhere() {
    let mut rig = rig().await;
    for (value, json) in MEMBERS {
        let expected: Value = serde_json::from_str(json).unwrap();
        for place in ["inlet", "stream", "outlet", "whole", "streamed", "yield"] {
            let what = format!("{value} inside of {place}");
            let answer = rig
                .gateway
                .user()
                .chat(&order(place, "inside", value))
                .await
                .expect(200);
            assert!(answer.is_whole, "{what}: {}", answer.text());
            let parts = parts_of(&what, &answer);
            if matches!(place, "inlet" | "stream" | "outlet") {
                let sent = rig.upstream.request().await.json();
                let told = (place == "inlet").then_some(&expected);
                assert_eq!(sent.get("x"), told, "{what}");
            }
            match place {
                "inlet" => {}
                "outlet" => assert_eq!(parts[0]["choices"][0]["message"]["x"], expected, "{what}"),
                _ => assert!(
                    parts.iter().any(|part| part.get("x") == Some(&expected)),
                    "{what}: {parts:?}"
                ),
            }
        }
    }
    let deep = rig
        .gateway
        .user()
        .chat(&order("inlet", "inside", "100 deep"))
        .await;
    deep.expect(200);
    rig.leaves_nothing_but_processes("p13").await;
}

#[tokio::test]
async fn p13_what_json_has_no_word_for_is_the_functions_error() {
    let rig = rig().await;
    for place in ["inlet", "stream", "outlet", "whole", "streamed", "yield"] {
        for value in NO_MEMBERS {
            let what = format!("{value} inside of {place}");
            let answer = rig
                .gateway
                .user()
                .chat(&order(place, "inside", value))
                .await;
            expect_failure(&what, &answer);
        }
        let answer = rig
            .gateway
            .user()
            .chat(&order(place, "inside", "str"))
            .await;
        answer.expect(200);
    }
    rig.leaves_nothing_but_processes("p13").await;
}

#[tokio::test]
async fn p13_what_is_no_object_is_an_error_of_filters_and_text_or_nothing_of_pipes() {
    let rig = rig().await;
    for value in NO_OBJECTS {
        for place in ["inlet", "stream", "outlet", "yield"] {
            let what = format!("{value} from {place}");
            let answer = rig
                .gateway
                .user()
                .chat(&order(place, "itself", value))
                .await;
            let is_text = matches!(*value, "str" | "bytes" | "surrogate");
            match (place, *value) {
                // Nothing instead of an event drops it, and pieces of text are what pipes yield.
                ("stream", "None") => drop(answer.expect(200)),
                ("yield", _) if is_text => assert!(answer.expect(200).is_whole, "{what}"),
                _ => expect_failure(&what, &answer),
            }
        }
        for place in ["whole", "streamed"] {
            let what = format!("{value} from a pipe, {place}");
            let answer = rig
                .gateway
                .user()
                .chat(&order(place, "itself", value))
                .await;
            if *value == "64 MiB" {
                // With its quotes it is longer than any frame, and longer than any event of a stream.
                expect_failure(&what, &answer);
            } else {
                assert!(
                    answer.is_whole && answer.status == 200,
                    "{what}: {}",
                    answer.status
                );
                assert!(!parts_of(&what, &answer).is_empty(), "{what}");
            }
        }
    }
    rig.leaves_nothing_but_processes("p13").await;
}
