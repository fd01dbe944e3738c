//! Changes to the system messages of a request. Every other message stays the bytes that it is, and a request whose
//! messages need no change is not taken apart.

use bytes::Bytes;
use memchr::memmem;
use serde_json::{Value, json};

use crate::wire::json::{Document, elements, quote};
use crate::wire::openwebui::Template;

const SYSTEM: &str = "system";

/// The messages with the variables in system messages filled in; `None` if there are none.
pub(super) fn fill_in<'a>(
    document: &Document,
    template: impl FnOnce() -> Template<'a>,
) -> Option<Bytes> {
    let raw = document.raw("messages")?;
    if memmem::find(&raw, b"{{").is_none() || !names_system(&raw) {
        return None;
    }
    let template = template();
    let mut messages = split(&raw)?;
    let mut is_changed = false;
    for message in &mut messages {
        if let Some(filled) = filled_in(message, &template) {
            *message = filled;
            is_changed = true;
        }
    }
    is_changed.then(|| join(&messages))
}

/// The messages with one system message in the place of several: many templates of models take only one.
pub(super) fn merge_system(document: &Document) -> Option<Bytes> {
    let raw = document.raw("messages")?;
    memmem::find_iter(&raw, b"\"system\"").nth(1)?;
    let messages = split(&raw)?;
    let (mut texts, mut others, mut place) = (Vec::new(), Vec::new(), None);
    for message in messages {
        match system(&message) {
            None => others.push(message),
            // Parts are no text to be joined with others.
            Some(parsed) => {
                texts.push(parsed.string("content")?.into_owned());
                place.get_or_insert((others.len(), parsed));
            }
        }
    }
    let (at, first) = place.filter(|_| texts.len() > 1)?;
    let mut edit = first.edit();
    edit.set_string("content", &texts.join("\n"));
    others.insert(at, edit.finish());
    Some(join(&others))
}

/// The messages with the first one's role as `role`, if it is a system message.
pub(super) fn rename_system(document: &Document, role: &str) -> Option<Bytes> {
    let raw = document.raw("messages")?;
    if !names_system(&raw) {
        return None;
    }
    let mut messages = split(&raw)?;
    let first = messages.first_mut()?;
    let renamed = system(first)?.edit().set_string("role", role).finish();
    *first = renamed;
    Some(join(&messages))
}

/// The messages with a prompt before everything else: in front of the first message's text if that is the system's.
pub(super) fn with_system(document: &Document, prompt: &str) -> Option<Bytes> {
    let mut messages = match document.raw("messages") {
        Some(raw) => split(&raw)?,
        None => Vec::new(),
    };
    let extended = messages.first().and_then(|first| extended(first, prompt));
    match extended {
        Some(extended) => messages[0] = extended,
        None => {
            let message = json!({"role": SYSTEM, "content": prompt});
            messages.insert(0, message.to_string().into());
        }
    }
    Some(join(&messages))
}

/// Whether a system message may be there. One that spells its role with escapes is not found, and stays as it is.
fn names_system(messages: &[u8]) -> bool {
    memmem::find(messages, b"\"system\"").is_some()
}

fn split(messages: &Bytes) -> Option<Vec<Bytes>> {
    elements(messages).ok()
}

fn join(messages: &[Bytes]) -> Bytes {
    let length = messages
        .iter()
        .map(|message| message.len() + 1)
        .sum::<usize>();
    let mut joined = Vec::with_capacity(length + 2);
    joined.push(b'[');
    for (at, message) in messages.iter().enumerate() {
        if at > 0 {
            joined.push(b',');
        }
        joined.extend_from_slice(message);
    }
    joined.push(b']');
    joined.into()
}

/// A message, if it is the system's.
fn system(message: &Bytes) -> Option<Document> {
    let parsed = Document::parse(message.clone()).ok()?;
    let is_system = parsed.string("role").as_deref() == Some(SYSTEM);
    is_system.then_some(parsed)
}

