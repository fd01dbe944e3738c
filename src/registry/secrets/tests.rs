use serde_json::json;

use super::*;

fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

#[test]
fn names_tell_secrets() {
    for name in [
        "OPENAI_API_KEY",
        "api_key",
        "apiKey",
        "openaiApikey",
        "token",
        "accessToken",
        "client_secret",
        "db_password",
        "Authorization",
    ] {
        assert!(is_secret_name(name), "{name}");
    }
    for name in [
        "word",
        "keywords",
        "monkey_mode",
        "priority",
        "tokenizer",
        "limit",
    ] {
        assert!(!is_secret_name(name), "{name}");
    }
}

#[test]
fn secrets_are_masked_by_name_mark_and_form() {
    let spec = json!({
        "$defs": {"Inner": {"properties": {"pin": {"format": "password"}}}},
        "properties": {
            "marked": {"input": {"type": "password"}},
            "maybe": {"anyOf": [{"format": "password"}, {"type": "null"}]},
            "inner": {"$ref": "#/$defs/Inner"},
        }
    });
    let values = json!({
        "marked": 1234, "maybe": "m", "inner": {"pin": "p", "plain": "x", "token": "t"},
        "api_key": "k", "api_keys": ["a", ""], "max_tokens": 5, "word": "w", "secret": null,
        "url": "https://me:pass@host/x", "plain_url": "https://host:1/x@y",
    });
    let expected = json!({
        "marked": MASK, "maybe": MASK, "inner": {"pin": MASK, "plain": "x", "token": MASK},
        "api_key": MASK, "api_keys": [MASK, ""], "max_tokens": 5, "word": "w", "secret": null,
        "url": MASK, "plain_url": "https://host:1/x@y",
    });
    assert_eq!(mask(&values, &spec), expected);
}

#[test]
fn defaults_of_secrets_are_masked_in_the_schema() {
    let spec = json!({
        "$defs": {"Inner": {"properties": {"token": {"default": "t"}}}},
        "properties": {"api_key": {"default": "k"}, "word": {"default": "w"}, "key": {"default": ""}}
    });
    let shown = mask_spec(&spec);
    assert_eq!(shown["properties"]["api_key"]["default"], MASK);
    assert_eq!(
        shown["$defs"]["Inner"]["properties"]["token"]["default"],
        MASK
    );
    assert_eq!(shown["properties"]["word"]["default"], "w");
    assert_eq!(shown["properties"]["key"]["default"], "");
    assert_eq!(mask_spec(&Value::Null), Value::Null);
}

#[test]
fn a_name_makes_free_text_secret_and_nothing_else() {
    let spec = json!({
        "$defs": {"Mode": {"enum": ["strict", "loose"], "type": "string"}},
        "properties": {
            "max_tokens": {"type": "integer", "default": "4096"},
            "token_ratio": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": "0.5"},
            "token_mode": {"$ref": "#/$defs/Mode", "default": "strict"},
            "key_mode": {"anyOf": [{"$ref": "#/$defs/Mode"}, {"type": "null"}], "default": "loose"},
            "key_kind": {"const": "rsa", "default": "rsa"},
            "key_kinds": {"type": "array", "items": {"enum": ["rsa", "ec"]}, "default": ["ec"]},
            "token": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": "t"},
            "keys": {"type": "array", "items": {"type": "string"}, "default": ["k"]},
            "token_or_limit": {"anyOf": [{"type": "integer"}, {"type": "string"}], "default": "t"},
            "secret_mode": {"enum": ["a"], "format": "password", "default": "a"},
        }
    });
    let shown = mask_spec(&spec);
    let default = |name: &str| shown["properties"][name]["default"].clone();
    for name in [
        "max_tokens",
        "token_ratio",
        "token_mode",
        "key_mode",
        "key_kind",
        "key_kinds",
    ] {
        assert_eq!(default(name), spec["properties"][name]["default"], "{name}");
    }
    for name in ["token", "token_or_limit", "secret_mode"] {
        assert_eq!(default(name), MASK, "{name}");
    }
    assert_eq!(default("keys"), json!([MASK]));
    let values = json!({"token_mode": "loose", "key_kinds": ["rsa"], "token": "t"});
    let expected = json!({"token_mode": "loose", "key_kinds": ["rsa"], "token": MASK});
    assert_eq!(mask(&values, &spec), expected);
}

#[test]
fn a_mask_that_comes_back_keeps_what_is_stored() {
    let stored = object(json!({"api_key": "k", "keys": ["a", "b"], "inner": {"token": "t"}}));
    let sent = object(json!({
        "api_key": MASK, "keys": [MASK, "new"], "inner": {"token": MASK, "x": 1}, "other_key": MASK,
    }));
    let expected = object(json!({
        "api_key": "k", "keys": ["a", "new"], "inner": {"token": "t", "x": 1},
    }));
    assert_eq!(unmask(sent, &stored), Ok(expected));
    let shorter = object(json!({"keys": [MASK]}));
    assert_eq!(unmask(shorter, &stored), Err(LooseMask("keys".to_owned())));
}

#[test]
fn what_was_sent_comes_back_and_no_more() {
    let stored = json!({"key": "new", "token": "stored", "word": "w"});
    let sent = object(json!({"key": "new", "token": MASK, "word": "w"}));
    let expected = json!({"key": "new", "token": MASK, "word": "w"});
    assert_eq!(echo(&stored, &sent, &Value::Null), expected);
}

#[test]
fn what_did_not_fit_is_not_repeated() {
    let message = "1 error\nkey\n  Too long [type=x, input_value='sk-1', input_type=str]\n    see";
    assert_eq!(
        without_inputs(message),
        "1 error\nkey\n  Too long [type=x, input_value=********, input_type=str]\n    see"
    );
    assert_eq!(without_inputs("plain"), "plain");
}
