//! A tool the demo model may call, and a call of it.

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A tool as a request offers it.
#[derive(Debug, Deserialize)]
pub(super) struct Tool {
    #[serde(default)]
    function: Function,
}

#[derive(Debug, Default, Deserialize)]
struct Function {
    #[serde(default)]
    name: String,
    #[serde(default)]
    parameters: Value,
}

impl Tool {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.function.name
    }

    /// A value for everything that has a default or must be there.
    fn arguments(&self) -> Map<String, Value> {
        let parameters = &self.function.parameters;
        let is_required = |name: &str| {
            let required = parameters["required"].as_array();
            required.is_some_and(|required| required.iter().any(|item| item == name))
        };
        let properties = parameters["properties"].as_object().into_iter().flatten();
        properties
            .filter(|(name, schema)| is_required(name) || schema.get("default").is_some())
            .map(|(name, schema)| (name.clone(), sample(schema)))
            .collect()
    }
}

/// A call of `tool`.
pub(super) fn call(tool: &Tool) -> Value {
    json!({
        "id": format!("call_{}", tool.name()),
        "type": "function",
        "function": {
            "name": tool.name(),
            "arguments": Value::Object(tool.arguments()).to_string(),
        },
    })
}

/// A call as it stands in a streamed chunk.
pub(super) fn with_index(call: &Value) -> Value {
    let mut indexed = json!({"index": 0});
    if let (Some(indexed), Some(call)) = (indexed.as_object_mut(), call.as_object()) {
        indexed.extend(call.clone());
    }
    indexed
}

/// The default, else the first allowed value, else something of the right type.
fn sample(schema: &Value) -> Value {
    if let Some(default) = schema.get("default") {
        return default.clone();
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ => json!("example"),
    }
}
