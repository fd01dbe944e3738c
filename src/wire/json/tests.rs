//! What the gate lets through and what it refuses, with the offsets a caller is told.

use super::*;

fn invalid(text: impl AsRef<[u8]>) -> Option<(usize, Reason)> {
    let invalid = validate(text.as_ref()).err()?;
    Some((invalid.offset, invalid.reason))
}

fn document(text: &str) -> Document {
    Document::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

#[test]
fn valid_values_pass() {
    let values = [
        "null",
        " true ",
        "false",
        "0",
        "-0",
        "-0.0e-0",
        "10",
        "1.5E+3",
        "1e400",
        "\"\"",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "[1 , 2]",
        "{\"a\" : [ {} ] , \"b\":null}",
        "\"\\ud83d\\ude80\"",
        "\"\\u0000\\/\\b\"",
        "\"\u{7f}\u{80}\u{7ff}\u{ffff}\u{10ffff}\"",
        "\r\n\t [1]\r\n",
    ];
    for value in values {
        assert_eq!(invalid(value), None, "{value}");
        serde_json::from_str::<serde_json::Value>(value).unwrap();
    }
}

#[test]
fn each_fault_is_told_with_its_offset() {
    let cases: [(&[u8], usize, Reason); 46] = [
        (b"", 0, Reason::Empty),
        (b" \n", 0, Reason::Empty),
        (b"\xEF\xBB\xBF{}", 0, Reason::ByteOrderMark),
        (b"{\0}\0", 1, Reason::UnexpectedByte),
        (b"\xFF\xFE{\0", 0, Reason::UnexpectedByte),
        (b"{\"a\":NaN}", 5, Reason::NotFinite),
        (b"[Infinity]", 1, Reason::NotFinite),
        (b"[-Infinity]", 1, Reason::NotFinite),
        (b"[01]", 1, Reason::InvalidNumber),
        (b"[-]", 1, Reason::InvalidNumber),
        (b"[-01]", 1, Reason::InvalidNumber),
        (b"[1.]", 1, Reason::InvalidNumber),
        (b"[1.e3]", 1, Reason::InvalidNumber),
        (b"[1e]", 1, Reason::InvalidNumber),
        (b"[1e+]", 1, Reason::InvalidNumber),
        (b"[.5]", 1, Reason::UnexpectedByte),
        (b"[+1]", 1, Reason::UnexpectedByte),
        (b"[0x1]", 2, Reason::UnexpectedByte),
        (b"[1,]", 3, Reason::UnexpectedByte),
        (b"[,1]", 1, Reason::UnexpectedByte),
        (b"[1 2]", 3, Reason::UnexpectedByte),
        (b"[1", 2, Reason::UnexpectedEnd),
        (b"[tru", 4, Reason::UnexpectedEnd),
        (b"[trux]", 1, Reason::UnexpectedByte),
        (b"{\"a\":1,}", 7, Reason::UnexpectedByte),
        (b"{\"a\" 1}", 5, Reason::UnexpectedByte),
        (b"{a:1}", 1, Reason::UnexpectedByte),
        (b"{'a':1}", 1, Reason::UnexpectedByte),
        (b"{\"a\":}", 5, Reason::UnexpectedByte),
        (b"{\"a\"", 4, Reason::UnexpectedEnd),
        (b"{\"a\":1", 6, Reason::UnexpectedEnd),
        (b"\"abc", 4, Reason::UnexpectedEnd),
        (b"\"a\\", 3, Reason::UnexpectedEnd),
        (b"\"a\\x\"", 2, Reason::InvalidEscape),
        (b"\"a\\u12g4\"", 2, Reason::InvalidEscape),
        (b"\"a\\u+123\"", 2, Reason::InvalidEscape),
        (b"\"tab\there\"", 4, Reason::ControlCharacter),
        (b"\"\\ud83d\"", 1, Reason::LoneSurrogate),
        (b"\"\\ud83d\\u0041\"", 1, Reason::LoneSurrogate),
        (b"\"x\\ude80\"", 2, Reason::LoneSurrogate),
        (
            b"{\"a\":{\"$serde_json::private::Number\":\"x\"}}",
            6,
            Reason::ReservedKey,
        ),
        (
            b"{\"\\u0024serde_json::private::RawValue\":\"1\"}",
            1,
            Reason::ReservedKey,
        ),
        (b"{} x", 3, Reason::TrailingData),
        (b"{}{}", 2, Reason::TrailingData),
        (b"{\"a\":1,\"b\":2,\"a\":3}", 13, Reason::DuplicateKey),
        (
            b"[{\"x\":{\"a\":1,\"\\u0061\":2}}]",
            13,
            Reason::DuplicateKey,
        ),
    ];
    for (text, offset, reason) in cases {
        assert_eq!(
            invalid(text),
            Some((offset, reason)),
            "{}",
            text.escape_ascii()
        );
    }
}

#[test]
fn bytes_that_are_no_utf8_are_refused_wherever_they_stand() {
    let sequences: [&[u8]; 9] = [
        b"\x80",
        b"\xC0\xAF",
        b"\xE0\x80\xAF",
        b"\xF0\x80\x80\xAF",
        b"\xED\xA0\x80",
        b"\xF4\x90\x80\x80",
        b"\xC3",
        b"\xE2\x82",
        b"\xFF",
    ];
    for sequence in sequences {
        for padding in 0..20 {
            let text = [b"\"".as_slice(), &vec![b'x'; padding], sequence, b"\""].concat();
            let expected = Some((1 + padding, Reason::InvalidUtf8));
            assert_eq!(invalid(&text), expected, "{}", text.escape_ascii());
        }
    }
}

#[test]
fn every_special_byte_is_found_at_every_place_of_a_string() {
    for length in 0..40 {
        for place in 0..length {
            for byte in 0..=127u8 {
                let mut text = vec![b'x'; length + 2];
                (text[0], text[length + 1]) = (b'"', b'"');
                text[place + 1] = byte;
                let ours = validate(&text).is_ok();
                let theirs = serde_json::from_slice::<serde_json::Value>(&text).is_ok();
                assert_eq!(ours, theirs, "{}", text.escape_ascii());
            }
        }
    }
}

#[test]
fn every_cut_and_every_changed_byte_is_judged_as_the_reference_parser_does() {
    let text = r#"{"model":"m","n":-1.5e3,"messages":[{"role":"user","content":"a\"\u00e9é\n"},{}],"stream":true,"x":null}"#;
    for cut in 0..text.len() {
        assert!(validate(&text.as_bytes()[..cut]).is_err(), "cut at {cut}");
    }
    for place in 0..text.len() {
        for byte in 0..=255u8 {
            let mut changed = text.as_bytes().to_vec();
            changed[place] = byte;
            let theirs = serde_json::from_slice::<serde_json::Value>(&changed).is_ok();
            let duplicate = matches!(invalid(&changed), Some((_, Reason::DuplicateKey)));
            let ours = validate(&changed).is_ok() || duplicate;
            // The reference parser is content with lone surrogates nowhere, as we are.
            assert_eq!(ours, theirs, "{}", changed.escape_ascii());
        }
    }
}

#[test]
fn nesting_is_allowed_to_the_limit_and_no_deeper() {
    let nested = |depth| ["[".repeat(depth), "]".repeat(depth)].concat();
    assert_eq!(invalid(nested(MAX_DEPTH)), None);
    assert_eq!(
        invalid(nested(MAX_DEPTH + 1)),
        Some((MAX_DEPTH, Reason::TooDeep))
    );
    assert_eq!(
        invalid("[".repeat(1_000_000)),
        Some((MAX_DEPTH, Reason::TooDeep))
    );
}

#[test]
fn the_gate_and_the_reader_of_trees_have_one_limit() {
    let reads = |depth: usize, open: &str, close: &str| {
        let text = [open.repeat(depth), "1".to_owned(), close.repeat(depth)].concat();
        let tree = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        (validate(text.as_bytes()).is_ok(), tree)
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":[", "]}]")] {
        let at_once = open.matches(['[', '{']).count();
        let deepest = MAX_DEPTH / at_once;
        assert_eq!(reads(deepest, open, close), (true, true), "{open}");
        assert_eq!(reads(deepest + 1, open, close), (false, false), "{open}");
    }
}

