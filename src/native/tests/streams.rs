//! Filters on the events of a stream.

use serde_json::{Value, json};

use super::{Numbers, bytes, event, parsed, session};
use crate::native::Session;
use crate::wire::json::Tape;

fn chunk(delta: &Value, finish: &Value) -> Value {
    json!({"id": "a1", "created": 1, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

/// What becomes of events, with what is left at the end.
fn run(session: &mut Session, events: &[Value]) -> Vec<Value> {
    let mut given: Vec<Value> = events
        .iter()
        .map(|given| event(session, given).unwrap())
        .collect();
    given.extend(session.rest().unwrap().as_ref().map(parsed));
    given
}

/// A field's text over all events.
fn text(events: &[Value], pointer: &str) -> String {
    let pieces = events
        .iter()
        .filter_map(|event| event.pointer(pointer)?.as_str());
    pieces.collect()
}

#[test]
fn each_field_is_a_text_of_its_own_and_nothing_is_lost() {
    let events: Vec<Value> = [
        json!({"role": "assistant", "reasoning_content": "ask ann@"}),
        json!({"reasoning_content": "example.com"}),
        json!({"content": "to bob@exa"}),
        json!({"content": "mple.com now", "refusal": "no +49 171"}),
        json!({"refusal": " 2345678"}),
    ]
    .iter()
    .map(|delta| chunk(delta, &Value::Null))
    .chain([chunk(&json!({}), &json!("stop"))])
    .collect();
    let given = run(&mut session("redact", &json!({})), &events);
    assert_eq!(given.len(), events.len(), "nothing was left at the end");
    let field = |name: &str| text(&given, &format!("/choices/0/delta/{name}"));
    assert_eq!(field("reasoning_content"), "ask [mail]");
    assert_eq!(field("content"), "to [mail] now");
    assert_eq!(field("refusal"), "no [phone]");
    assert_eq!(
        given[2]["choices"][0]["delta"]["reasoning_content"],
        "[mail]"
    );
}

#[test]
fn calls_of_tools_that_come_in_turns_are_not_mixed() {
    let piece = |index: u64, arguments: &str| {
        let call = json!({"index": index, "function": {"arguments": arguments}});
        chunk(&json!({"tool_calls": [call]}), &Value::Null)
    };
    let events = [
        piece(0, "{\"to\": \"ann@exam"),
        piece(1, "{\"to\": \"bob\\u0040exam"),
        piece(0, "ple.com\"}"),
        piece(1, "ple.com\"}"),
        chunk(
            &json!({"function_call": {"name": "f", "arguments": "{\"n\": 41111111"}}),
            &Value::Null,
        ),
        chunk(
            &json!({"function_call": {"arguments": "11111111}"}}),
            &json!("tool_calls"),
        ),
    ];
    let given = run(&mut session("redact", &json!({})), &events);
    let mut arguments = [String::new(), String::new()];
    for event in &given {
        let calls = event["choices"][0]["delta"]["tool_calls"].as_array();
        for call in calls.into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            arguments[index] += call["function"]["arguments"].as_str().unwrap();
        }
    }
    assert_eq!(arguments, ["{\"to\": \"[mail]\"}", "{\"to\": \"[mail]\"}"]);
    let old = text(&given, "/choices/0/delta/function_call/arguments");
    assert_eq!(old, "{\"n\": \"[card]\"}");
}

#[test]
fn several_choices_are_not_mixed() {
    let piece = |index: u64, content: &str| json!({"choices": [{"index": index, "delta": {"content": content}}]});
    let events = [
        piece(0, "ann@exam"),
        piece(1, "ple.com"),
        piece(0, "ple.com"),
        piece(1, " ok"),
    ];
    let given = run(&mut session("redact", &json!({})), &events);
    let mut texts = [String::new(), String::new()];
    for event in &given {
        for choice in event["choices"].as_array().unwrap() {
            let index = usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
            texts[index] += choice["delta"]["content"].as_str().unwrap_or_default();
        }
    }
    assert_eq!(texts, ["[mail]", "ple.com ok"]);
}

#[test]
fn what_is_held_back_comes_at_the_end_of_a_stream_that_gives_no_reason() {
    let event = chunk(&json!({"content": "ask ann"}), &Value::Null);
    let mut redact = session("redact", &json!({}));
    let given = run(&mut redact, std::slice::from_ref(&event));
    assert_eq!(given.len(), 2);
    assert_eq!(text(&given, "/choices/0/delta/content"), "ask ann");
    assert_eq!(
        (&given[1]["id"], &given[1]["created"]),
        (&event["id"], &event["created"])
    );
    assert!(redact.rest().unwrap().is_none(), "nothing comes twice");
}

#[test]
fn what_is_held_back_comes_with_the_usage_where_there_is_no_reason() {
    let events = [
        chunk(&json!({"content": "ask ann"}), &Value::Null),
        json!({"choices": [], "usage": {"total_tokens": 3}}),
    ];
    let given = run(&mut session("redact", &json!({})), &events);
    assert_eq!(given.len(), 2);
    assert_eq!(given[1]["choices"][0]["delta"]["content"], "ann");
    assert_eq!(given[1]["usage"], events[1]["usage"]);
}

#[test]
fn probabilities_that_spell_the_answer_out_are_taken_away() {
    let event =
        json!({"choices": [{"index": 0, "delta": {"content": " "}, "logprobs": {"content": []}}]});
    let given = run(&mut session("redact", &json!({})), &[event]);
    assert_eq!(given[0]["choices"][0]["logprobs"], Value::Null);
}

#[test]
fn other_events_stay_as_they_are() {
    let mut redact = session("redact", &json!({}));
    for event in [
        json!({"usage": null}),
        json!({"choices": {}}),
        json!({"choices": [1]}),
        chunk(&json!({"content": "ok, "}), &Value::Null),
    ] {
        let event = Tape::parse(bytes(&event)).unwrap();
        assert_eq!(redact.event(&event).unwrap(), None);
    }
}

#[test]
fn a_word_that_is_not_allowed_breaks_a_stream_off_before_it_is_out() {
    let valves = json!({"words": "top secret, bomb", "message": "no"});
    let mut words = session("words", &valves);
    let events = ["it is TOP", " ", "sec", "retly"];
    let mut given = String::new();
    for piece in events {
        let piece = chunk(&json!({"content": piece}), &Value::Null);
        let event = event(&mut words, &piece).unwrap();
        given += event["choices"][0]["delta"]["content"].as_str().unwrap();
    }
    assert_eq!(given, "it is TOP secretly", "part of another word is none");
    let mut words = session("words", &valves);
    let mut refused = None;
    for piece in ["it is TOP", " ", "sec", "ret", "."] {
        assert!(refused.is_none());
        let piece = chunk(&json!({"content": piece}), &Value::Null);
        match event(&mut words, &piece) {
            Ok(event) => assert!(!event.to_string().contains("TOP")),
            Err(refusal) => refused = Some(refusal),
        }
    }
    let refused = refused.unwrap();
    assert_eq!((refused.status, refused.message.as_str()), (403, "no"));
}

/// A stream of random pieces for two choices, with calls and an end.
fn random_events(numbers: &mut Numbers) -> Vec<Value> {
    const PIECES: &[&str] = &[
        "ann@",
        "example",
        ".com ",
        "+49 171",
        " 2345678.",
        "",
        "a\n",
        "\"é",
        "41111111",
        "11111111",
    ];
    const FIELDS: &[&str] = &[
        "content",
        "refusal",
        "reasoning_content",
        "reasoning",
        "role",
        "tool_calls",
    ];
    let count = 2 + numbers.below(10);
    let choice = |numbers: &mut Numbers, index: usize, is_last: bool| {
        let mut delta = json!({});
        for _ in 0..numbers.below(3) {
            let piece = PIECES[numbers.below(PIECES.len())];
            match FIELDS[numbers.below(FIELDS.len())] {
                "tool_calls" => delta["tool_calls"] = json!([{"function": {"arguments": piece}}]),
                field if numbers.below(8) == 0 => {
                    delta[field] = json!([{"type": "text", "text": piece}])
                }
                field => delta[field] = json!(piece),
            }
        }
        let finish = if is_last { json!("stop") } else { Value::Null };
        json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish})
    };
    let events = (0..count).map(|nth| {
        let choices = 1 + numbers.below(2);
        let choices = (0..choices).map(|index| choice(numbers, index, nth + 1 == count));
        json!({"id": "a1", "choices": choices.collect::<Vec<_>>()})
    });
    events.collect()
}

/// The events with a member in each choice that makes it an unusual one.
fn unusual(events: &[Value]) -> Vec<Value> {
    let mut events = events.to_vec();
    for choice in events
        .iter_mut()
        .flat_map(|event| event["choices"].as_array_mut().unwrap())
    {
        choice["message"] = json!({});
    }
    events
}

#[test]
fn usual_chunks_become_what_unusual_ones_do() {
    let mut numbers = Numbers(20_261_124);
    let valves = json!({"words": "example, ann", "action": "replace"});
    for _ in 0..500 {
        let events = random_events(&mut numbers);
        for (kind, valves) in [("redact", &json!({})), ("words", &valves)] {
            let usual = run(&mut session(kind, valves), &events);
            let expected = run(&mut session(kind, valves), &unusual(&events));
            assert_eq!(unusual(&usual), unusual(&expected), "{events:?}");
        }
    }
}
