//! `system_prompt`: gives every conversation a system prompt, with variables and each user's own text.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::fields::{Field, Mistake, PRIORITY_FIELD, Shape, Values};
use super::splice;
use super::{Asker, Changed, Filter, Kind};
use crate::wire::json::{Document, Kind as JsonKind, elements, quote};
use crate::wire::openwebui::Template;

const PREPEND: &str = "prepend";
const APPEND: &str = "append";
const REPLACE: &str = "replace";

const MINUTE_SECONDS: i64 = 60;

pub(super) static KIND: Kind = Kind {
    name: "system_prompt",
    about: "Gives every conversation a system prompt, with variables and each user's own text.",
    handlers: &["inlet"],
    valves: &[
        PRIORITY_FIELD,
        Field {
            name: "prompt",
            about: "The text, with variables in double braces; empty for none.",
            shape: Shape::Text("The user's name is {{USER_NAME}}. Today is {{CURRENT_DATE}}."),
        },
        Field {
            name: "mode",
            about: "Before, after or instead of the system message.",
            shape: Shape::Choice(&[PREPEND, APPEND, REPLACE]),
        },
        Field {
            name: "timezone",
            about: "For dates and times: UTC, or an offset such as +02:00.",
            shape: Shape::Text("UTC"),
        },
        Field {
            name: "user_text_limit",
            about: "Characters used of a user's own text, 0 for none.",
            shape: Shape::Integer {
                default: 2000,
                min: 0,
            },
        },
    ],
    user_valves: USER_VALVES,
    build,
};

static USER_VALVES: &[Field] = &[Field {
    name: "text",
    about: "Added to the prompt of your conversations.",
    shape: Shape::Text(""),
}];

fn build(values: &Values) -> Result<Arc<dyn Filter>, Mistake> {
    let timezone = values.text("timezone");
    let offset_minutes = offset_minutes(timezone).ok_or_else(|| {
        Mistake::new("`timezone` must be `UTC` or an offset such as `+02:00` or `-05:30`")
    })?;
    Ok(Arc::new(SystemPrompt {
        prompt: values.text("prompt").trim().to_owned(),
        place: match values.text("mode") {
            APPEND => Place::Behind,
            REPLACE => Place::Instead,
            _ => Place::Before,
        },
        timezone: timezone.to_owned(),
        offset_minutes,
        user_text_limit: usize::try_from(values.count("user_text_limit")).unwrap_or(usize::MAX),
    }))
}

/// The minutes that a zone is ahead of UTC.
fn offset_minutes(timezone: &str) -> Option<i64> {
    if timezone == "UTC" {
        return Some(0);
    }
    let (sign, rest) = match timezone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |text: &str| -> Option<i64> {
        let is_two_digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_two_digits.then(|| text.parse().ok())?
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// The filter.
#[derive(Debug)]
struct SystemPrompt {
    prompt: String,
    place: Place,
    timezone: String,
    offset_minutes: i64,
    user_text_limit: usize,
}

/// Where the prompt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Before,
    Behind,
    /// In the place of all system messages.
    Instead,
}

impl Filter for SystemPrompt {
    fn handles(&self, handler: &str) -> bool {
        handler == "inlet"
    }

    fn inlet(&self, body: &Document, asker: &Asker<'_>) -> Changed {
        let template = self.template(asker);
        if template.is_empty() {
            return Ok(None);
        }
        let prompt = self.fill(&template, body, asker);
        let messages = body.raw("messages").and_then(|raw| elements(&raw).ok());
        let messages = self.with_prompt(messages.unwrap_or_default(), &prompt);
        Ok(Some(splice::with(
            body,
            "messages",
            splice::array(&messages),
        )))
    }
}

impl SystemPrompt {
    /// The prompt with the user's own text.
    fn template(&self, asker: &Asker<'_>) -> String {
        let own = asker.values(USER_VALVES);
        let own: String = own
            .text("text")
            .chars()
            .take(self.user_text_limit)
            .collect();
        joined(&self.prompt, own.trim())
    }

    fn fill(&self, template: &str, body: &Document, asker: &Asker<'_>) -> String {
        let user = asker.user;
        let ahead = self.offset_minutes * MINUTE_SECONDS;
        let now = user.now.saturating_add_signed(ahead);
        let minutes = now / 60;
        let time = format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60);
        let mut filler = Template {
            user_name: &user.name,
            user_email: &user.email,
            now,
            variables: Map::new(),
        };
        let date = filler.fill("{{CURRENT_DATE}}").into_owned();
        let variables = [
            ("{{USER_ID}}", user.id.as_str()),
            ("{{USER_ROLE}}", user.role.as_str()),
            ("{{MODEL}}", &*body.string("model").unwrap_or_default()),
            ("{{CURRENT_TIME}}", &time),
            ("{{CURRENT_DATETIME}}", &format!("{date} {time}")),
            ("{{CURRENT_TIMEZONE}}", &self.timezone),
        ]
        .map(|(name, value)| (name.to_owned(), json!(value)));
        filler.variables = variables.into_iter().collect::<Map<String, Value>>();
        filler.fill(template).into_owned()
    }

    /// The messages with the prompt in the first system message.
    fn with_prompt(&self, mut messages: Vec<Bytes>, prompt: &str) -> Vec<Bytes> {
        if self.place == Place::Instead {
            messages.retain(|message| system_message(message).is_none());
        }
        let found = messages
            .iter()
            .enumerate()
            .find_map(|(place, message)| Some((place, system_message(message)?)));
        match found {
            Some((place, message)) => messages[place] = self.joined_message(&message, prompt),
            None => {
                let parts = [
                    b"{\"role\":\"system\",\"content\":",
                    &quote(prompt)[..],
                    b"}",
                ];
                messages.insert(0, parts.concat().into());
            }
        }
        messages
    }

    fn joined_message(&self, message: &Document, prompt: &str) -> Bytes {
        let is_behind = self.place == Place::Behind;
        if message.kind("content") == Some(JsonKind::Array) {
            let parts = message.raw("content").and_then(|raw| elements(&raw).ok());
            let mut parts = parts.unwrap_or_default();
            let part = [b"{\"type\":\"text\",\"text\":", &quote(prompt)[..], b"}"].concat();
            let place = if is_behind { parts.len() } else { 0 };
            parts.insert(place, part.into());
            return splice::with(message, "content", splice::array(&parts));
        }
        let known = message.string("content").unwrap_or_default();
        let content = match is_behind {
            true => joined(&known, prompt),
            false => joined(prompt, &known),
        };
        splice::with(message, "content", quote(&content))
    }
}

/// Two texts with an empty line between, if neither is empty.
fn joined(one: &str, other: &str) -> String {
    match (one.is_empty(), other.is_empty()) {
        (true, _) => other.to_owned(),
        (_, true) => one.to_owned(),
        _ => format!("{one}\n\n{other}"),
    }
}

/// A message, if it is one of the system's.
fn system_message(message: &Bytes) -> Option<Document> {
    let message = Document::parse(message.clone()).ok()?;
    let is_system = matches!(
        message.string("role").as_deref(),
        Some("system" | "developer")
    );
    is_system.then_some(message)
}