#[test]
fn what_is_wrapped_may_be_as_deep_as_what_is_not() {
    let nested = |depth| ["[".repeat(depth), "]".repeat(depth)].concat();
    let wrapped = |depth| Bytes::from(format!("{{\"events\":[{}]}}", nested(depth)));
    let events = |depth| {
        let reply = Document::parse_around(wrapped(depth), 2).ok()?;
        elements_around(&reply.raw("events")?, 1).ok()
    };
    assert_eq!(events(MAX_DEPTH), Some(vec![nested(MAX_DEPTH).into()]));
    assert_eq!(events(MAX_DEPTH + 1), None);
    assert!(Document::parse(wrapped(MAX_DEPTH)).is_err());
}

#[test]
fn duplicates_are_found_among_many_keys_too() {
    for count in [2, 15, 16, 17, 18, 500] {
        let keys: Vec<String> = (0..count).map(|n| format!("\"k{n}\":0")).collect();
        let distinct = format!("{{{}}}", keys.join(","));
        assert_eq!(invalid(&distinct), None, "{count} keys");
        let repeated = format!("{{{},\"\\u006b0\":0,\"k1\":1}}", keys.join(","));
        let offset = distinct.len();
        assert_eq!(
            invalid(&repeated),
            Some((offset, Reason::DuplicateKey)),
            "{count} keys"
        );
    }
}

