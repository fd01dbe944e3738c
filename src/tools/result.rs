//! What a tool's result says to a model: text.

use serde_json::{Value, json};

/// The text of a result. Objects and lists are JSON with an indent of 2, a list under `results`; pictures and other
/// data URLs in a list are nothing to read and are left out.
pub(super) fn text_of(result: &[u8]) -> String {
    match serde_json::from_slice(result) {
        Ok(Value::String(text)) => text,
        Ok(Value::Null) => String::new(),
        Ok(Value::Array(items)) => {
            let kept: Vec<Value> = items
                .into_iter()
                .filter(|item| !is_data_url(item))
                .collect();
            pretty(&json!({"results": kept}))
        }
        Ok(value) => pretty(&value),
        Err(_) => String::from_utf8_lossy(result).into_owned(),
    }
}

fn is_data_url(item: &Value) -> bool {
    item.as_str().is_some_and(|text| text.starts_with("data:"))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("a JSON value can always be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_read_as_recorded() {
        for (result, text) in [
            (r#"{"a":"é"}"#, "{\n  \"a\": \"é\"\n}"),
            (
                r#"[1,"data:image/png;base64,AA",2]"#,
                "{\n  \"results\": [\n    1,\n    2\n  ]\n}",
            ),
            (r#""plain \"text\"""#, "plain \"text\""),
            ("null", ""),
            ("3.5", "3.5"),
            ("true", "true"),
        ] {
            assert_eq!(text_of(result.as_bytes()), text);
        }
    }
}
