//! The other kinds on requests, and the check of valves.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{filter, inlet, request, session, user, values};
use crate::native::{KINDS, Kind, NAMES, Session};

fn texts(body: &Value) -> Vec<&str> {
    let messages = body["messages"].as_array().unwrap().iter();
    messages
        .map(|message| message["content"].as_str().unwrap())
        .collect()
}

fn one(text: &str) -> Value {
    request(&[("user", json!(text))])
}

#[test]
fn every_kind_takes_its_own_defaults_and_says_what_it_has() {
    for kind in KINDS {
        let spec = kind.valves_spec();
        let defaults = spec["properties"].as_object().unwrap().iter();
        let defaults = defaults.map(|(name, field)| (name.clone(), field["default"].clone()));
        let (stored, priority) = kind.check(&defaults.collect()).unwrap();
        assert_eq!(priority, 0.0, "{}", kind.name);
        assert!(stored.get("priority").is_some());
        kind.filter(b"{}").unwrap();
    }
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    assert_eq!(names, NAMES);
    let refused = Kind::find("redcat").unwrap_err().to_string();
    assert!(
        refused.contains("`redcat`") && refused.contains("redact"),
        "{refused}"
    );
}

#[test]
fn valves_that_do_not_fit_are_all_named_and_none_is_quoted() {
    let kind = Kind::find("limits").unwrap();
    let wrong = json!({"max_turns": -1, "max_bonus": "many", "turns": 3, "exempt_admins": "yes"});
    let mistake = kind.check(&values(wrong)).unwrap_err().to_string();
    for name in ["`max_turns`", "`max_bonus`", "`turns`", "`exempt_admins`"] {
        assert!(mistake.contains(name), "{mistake}");
    }
    assert!(!mistake.contains("many"), "{mistake}");
    let (stored, priority) = kind
        .check(&values(json!({"max_turns": "4", "priority": -2})))
        .unwrap();
    assert_eq!(
        stored,
        json!({"max_turns": 4, "priority": -2}),
        "forms send numbers as text"
    );
    assert_eq!(priority, -2.0);
}

#[test]
fn words_are_replaced_or_refused() {
    let valves = json!({"words": "bomb, new york\nC++", "action": "replace", "replacement": "*"});
    let replacing = session("words", &valves);
    for (text, expected) in [
        ("A Bomb, bombs; new\tYork!", "A *, bombs; *!"),
        ("C++ or C+++ and bombe", "* or *+ and bombe"),
        ("new yorker", "new yorker"),
    ] {
        assert_eq!(texts(&inlet(&replacing, &one(text)).unwrap()), [expected]);
    }
    let parts = json!({"words": "ann,annex", "action": "replace", "whole_words": false, "ignore_case": false});
    let body = inlet(&session("words", &parts), &one("planned annex Ann")).unwrap();
    assert_eq!(texts(&body), ["pl[removed]ed [removed] Ann"]);
    // A capital may be of more bytes than its small letter.
    let beyond = json!({"words": "kilo, ärger", "action": "replace", "replacement": "*"});
    let body = inlet(
        &session("words", &beyond),
        &one("1 \u{212a}ilo ÄRGER kilos"),
    )
    .unwrap();
    assert_eq!(texts(&body), ["1 * * kilos"]);
    let refusing = session("words", &json!({"words": "bomb"}));
    assert_eq!(inlet(&refusing, &one("a bomb")).unwrap_err().status, 403);
    inlet(&refusing, &request(&[("assistant", json!("a bomb"))])).unwrap();
}

#[test]
fn limits_refuse_what_is_over_them() {
    let refusal = |valves: Value, body: &Value| {
        inlet(&session("limits", &valves), body)
            .err()
            .map(|refusal| refusal.status)
    };
    let long = request(&[
        ("user", json!("one")),
        ("assistant", json!("two")),
        ("user", json!("drei€")),
    ]);
    assert_eq!(refusal(json!({"max_turns": 2}), &long), None);
    assert_eq!(refusal(json!({"max_turns": 1}), &long), Some(403));
    assert_eq!(refusal(json!({"max_messages": 2}), &long), Some(413));
    assert_eq!(refusal(json!({"max_characters": 11}), &long), None);
    assert_eq!(refusal(json!({"max_characters": 10}), &long), Some(413));
    assert_eq!(
        refusal(json!({"max_message_characters": 4}), &long),
        Some(413)
    );
    let parts = request(&[("user", json!([{"type": "text", "text": "12345"}]))]);
    assert_eq!(refusal(json!({"max_characters": 4}), &parts), Some(413));
}