#[test]
fn equal_keys_in_different_objects_are_no_duplicates() {
    assert_eq!(
        invalid(r#"{"a":{"a":[{"a":1},{"a":2}]},"b":{"a":1}}"#),
        None
    );
}

#[test]
fn a_document_must_be_an_object_and_elements_an_array() {
    let parse = |text: &'static str| Document::parse(Bytes::from_static(text.as_bytes())).err();
    let split = |text: &'static str| elements(&Bytes::from_static(text.as_bytes())).err();
    let invalid = |offset, reason| Some(InvalidJson { offset, reason });
    assert_eq!(parse(" [1]"), invalid(1, Reason::NotAnObject));
    assert_eq!(parse("[1"), invalid(2, Reason::UnexpectedEnd));
    assert_eq!(parse("{}1"), invalid(2, Reason::TrailingData));
    assert_eq!(split("{}"), invalid(0, Reason::NotAnArray));
    assert_eq!(
        split("[{\"a\":1,\"a\":1}]"),
        invalid(8, Reason::DuplicateKey)
    );
}

#[test]
fn the_message_names_the_fault_and_the_offset() {
    let invalid = validate(b"{\"a\":1,\"a\":2}").unwrap_err();
    assert_eq!(invalid.to_string(), "duplicate key at byte 7");
}

#[test]
fn members_are_read_where_they_stand() {
    let document = document(
        r#" {"m\u006fdel" : "a\n\ud83d\ude80", "stream": true, "n": 1 , "o": {"p":[ ]}} "#,
    );
    assert_eq!(document.string("model").as_deref(), Some("a\n\u{1f680}"));
    assert_eq!(document.boolean("stream"), Some(true));
    assert_eq!(document.boolean("n"), None);
    assert_eq!(document.string("n"), None);
    assert_eq!(document.kind("o"), Some(Kind::Object));
    assert_eq!(document.kind("missing"), None);
    assert_eq!(document.raw("o").unwrap(), r#"{"p":[ ]}"#);
    let keys: Vec<_> = document.iter().map(|(key, _)| key.into_owned()).collect();
    assert_eq!(keys, ["model", "stream", "n", "o"]);
}

#[test]
fn raw_values_share_the_memory_of_the_document() {
    let document = document(r#"{"model":"m","messages":[1]}"#);
    let raw = document.raw("messages").unwrap();
    assert!(document.bytes().as_ptr_range().contains(&raw.as_ptr()));
}

#[test]
fn elements_are_read_where_they_stand() {
    let array = Bytes::from_static(b" [1, {\"a\":[2]} ,\"x\"]");
    assert_eq!(elements(&array).unwrap(), ["1", "{\"a\":[2]}", "\"x\""]);
    assert!(elements(&Bytes::from_static(b"[]")).unwrap().is_empty());
}

#[test]
fn edits_keep_order_and_everything_untouched() {
    let document = document("{ \"a\": 1,\n \"b\" : 2, \"c\":3 }");
    let one = || Bytes::from_static(b"[9]");
    assert_eq!(document.edit().finish(), document.bytes());
    assert_eq!(
        document.edit().set("b", one()).finish(),
        "{ \"a\": 1,\n \"b\" : [9], \"c\":3 }"
    );
    assert_eq!(
        document.edit().remove("a").finish(),
        "{ \"b\" : 2, \"c\":3 }"
    );
    assert_eq!(
        document.edit().remove("b").finish(),
        "{ \"a\": 1, \"c\":3 }"
    );
    assert_eq!(
        document.edit().remove("c").finish(),
        "{ \"a\": 1,\n \"b\" : 2 }"
    );
    let added = document.edit().set("d\"", one()).remove("a").finish();
    assert_eq!(added, "{ \"b\" : 2, \"c\":3,\"d\\\"\":[9] }");
    let emptied = document
        .edit()
        .remove("a")
        .remove("b")
        .remove("c")
        .set("z", one())
        .finish();
    assert_eq!(emptied, "{ \"z\":[9] }");
}

#[test]
fn edits_of_an_empty_object_and_repeated_edits_hold() {
    let document = document(" { } ");
    assert_eq!(
        document.edit().set_string("a", "é\n").finish(),
        " {\"a\":\"é\\n\" } "
    );
    let twice = document
        .edit()
        .set("a", quote("x"))
        .set("a", quote("y"))
        .finish();
    assert_eq!(twice, " {\"a\":\"y\" } ");
    let gone = document.edit().set("a", quote("x")).remove("a").finish();
    assert_eq!(gone, " { } ");
}

#[test]
fn edits_within_values_touch_nothing_else() {
    let document = document("{ \"a\" : [1, {\"b\": 2 }] ,\"c\":{ }, \"d\":4}");
    let node = |key: &str| document.node(key).unwrap();
    let new = |raw: &'static str| Bytes::from_static(raw.as_bytes());
    let b = node("a")
        .elements()
        .nth(1)
        .and_then(|object| object.get("b"));
    let b = b.unwrap().range();
    let c = node("c").range();
    let mut edit = document.edit();
    assert!(edit.is_empty() && edit.changed().is_none());
    let splices = edit.splices();
    splices.add(c.end - 1..c.end - 1, new("\"x\":0"));
    splices.add(b, new("[]"));
    splices.add(
        node("a").range().start + 1..node("a").range().start + 2,
        new("9"),
    );
    let expected = "{ \"a\" : [9, {\"b\": [] }] ,\"c\":{ \"x\":0}, \"d\":4}";
    assert_eq!(splices.applied(document.bytes()).unwrap(), expected);
    assert_eq!(edit.finish(), expected);
    assert_eq!(edit.changed().unwrap(), expected);
    edit.remove("a").set("d", new("5")).set("e", new("6"));
    assert_eq!(edit.finish(), "{ \"c\":{ \"x\":0}, \"d\":5,\"e\":6}");
}

#[test]
fn an_edit_finds_a_key_by_its_text() {
    let document = document(r#"{"\u0061":1}"#);
    assert_eq!(
        document.edit().set("a", Bytes::from_static(b"2")).finish(),
        r#"{"\u0061":2}"#
    );
}

#[test]
fn a_string_says_what_it_stands_for_however_it_is_spelt() {
    let text = r#"{"a": "plain", "b": "pl\u0061in", "c": "pl\\u0061in", "d": 1, "e": ["plain"]}"#;
    let document = Document::parse(Bytes::from(text)).unwrap();
    assert!(document.says("a", "plain") && document.says("b", "plain"));
    assert!(document.says("c", r"pl\u0061in") && !document.says("b", r"pl\u0061in"));
    for key in ["c", "d", "e", "f"] {
        assert!(!document.says(key, "plain"), "{key}");
    }
    assert!(!document.says("a", "plai") && !document.says("a", ""));
}

#[test]
fn unquote_survives_strings_that_did_not_pass_the_gate() {
    assert_eq!(unquote(br#""a\ud83d!""#).as_deref(), Some("a\u{fffd}!"));
    assert_eq!(
        unquote(br#""a\ud83d\u0041""#).as_deref(),
        Some("a\u{fffd}A")
    );
    assert_eq!(unquote(br#""a\ud8""#).as_deref(), Some("a\u{d8}"));
    assert_eq!(unquote(b"12"), None);
    assert_eq!(unquote(b"\""), None);
}

#[test]
fn texts_end_where_they_end_however_long_they_are() {
    for length in 0..200 {
        let text = "a".repeat(length);
        assert_eq!(invalid(format!("\"{text}\"")), None);
        assert_eq!(invalid(format!("\"{text}\\n{text}\"")), None);
        assert_eq!(invalid(format!("\"{text}\u{e9}{text}\"")), None);
        let at = length + 1;
        for (rest, offset, reason) in [
            (&b"\x1fbc\""[..], at, Reason::ControlCharacter),
            (b"\\x\"", at, Reason::InvalidEscape),
            (b"bc\xff\"", at + 2, Reason::InvalidUtf8),
            (b"bc", at + 2, Reason::UnexpectedEnd),
        ] {
            let bytes = [b"\"", text.as_bytes(), rest].concat();
            assert_eq!(invalid(&bytes), Some((offset, reason)), "{length}");
        }
    }
}
