//! `redact` on whole texts and on texts that are split anywhere.

use serde_json::json;

use super::{Numbers, bytes, filter, inlet, parsed, request, session};
use crate::native::json_text::JsonScanner;
use crate::native::redact::{Shapes, next_number, number_at_any_place, shapes};
use crate::native::text::{PlainScanner, Scanner, rewrite};
use crate::wire::json::{Document, unquote};

/// Texts with what becomes of them.
const CASES: &[(&str, &str)] = &[
    (
        "Write to ann@example.com or call +49 171 2345678, card 4111 1111 1111 1111 12/27.",
        "Write to [mail] or call [phone], card [card] 12/27.",
    ),
    (
        "ann@example.co-op.uk. bob@x.y, @ann ann@ 'o'brien@example.com'",
        "[mail]. bob@x.y, @ann ann@ '[mail]'",
    ),
    (
        "01/15/2024 10:30 2024-01-15 0171/2345678 (030) 1234567 192.168.1.1",
        "01/15/2024 10:30 2024-01-15 [phone] [phone].168.1.1",
    ),
    (
        "4111111111111112 4111111111111111 0.4111111111111111",
        "4111111111111112 [card] 0.4111111111111111",
    ),
    (
        "(415) 555-2671, 415.555.2671, 1-415-555-2671, 4155552671",
        "[phone], [phone], [phone], 4155552671",
    ),
    (
        "问ann@example.com吧 jürgen@bücher.example 555\u{2011}123\u{2011}4567",
        "问[mail]吧 [mail] [phone]",
    ),
    (
        "I have 3 apples (see 4) and + 5 - 6",
        "I have 3 apples (see 4) and + 5 - 6",
    ),
    ("0049 (0)171 2345678", "[phone]"),
    ("", ""),
];

/// Parts of which texts are made that come close to matches.
const PARTS: &[&str] = &[
    "ann",
    "@",
    "example",
    ".",
    "com",
    " ",
    "+49",
    "171",
    "-",
    "4111111111111111",
    "41",
    "0",
    "00",
    "(",
    ")",
    "/",
    "ü",
    "问",
    "\u{2011}",
    "\u{a0}",
    "5552671",
    "415",
    "_",
    "'",
    "1",
    "'o",
    "x.y",
    ",",
];

fn all() -> Shapes {
    shapes("[{kind}]")
}

fn whole(text: &str) -> String {
    let message = Document::parse(json!({ "content": text }).to_string().into()).unwrap();
    let rewritten = rewrite(&all(), message.node("content").unwrap()).unwrap();
    rewritten.map_or_else(
        || text.to_owned(),
        |string| unquote(&string).unwrap().into_owned(),
    )
}

fn in_pieces(scanner: &mut dyn Scanner, pieces: &[&str]) -> String {
    let finder = all();
    let mut given = String::new();
    for piece in pieces {
        given += &scanner.feed(&finder, piece, false).unwrap();
    }
    given + &scanner.feed(&finder, "", true).unwrap()
}

/// The text cut at these places, which are made to lie between characters.
fn cut<'a>(text: &'a str, places: &[usize]) -> Vec<&'a str> {
    let mut places: Vec<usize> = places
        .iter()
        .map(|place| text.floor_char_boundary(*place))
        .collect();
    places.sort_unstable();
    let mut start = 0;
    let mut pieces = Vec::new();
    for place in places {
        pieces.push(&text[start..place]);
        start = place;
    }
    pieces.push(&text[start..]);
    pieces
}

#[test]
fn whole_texts_lose_what_is_looked_for() {
    for (text, expected) in CASES {
        assert_eq!(whole(text), *expected, "{text}");
    }
}

#[test]
fn a_text_in_any_two_or_three_pieces_is_the_same() {
    for (text, expected) in CASES {
        for one in 0..=text.len() {
            for other in one..=text.len() {
                let pieces = cut(text, &[one, other]);
                assert_eq!(
                    in_pieces(&mut PlainScanner::default(), &pieces),
                    *expected,
                    "{pieces:?}"
                );
            }
        }
    }
}

