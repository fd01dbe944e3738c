//! The fields of valves: one table gives the JSON schema, the check of what an operator sends, and typed values.

use std::fmt;

use serde_json::{Map, Number, Value, json};

/// The valve by which filters are ordered.
pub(super) const PRIORITY: &str = "priority";

/// The field that all valves have.
pub(super) const PRIORITY_FIELD: Field = Field {
    name: PRIORITY,
    about: "Place in the chain, lowest first.",
    shape: Shape::Integer {
        default: 0,
        min: i64::MIN,
    },
};

/// One field of valves.
#[derive(Debug)]
pub(super) struct Field {
    /// Its name.
    pub(super) name: &'static str,
    /// What it says, for people.
    pub(super) about: &'static str,
    /// What its values are.
    pub(super) shape: Shape,
}

/// What values a field has, and the one where nothing is stored.
#[derive(Debug)]
pub(super) enum Shape {
    /// True or false.
    Flag(bool),
    /// A whole number of at least `min`.
    Integer {
        /// Where nothing is stored.
        default: i64,
        /// The least that is allowed.
        min: i64,
    },
    /// A number between two others.
    Number {
        /// Where nothing is stored.
        default: f64,
        /// The least that is allowed.
        min: f64,
        /// The most that is allowed.
        max: f64,
    },
    /// A text.
    Text(&'static str),
    /// One of these words; the first where nothing is stored.
    Choice(&'static [&'static str]),
}

/// Why valves do not fit. It quotes no value, because that may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake(String);

impl Mistake {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mistake {}

/// The JSON schema of a class `title` with these fields, as Python's has it.
pub(super) fn schema(title: &str, fields: &[Field]) -> Value {
    let properties = fields
        .iter()
        .map(|field| (field.name.to_owned(), field.schema()));
    let properties: Map<String, Value> = properties.collect();
    json!({"properties": properties, "title": title, "type": "object"})
}

/// Checks values against fields; those that were given, in their field's type.
///
/// # Errors
///
/// Everything that does not fit, in one text.
pub(super) fn check(
    fields: &[Field],
    values: &Map<String, Value>,
) -> Result<Map<String, Value>, Mistake> {
    let (mut checked, mut mistakes) = (Map::new(), Vec::new());
    for (name, value) in values.iter().filter(|(_, value)| !value.is_null()) {
        match fields.iter().find(|field| field.name == name) {
            None => mistakes.push(unknown(fields, name)),
            Some(field) => match field.shape.read(value) {
                Some(read) => drop(checked.insert(name.clone(), read)),
                None => mistakes.push(format!("`{name}` must be {}", field.shape)),
            },
        }
    }
    match mistakes.is_empty() {
        true => Ok(checked),
        false => Err(Mistake(mistakes.join("; "))),
    }
}

fn unknown(fields: &[Field], name: &str) -> String {
    let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
    format!(
        "there is no valve `{name}`; there are: {}",
        names.join(", ")
    )
}

impl Field {
    fn schema(&self) -> Value {
        let mut schema = match &self.shape {
            Shape::Flag(_) => json!({"type": "boolean"}),
            Shape::Integer { min: i64::MIN, .. } => json!({"type": "integer"}),
            Shape::Integer { min, .. } => json!({"type": "integer", "minimum": min}),
            Shape::Number { min, max, .. } => {
                json!({"type": "number", "minimum": min, "maximum": max})
            }
            Shape::Text(_) => json!({"type": "string"}),
            Shape::Choice(words) => json!({"type": "string", "enum": words}),
        };
        schema["default"] = self.shape.default();
        schema["description"] = json!(self.about);
        schema["title"] = json!(title(self.name));
        schema
    }
}

/// `max_turns` as `Max Turns`, which is how pydantic names fields.
fn title(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    });
    words.collect::<Vec<_>>().join(" ")
}

impl Shape {
    fn default(&self) -> Value {
        match self {
            Self::Flag(flag) => json!(flag),
            Self::Integer { default, .. } => json!(default),
            Self::Number { default, .. } => json!(default),
            Self::Text(text) => json!(text),
            Self::Choice(words) => json!(words.first()),
        }
    }

    /// A value in this field's type, `None` if it is none. Forms send numbers and flags as text.
    fn read(&self, value: &Value) -> Option<Value> {
        match self {
            Self::Flag(_) => match value {
                Value::Bool(_) => Some(value.clone()),
                Value::String(text) => text
                    .trim()
                    .to_ascii_lowercase()
                    .parse()
                    .ok()
                    .map(Value::Bool),
                _ => None,
            },
            Self::Integer { min, .. } => integer(value)
                .filter(|number| number >= min)
                .map(Value::from),
            Self::Number { min, max, .. } => number(value)
                .filter(|number| (*min..=*max).contains(number))
                .and_then(Number::from_f64)
                .map(Value::Number),
            Self::Text(_) => value.as_str().map(Value::from),
            Self::Choice(words) => value
                .as_str()
                .filter(|word| words.contains(word))
                .map(Value::from),
        }
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_i64(),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_f64(),
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(_) => f.write_str("true or false"),
            Self::Integer { min: i64::MIN, .. } => f.write_str("a whole number"),
            Self::Integer { min, .. } => write!(f, "a whole number of at least {min}"),
            Self::Number { min, max, .. } => write!(f, "a number from {min} to {max}"),
            Self::Text(_) => f.write_str("a text"),
            Self::Choice(words) => write!(f, "one of: {}", words.join(", ")),
        }
    }
}

/// The values of all fields, with defaults where nothing is stored.
#[derive(Debug)]
pub(super) struct Values(Map<String, Value>);

impl Values {
    /// The values under `stored`, which were checked against the same fields.
    pub(super) fn new(fields: &[Field], stored: &Map<String, Value>) -> Self {
        let values = fields.iter().map(|field| {
            let value = stored.get(field.name).cloned();
            let value = value.unwrap_or_else(|| field.shape.default());
            (field.name.to_owned(), value)
        });
        Self(values.collect())
    }

    /// A field that is true or false.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.0[name].as_bool().unwrap_or_default()
    }

    /// A field that is a whole number, 0 if it is below.
    pub(super) fn count(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or_default()
    }

    /// A field that is a number.
    pub(super) fn number(&self, name: &str) -> f64 {
        self.0[name].as_f64().unwrap_or_default()
    }

    /// A field that is a text or one of several words.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    /// The words in a text, which are divided by commas or line ends.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        let items = self.text(name).split([',', '\n']).map(str::trim);
        items.filter(|item| !item.is_empty()).collect()
    }
}
