//! Secrets among valves: masked whenever they are shown, and put back when the mask comes back.
//!
//! A value is secret by its field's mark (`input.type: password`, `format: password`, `writeOnly`, a class like
//! `EncryptedStr`), by its name (most secret fields of the community carry no mark) if the field takes free text, or
//! because it is an address with a password in it.

use serde_json::{Map, Value};

/// What is shown in the place of a secret. Whoever sends it back means the value that is stored.
pub const MASK: &str = "********";

/// Words that, as a part of a field's name, say that its text is secret.
const WORDS: &[&str] = &[
    "key",
    "keys",
    "token",
    "tokens",
    "secret",
    "secrets",
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "pwd",
    "credential",
    "credentials",
    "authorization",
    "bearer",
    "cookie",
    "cookies",
];

/// Endings that say so where names are written together.
const ENDINGS: &[&str] = &["apikey", "token", "secret", "password"];

/// A mask that stands for no stored value; it holds the field's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LooseMask(pub String);

/// Values as they are shown: secrets are masked. `spec` is the JSON schema of their class, or null.
#[must_use]
pub fn mask(values: &Value, spec: &Value) -> Value {
    let Value::Object(members) = values else {
        return values.clone();
    };
    let masked = members.iter().map(|(name, value)| {
        let schema = property(spec, name);
        let is_marked = is_marked(spec, schema);
        let value = if is_marked || is_secret_by_name(name, spec, schema) {
            masked(value, is_marked)
        } else {
            mask_inside(value, spec, schema)
        };
        (name.clone(), value)
    });
    Value::Object(masked.collect())
}

/// A JSON schema as it is shown: the defaults of secrets, which may come from the environment, are masked.
#[must_use]
pub fn mask_spec(spec: &Value) -> Value {
    let mut shown = spec.clone();
    mask_defaults(&mut shown, spec);
    if let Some(Value::Object(definitions)) = shown.get_mut("$defs") {
        for definition in definitions.values_mut() {
            mask_defaults(definition, spec);
        }
    }
    shown
}

fn mask_defaults(shown: &mut Value, spec: &Value) {
    let Some(Value::Object(properties)) = shown.get_mut("properties") else {
        return;
    };
    for (name, schema) in properties {
        let is_marked = is_marked(spec, schema);
        let is_secret = is_marked || is_secret_by_name(name, spec, schema);
        if let Some(default) = schema.get_mut("default") {
            *default = match is_secret {
                true => masked(default, is_marked),
                false => mask_inside(default, spec, &Value::Null),
            };
        }
    }
}

/// Puts what is stored in the place of masks that came back unchanged. A mask for a field that is not stored is left
/// out.
///
/// # Errors
///
/// If a mask within a value stands for nothing.
pub fn unmask(
    values: Map<String, Value>,
    stored: &Map<String, Value>,
) -> Result<Map<String, Value>, LooseMask> {
    let mut unmasked = Map::new();
    for (name, value) in values {
        match stored.get(&name) {
            None if value == MASK => {}
            stored => {
                let value = unmask_value(value, stored).ok_or_else(|| LooseMask(name.clone()))?;
                unmasked.insert(name, value);
            }
        }
    }
    Ok(unmasked)
}

fn unmask_value(value: Value, stored: Option<&Value>) -> Option<Value> {
    match value {
        Value::String(text) if text == MASK => stored.cloned(),
        Value::Array(items) => {
            let stored = stored.and_then(Value::as_array);
            // Items that moved are told by nothing, so only a list of the same length is read by position.
            let stored = stored.filter(|stored| stored.len() == items.len());
            let item = |(at, item)| unmask_value(item, stored.and_then(|stored| stored.get(at)));
            let items = items.into_iter().enumerate().map(item);
            items.collect::<Option<Vec<_>>>().map(Value::Array)
        }
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| {
                let stored = stored.and_then(|stored| stored.get(&name));
                unmask_value(value, stored).map(|value| (name, value))
            });
            members.collect::<Option<Map<_, _>>>().map(Value::Object)
        }
        value => Some(value),
    }
}

/// Stored values as they are shown to whoever has just sent them: what was sent comes back, and a mask stays one.
pub(super) fn echo(stored: &Value, sent: &Map<String, Value>, spec: &Value) -> Value {
    let mut shown = mask(stored, spec);
    let (Some(members), Some(stored)) = (shown.as_object_mut(), stored.as_object()) else {
        return shown;
    };
    for (name, value) in members {
        let was_sent = sent.get(name).is_some_and(|sent| !holds_mask(sent));
        if let Some(stored) = stored.get(name).filter(|_| was_sent) {
            stored.clone_into(value);
        }
    }
    shown
}

fn holds_mask(value: &Value) -> bool {
    match value {
        Value::String(text) => text == MASK,
        Value::Array(items) => items.iter().any(holds_mask),
        Value::Object(members) => members.values().any(holds_mask),
        _ => false,
    }
}

