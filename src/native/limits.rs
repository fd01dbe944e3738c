//! `limits`: refuses conversations with more turns or more text than allowed.

use std::sync::Arc;

use bytes::Bytes;

use super::fields::{Field, Mistake, PRIORITY_FIELD, Shape, Values};
use super::{Asker, Changed, Filter, Kind, Refusal};
use crate::wire::json::{Document, elements, unquote};

/// The status of a conversation with too many turns.
const FORBIDDEN: u16 = 403;
/// The status of one with too much text.
const TOO_LARGE: u16 = 413;

pub(super) static KIND: Kind = Kind {
    name: "limits",
    about: "Refuses conversations with more turns, messages or text than allowed.",
    handlers: &["inlet"],
    valves: &[
        PRIORITY_FIELD,
        count("max_turns", 10, "Turns for everyone, 0 for no limit."),
        count("max_bonus", 10, "Most turns a user may add."),
        count("max_messages", 0, "Messages of all roles, 0 for no limit."),
        count(
            "max_characters",
            0,
            "Characters of all messages, 0 for no limit.",
        ),
        count(
            "max_message_characters",
            0,
            "Characters of one message, 0 for no limit.",
        ),
        Field {
            name: "exempt_admins",
            about: "Admins have no limit.",
            shape: Shape::Flag(true),
        },
    ],
    user_valves: USER_VALVES,
    build,
};

static USER_VALVES: &[Field] = &[count("bonus_turns", 0, "Turns on top of the limit.")];

const fn count(name: &'static str, default: i64, about: &'static str) -> Field {
    Field {
        name,
        about,
        shape: Shape::Integer { default, min: 0 },
    }
}

fn build(values: &Values) -> Result<Arc<dyn Filter>, Mistake> {
    Ok(Arc::new(Limits {
        turns: values.count("max_turns"),
        bonus: values.count("max_bonus"),
        messages: values.count("max_messages"),
        characters: values.count("max_characters"),
        message_characters: values.count("max_message_characters"),
        exempt_admins: values.flag("exempt_admins"),
    }))
}

/// The filter; 0 is no limit.
#[derive(Debug)]
struct Limits {
    turns: u64,
    bonus: u64,
    messages: u64,
    characters: u64,
    message_characters: u64,
    exempt_admins: bool,
}

impl Filter for Limits {
    fn handles(&self, handler: &str) -> bool {
        handler == "inlet"
    }

    fn inlet(&self, body: &Document, asker: &Asker<'_>) -> Changed {
        if self.exempt_admins && asker.user.role == "admin" {
            return Ok(None);
        }
        let messages = body.raw("messages").and_then(|raw| elements(&raw).ok());
        let messages: Vec<Document> = messages
            .unwrap_or_default()
            .into_iter()
            .filter_map(|message| Document::parse(message).ok())
            .collect();
        self.check_turns(&messages, asker)?;
        self.check_text(&messages)?;
        Ok(None)
    }
}

impl Limits {
    fn check_turns(&self, messages: &[Document], asker: &Asker<'_>) -> Result<(), Refusal> {
        if self.turns == 0 {
            return Ok(());
        }
        let is_turn = |message: &&Document| message.string("role").as_deref() == Some("user");
        let turns = messages.iter().filter(is_turn).count() as u64;
        let bonus = asker.values(USER_VALVES).count("bonus_turns");
        let limit = self.turns.saturating_add(bonus.min(self.bonus));
        if turns <= limit {
            return Ok(());
        }
        let shown = counted(limit, "turn");
        let message = format!(
            "This conversation has reached its limit of {shown}. Start a new one to go on."
        );
        Err(Refusal::new(FORBIDDEN, message))
    }

    fn check_text(&self, messages: &[Document]) -> Result<(), Refusal> {
        let count = messages.len() as u64;
        if is_over(count, self.messages) {
            let limit = counted(self.messages, "message");
            return Err(too_large("conversation", &limit, count));
        }
        if self.characters == 0 && self.message_characters == 0 {
            return Ok(());
        }
        let lengths: Vec<u64> = messages.iter().map(characters_of).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        if is_over(longest, self.message_characters) {
            let limit = counted(self.message_characters, "character");
            return Err(too_large("message", &limit, longest));
        }
        let all = lengths.iter().sum();
        if is_over(all, self.characters) {
            let limit = counted(self.characters, "character");
            return Err(too_large("conversation", &limit, all));
        }
        Ok(())
    }
}

fn is_over(count: u64, limit: u64) -> bool {
    limit > 0 && count > limit
}

fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn too_large(what: &str, limit: &str, count: u64) -> Refusal {
    let message = format!("This {what} is too long: {limit} are allowed, it has {count}.");
    Refusal::new(TOO_LARGE, message)
}

/// The length of a message's text: its content, or that of the parts which are text.
fn characters_of(message: &Document) -> u64 {
    let Some(content) = message.raw("content") else {
        return 0;
    };
    let length = |raw: &Bytes| unquote(raw).map_or(0, |text| text.chars().count());
    let part_length = |part: Bytes| {
        let text = Document::parse(part).ok().and_then(|part| part.raw("text"));
        text.map_or(0, |text| length(&text))
    };
    let length = match elements(&content) {
        Ok(parts) => parts.into_iter().map(part_length).sum(),
        Err(_) => length(&content),
    };
    length as u64
}