#[test]
fn nothing_that_is_looked_for_is_given_out_early() {
    for secret in [
        "ann@example.com",
        "+49 171 2345678",
        "4111 1111 1111 1111",
        "415-555-2671",
    ] {
        let (mut scanner, mut given) = (PlainScanner::default(), String::new());
        let text = format!("see {secret} there");
        for character in text.chars() {
            given += &scanner
                .feed(&all(), character.encode_utf8(&mut [0; 4]), false)
                .unwrap();
            let begun = &secret[..4];
            assert!(!given.contains(begun), "{given}");
        }
    }
}

#[test]
fn any_text_in_any_pieces_is_what_it_is_whole() {
    let mut numbers = Numbers(20_260_131);
    for _ in 0..20_000 {
        let count = 1 + numbers.below(12);
        let text: String = (0..count)
            .map(|_| PARTS[numbers.below(PARTS.len())])
            .collect();
        let cuts = 1 + numbers.below(6);
        let places: Vec<usize> = (0..cuts).map(|_| numbers.below(text.len() + 1)).collect();
        let pieces = cut(&text, &places);
        assert_eq!(
            in_pieces(&mut PlainScanner::default(), &pieces),
            whole(&text),
            "{pieces:?}"
        );
    }
}

/// A text of parts that come close to matches, with a stretch of anything before it.
fn random_text(numbers: &mut Numbers) -> String {
    let stretch = ["a", " ", "é", "1", "\n"][numbers.below(5)].repeat(numbers.below(70));
    let count = 1 + numbers.below(12);
    let parts = (0..count).map(|_| PARTS[numbers.below(PARTS.len())]);
    std::iter::once(stretch.as_str()).chain(parts).collect()
}

#[test]
fn numbers_are_found_as_by_a_search_at_every_place() {
    let mut numbers = Numbers(20_261_122);
    let mut count = 0;
    for _ in 0..20_000 {
        let text = random_text(&mut numbers);
        let mut start = 0;
        while let Some(found) = number_at_any_place(&text, start) {
            assert_eq!(
                next_number(&all(), &text, start),
                Some(found.clone()),
                "{text}"
            );
            (start, count) = (found.range.end, count + 1);
        }
        assert_eq!(next_number(&all(), &text, start), None, "{text}");
    }
    assert!(count > 1000, "{count} numbers are hardly any");
}

#[test]
fn texts_are_seen_through_their_escapes() {
    let mut numbers = Numbers(20_261_123);
    for _ in 0..20_000 {
        let text = random_text(&mut numbers);
        let mut written = String::new();
        for character in text.chars() {
            match character {
                '\n' => written += "\\n",
                _ if numbers.below(3) > 0 => written.push(character),
                // All of them are of one unit.
                _ => written += &format!("\\u{:04x}", u32::from(character)),
            }
        }
        let body = format!("{{\"content\":\"{written}\"}}");
        let message = Document::parse(body.into()).unwrap();
        let content = message.node("content").unwrap();
        assert_eq!(content.string().unwrap(), text);
        let rewritten = rewrite(&all(), content).unwrap();
        let seen = rewritten.map_or(text.clone(), |json| unquote(&json).unwrap().into_owned());
        assert_eq!(seen, whole(&text), "{written}");
    }
}

#[test]
fn arguments_are_seen_through_their_escapes_and_stay_json() {
    let arguments = json!({"to": "ann@example.com", "n": 1, "note": "call \"+49 171 2345678\"\n"});
    let plain = arguments.to_string();
    let escaped = plain.replace('@', "\\u0040").replace('7', "\\u0037");
    let expected = json!({"to": "[mail]", "n": 1, "note": "call \"[phone]\"\n"});
    for text in [plain, escaped, "{\"card\": 4111111111111111}".to_owned()] {
        for one in 0..=text.len() {
            for other in (one..=text.len()).step_by(3) {
                let given = in_pieces(&mut JsonScanner::default(), &cut(&text, &[one, other]));
                let given: serde_json::Value = serde_json::from_str(&given).unwrap();
                match given.get("card") {
                    Some(card) => assert_eq!(card, "[card]"),
                    None => assert_eq!(given, expected),
                }
            }
        }
    }
}