/// A system message with its variables filled in, in a text or in the texts of its parts.
fn filled_in(message: &Bytes, template: &Template<'_>) -> Option<Bytes> {
    let parsed = system(message)?;
    let content = match parsed.string("content") {
        Some(text) => quote(&template.fill(&text)),
        None => {
            let mut parts: Vec<Value> = parts(&parsed)?;
            for text in parts.iter_mut().filter_map(|part| part.get_mut("text")) {
                if let Value::String(text) = text {
                    *text = template.fill(text).into_owned();
                }
            }
            Value::Array(parts).to_string().into()
        }
    };
    Some(parsed.edit().set("content", content).finish())
}

fn parts(message: &Document) -> Option<Vec<Value>> {
    serde_json::from_slice(&message.raw("content")?).ok()
}

/// A system message with a prompt in front of what it says.
fn extended(message: &Bytes, prompt: &str) -> Option<Bytes> {
    let parsed = system(message)?;
    let content = match parsed.string("content") {
        Some(text) => quote(&format!("{prompt}\n{text}")),
        None => {
            let mut parts = parts(&parsed).unwrap_or_default();
            parts.insert(0, json!({"type": "text", "text": prompt}));
            Value::Array(parts).to_string().into()
        }
    };
    Some(parsed.edit().set("content", content).finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(messages: &Value) -> Document {
        Document::parse(json!({"messages": messages}).to_string().into()).unwrap()
    }

    fn template() -> Template<'static> {
        Template {
            user_name: "Ada",
            user_email: "",
            now: 0,
            variables: Default::default(),
        }
    }

    fn value(messages: Option<Bytes>) -> Option<Value> {
        messages.map(|messages| serde_json::from_slice(&messages).unwrap())
    }

    #[test]
    fn variables_are_filled_in_in_system_messages_only() {
        let user = json!({"role": "user", "content": "\"system\" {{USER_NAME}}"});
        assert_eq!(fill_in(&request(&json!([user])), template), None);
        let parts = json!([{"type": "text", "text": "{{USER_NAME}}"}, {"type": "x"}]);
        let messages = json!([{"role": "system", "content": "I am {{USER_NAME}}"}, user, {"role": "system", "content": parts}]);
        let filled = json!([
            {"role": "system", "content": "I am Ada"}, user,
            {"role": "system", "content": [{"type": "text", "text": "Ada"}, {"type": "x"}]},
        ]);
        assert_eq!(value(fill_in(&request(&messages), template)), Some(filled));
        let nothing = json!([{"role": "system", "content": null}, {"content": "{{"}, 3]);
        assert_eq!(fill_in(&request(&nothing), template), None);
    }

    #[test]
    fn system_messages_are_merged_where_the_first_stands() {
        let user = json!({"role": "user", "content": "\"system\""});
        let merged = |messages: Value| value(merge_system(&request(&messages)));
        let system = |text: &str| json!({"role": "system", "content": text});
        assert_eq!(
            merged(json!([user, system("a"), user, system("b")])),
            Some(json!([user, system("a\nb"), user]))
        );
        assert_eq!(merged(json!([system("a"), user])), None);
        let parts = json!({"role": "system", "content": []});
        assert_eq!(merged(json!([system("a"), parts])), None);
    }

    #[test]
    fn a_prompt_goes_before_everything() {
        let user = json!({"role": "user", "content": "q"});
        let with = |messages: Value| value(with_system(&request(&messages), "P")).unwrap();
        let system = |content: Value| json!({"role": "system", "content": content});
        assert_eq!(with(json!([user])), json!([system(json!("P")), user]));
        assert_eq!(with(json!([])), json!([system(json!("P"))]));
        assert_eq!(
            with(json!([system(json!("own")), user])),
            json!([system(json!("P\nown")), user])
        );
        let parts = json!([{"type": "text", "text": "own"}]);
        let both = json!([{"type": "text", "text": "P"}, {"type": "text", "text": "own"}]);
        assert_eq!(with(json!([system(parts)])), json!([system(both)]));
    }

    #[test]
    fn only_a_first_system_message_gets_another_role() {
        let renamed = |messages: Value| value(rename_system(&request(&messages), "developer"));
        let (user, system) = (json!({"role": "user"}), json!({"role": "system"}));
        assert_eq!(renamed(json!([user, system])), None);
        assert_eq!(
            renamed(json!([system, user])),
            Some(json!([{"role": "developer"}, user]))
        );
    }
}