/// pydantic's words about values that do not fit, without the values.
pub(super) fn without_inputs(message: &str) -> String {
    const BEGIN: &str = "input_value=";
    const END: &str = ", input_type=";
    let mut rest = message;
    let mut without = String::with_capacity(message.len());
    while let Some((before, after)) = rest.split_once(BEGIN) {
        without.push_str(before);
        without.push_str(BEGIN);
        without.push_str(MASK);
        rest = after.find(END).map_or("", |end| &after[end..]);
    }
    without + rest
}

/// A secret value; what is empty shows that nothing is set. Numbers and switches are no secrets unless marked.
fn masked(value: &Value, is_marked: bool) -> Value {
    match value {
        Value::String(text) if text.is_empty() => value.clone(),
        Value::String(_) => MASK.into(),
        Value::Number(_) if is_marked => MASK.into(),
        Value::Array(items) => items.iter().map(|item| masked(item, is_marked)).collect(),
        Value::Object(members) => {
            let members = members.iter();
            Value::Object(
                members
                    .map(|(name, value)| (name.clone(), masked(value, is_marked)))
                    .collect(),
            )
        }
        value => value.clone(),
    }
}

/// A value that is not secret as a whole, with the secrets in it masked.
fn mask_inside(value: &Value, spec: &Value, schema: &Value) -> Value {
    match value {
        Value::String(text) if has_password(text) => MASK.into(),
        Value::Array(items) => items
            .iter()
            .map(|item| mask_inside(item, spec, schema.get("items").unwrap_or(&Value::Null)))
            .collect(),
        Value::Object(_) => {
            // Members of nested classes are looked up in their own schema; `$defs` stay those of the whole.
            let mut own = resolved(spec, schema).clone();
            if let (Some(definitions), Some(own)) = (spec.get("$defs"), own.as_object_mut()) {
                own.insert("$defs".to_owned(), definitions.clone());
            }
            mask(value, &own)
        }
        value => value.clone(),
    }
}

fn property<'a>(spec: &'a Value, name: &str) -> &'a Value {
    spec.get("properties")
        .and_then(|properties| properties.get(name))
        .unwrap_or(&Value::Null)
}

/// Whether a field's schema, or one that it refers to, marks it as secret.
fn is_marked(spec: &Value, schema: &Value) -> bool {
    let is_password = |schema: &Value| {
        schema["input"]["type"] == "password"
            || schema["format"] == "password"
            || schema["writeOnly"] == true
    };
    let alternatives = ["anyOf", "allOf", "oneOf"]
        .into_iter()
        .filter_map(|kind| schema.get(kind)?.as_array())
        .flatten();
    is_password(schema)
        || is_password(resolved(spec, schema))
        || alternatives.into_iter().any(is_password)
}

/// The schema that a reference leads to, through optional ones too.
fn resolved<'a>(spec: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = |schema: &'a Value| -> Option<&'a Value> {
        let name = schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
        spec.get("$defs")?.get(name)
    };
    let alternatives = ["anyOf", "allOf", "oneOf"]
        .into_iter()
        .filter_map(|kind| schema.get(kind)?.as_array())
        .flatten();
    reference(schema)
        .or_else(|| alternatives.into_iter().find_map(reference))
        .unwrap_or(schema)
}

/// Whether a field without a mark is secret: its name says so, and it takes text that is not among those that its schema
/// lists for everybody.
fn is_secret_by_name(name: &str, spec: &Value, schema: &Value) -> bool {
    is_secret_name(name) && takes_free_text(spec, schema)
}

fn takes_free_text(spec: &Value, schema: &Value) -> bool {
    for kind in ["anyOf", "allOf", "oneOf"] {
        if let Some(alternatives) = schema.get(kind).and_then(Value::as_array) {
            let mut alternatives = alternatives.iter();
            return alternatives.any(|alternative| takes_free_text(spec, alternative));
        }
    }
    let schema = resolved(spec, schema);
    if schema.get("enum").is_some() || schema.get("const").is_some() {
        return false;
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("integer" | "number" | "boolean" | "null") => false,
        Some("array") => takes_free_text(spec, schema.get("items").unwrap_or(&Value::Null)),
        _ => true,
    }
}

fn is_secret_name(name: &str) -> bool {
    words_of(name)
        .iter()
        .any(|word| WORDS.contains(&word.as_str()) || ENDINGS.iter().any(|end| word.ends_with(end)))
}

/// The words of a name, whether they are divided by underscores or by capitals.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for character in name.chars() {
        if !character.is_alphanumeric() || character.is_uppercase() && was_lower {
            words.push(String::new());
        }
        was_lower = character.is_lowercase() || character.is_ascii_digit();
        if let Some(word) = words.last_mut().filter(|_| character.is_alphanumeric()) {
            word.extend(character.to_lowercase());
        }
    }
    words
}

/// Whether a text is an address with a password in it.
fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    user.split_once(':')
        .is_some_and(|(_, password)| !password.is_empty())
}

#[cfg(test)]
mod tests;