#[test]
fn a_user_may_add_turns_and_an_admin_has_no_limit() {
    let valves = json!({"max_turns": 1, "max_bonus": 1});
    let ask = |role: &str, own: Value, turns: usize| {
        let own = Some(own.to_string().into());
        let session = Session::new(filter("limits", &valves), Arc::new(user(role)), own);
        let turns: Vec<_> = (0..turns).map(|_| ("user", json!("?"))).collect();
        inlet(&session, &request(&turns)).map_err(|refusal| refusal.message)
    };
    assert!(ask("user", json!({"bonus_turns": 5}), 2).is_ok());
    let refused = ask("user", json!({"bonus_turns": 5}), 3).unwrap_err();
    assert!(refused.contains("2 turns"), "{refused}");
    assert!(ask("user", json!({"bonus_turns": "no number"}), 2).is_err());
    assert!(ask("admin", json!({}), 9).is_ok());
}

#[test]
fn a_system_prompt_stands_where_it_should() {
    let with_system = request(&[("system", json!("Old.")), ("user", json!("hi"))]);
    for (mode, expected) in [
        ("prepend", ["New.\n\nOld.", "hi"]),
        ("append", ["Old.\n\nNew.", "hi"]),
        ("replace", ["New.", "hi"]),
    ] {
        let prompt = session("system_prompt", &json!({"prompt": "New.", "mode": mode}));
        assert_eq!(texts(&inlet(&prompt, &with_system).unwrap()), expected);
        assert_eq!(texts(&inlet(&prompt, &one("hi")).unwrap()), ["New.", "hi"]);
    }
    let parts = request(&[("developer", json!([{"type": "text", "text": "Old."}]))]);
    let prompt = session("system_prompt", &json!({"prompt": "New."}));
    let body = inlet(&prompt, &parts).unwrap();
    assert_eq!(body["messages"][0]["content"][0]["text"], "New.");
    let none = session("system_prompt", &json!({"prompt": ""}));
    assert_eq!(inlet(&none, &with_system).unwrap(), with_system);
}

#[test]
fn a_system_prompt_knows_who_asks_and_when() {
    let text = "{{USER_NAME}} {{USER_ID}} {{USER_ROLE}} {{MODEL}} {{CURRENT_DATETIME}} {{CURRENT_WEEKDAY}} {{NOBODY}}";
    let ask = |timezone: &str| {
        let valves = json!({"prompt": text, "timezone": timezone, "user_text_limit": 6});
        let own = Some(json!({"text": "{{MODEL}} and more"}).to_string().into());
        let session = Session::new(
            filter("system_prompt", &valves),
            Arc::new(user("user")),
            own,
        );
        let body = inlet(&session, &one("hi")).unwrap();
        texts(&body)[0].to_owned()
    };
    assert_eq!(
        ask("UTC"),
        "Ann u1 user m 2026-01-31 18:05 Saturday {{NOBODY}}\n\n{{MODE"
    );
    assert!(
        ask("+06:30").contains("2026-02-01 00:35 Sunday"),
        "{}",
        ask("+06:30")
    );
    let kind = Kind::find("system_prompt").unwrap();
    let mistake = kind
        .check(&values(json!({"timezone": "Mars/Base"})))
        .unwrap_err();
    assert!(mistake.to_string().contains("`timezone`"));
}

#[test]
fn parameters_are_kept_within_bounds() {
    let valves =
        json!({"max_tokens": 100, "max_temperature": 1, "max_n": 1, "remove": "logit_bias, seed"});
    let clamp = session("clamp", &valves);
    let mut body = one("hi");
    for (key, value) in [
        ("max_tokens", json!(500)),
        ("temperature", json!(1.5)),
        ("n", json!(3)),
        ("seed", json!(1)),
    ] {
        body[key] = value;
    }
    let clamped = inlet(&clamp, &body).unwrap();
    assert_eq!(clamped["max_tokens"], 100);
    assert_eq!(clamped["temperature"], 1);
    assert_eq!(clamped["n"], 1);
    assert!(clamped.get("seed").is_none());
    assert_eq!(
        inlet(&clamp, &one("hi")).unwrap()["max_tokens"],
        100,
        "a request may not name none"
    );
    let mut other = one("hi");
    other["max_completion_tokens"] = json!(50);
    other["temperature"] = json!(0.25);
    assert_eq!(inlet(&clamp, &other).unwrap(), other);
    for wrong in [
        json!({"min_temperature": 1.5, "max_temperature": 1}),
        json!({"remove": "model"}),
    ] {
        Kind::find("clamp")
            .unwrap()
            .check(&values(wrong))
            .unwrap_err();
    }
}

#[test]
fn models_are_mapped_by_the_first_pair_that_fits() {
    let map = session(
        "model_map",
        &json!({"map": "gpt-4o=big, gpt-* = small", "others": "refuse"}),
    );
    for (asked, sent) in [("gpt-4o", "big"), ("gpt-4", "small")] {
        let mut body = one("hi");
        body["model"] = json!(asked);
        assert_eq!(inlet(&map, &body).unwrap()["model"], sent);
    }
    assert_eq!(inlet(&map, &one("hi")).unwrap_err().status, 403);
    let kind = Kind::find("model_map").unwrap();
    kind.check(&values(json!({"map": "gpt-4"}))).unwrap_err();
    kind.check(&values(json!({"map": "= x"}))).unwrap_err();
}