#[test]
fn arguments_that_are_no_json_lose_nothing() {
    for text in [
        "\\",
        "\\u00",
        "\\u00g0 \\q \"",
        "{\"a\": \"\\ud83d\\ude00",
        "\\u\\u\\u",
    ] {
        for place in 0..=text.len() {
            let given = in_pieces(&mut JsonScanner::default(), &cut(text, &[place]));
            assert_eq!(given, text);
        }
    }
}

#[test]
fn a_long_text_of_half_matches_takes_no_long_time() {
    let hard = ["a.", "@", "a@", "1 ", "(0", "+1", "a@b.", "00", "41 "];
    for part in hard {
        let text = part.repeat(200_000);
        let (mut scanner, finder) = (PlainScanner::default(), all());
        for piece in cut(
            &text,
            &(0..400).map(|at| at * text.len() / 400).collect::<Vec<_>>(),
        ) {
            scanner.feed(&finder, piece, false).unwrap();
        }
        scanner.feed(&finder, "", true).unwrap();
    }
}

#[test]
fn a_request_keeps_everything_else_byte_for_byte() {
    let body = br#"{ "x" : 1.0, "messages":[{"role":"system","content":"ann@example.com"}, {"role":"user","content":"to ann@example.com"}],"n":2,"logprobs":true,"stream":false }"#;
    let session = session("redact", &json!({}));
    let redacted = session.inlet(&bytes::Bytes::from_static(body)).unwrap();
    let expected = r#"{ "x" : 1.0, "messages":[{"role":"system","content":"ann@example.com"}, {"role":"user","content":"to [mail]"}],"stream":false }"#;
    assert_eq!(String::from_utf8_lossy(&redacted), expected);
}

#[test]
fn a_request_without_matches_is_the_same_memory() {
    let session = session("redact", &json!({}));
    let body = bytes(&request(&[("user", json!("hi"))]));
    assert_eq!(session.inlet(&body).unwrap().as_ptr(), body.as_ptr());
}

#[test]
fn valves_choose_what_is_looked_for_and_where() {
    let valves = json!({"mail": false, "replacement": "<{kind}/>", "roles": "user, tool"});
    let chat = request(&[
        ("tool", json!("+49 171 2345678 ann@example.com")),
        ("assistant", json!("+49 171 2345678")),
        (
            "user",
            json!([{"type": "text", "text": "4111 1111 1111 1111"}, {"type": "image_url"}]),
        ),
    ]);
    let redacted = inlet(&session("redact", &valves), &chat).unwrap();
    assert_eq!(
        redacted["messages"][0]["content"],
        "<phone/> ann@example.com"
    );
    assert_eq!(redacted["messages"][1]["content"], "+49 171 2345678");
    assert_eq!(redacted["messages"][2]["content"][0]["text"], "<card/>");
}

#[test]
fn a_conversation_loses_what_the_last_answer_holds() {
    let session = session("redact", &json!({}));
    let call = json!({"function": {"name": "f", "arguments": "{\"to\": \"ann@example.com\"}"}});
    let answer = json!({"role": "assistant", "content": "ann@example.com", "tool_calls": [call]});
    let body = json!({"messages": [{"role": "user", "content": "bob@example.com"}, answer]});
    let seen = parsed(&session.outlet(&bytes(&body)).unwrap());
    assert_eq!(seen["messages"][0]["content"], "bob@example.com");
    assert_eq!(seen["messages"][1]["content"], "[mail]");
    let arguments = &seen["messages"][1]["tool_calls"][0]["function"]["arguments"];
    assert_eq!(arguments, "{\"to\": \"[mail]\"}");
}

#[test]
fn what_is_switched_off_has_no_handlers() {
    let off = filter("redact", &json!({"answers": false}));
    assert!(off.handles("inlet") && !off.handles("stream") && !off.handles("outlet"));
    let off = filter("words", &json!({}));
    assert!(!off.handles("inlet"), "a list without words does nothing");
}
