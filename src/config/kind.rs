//! The kinds of values that settings have, and how each is read from plain text and from TOML.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Map, Number, Value as Json};
use toml::de::{DeArray, DeFloat, DeInteger, DeTable, DeValue};

/// What can be written for a setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Text that is shown nowhere.
    Secret,
    /// The path of a file or folder.
    Path,
    /// An IP address with a port.
    Address,
    /// A whole number within bounds.
    Integer {
        /// The smallest that is allowed.
        least: u64,
        /// The largest that is allowed.
        most: u64,
    },
    /// The word `auto`, or a whole number up to a bound.
    AutoInteger {
        /// The largest that is allowed.
        most: u64,
    },
    /// A number of seconds, with a fraction if need be.
    Seconds {
        /// The shortest that is allowed.
        least: f64,
    },
    /// Yes or no.
    Bool,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Texts; separated by commas in variables and flags.
    List,
    /// Pairs of a name and a text; TOML only.
    Pairs,
    /// Any values by name; TOML only.
    Table,
}

/// A value that fits its kind. Has no debug output, since it may be secret.
#[derive(Clone)]
pub(super) enum Value {
    Text(String),
    Address(SocketAddr),
    Integer(u64),
    Seconds(Duration),
    Bool(bool),
    List(Vec<String>),
    Pairs(Vec<(String, String)>),
    Table(Map<String, Json>),
}

/// What is written for a number that the gateway is to find itself.
const AUTO: &str = "auto";
/// No time limit makes sense beyond a year.
const MOST_SECONDS: f64 = 31_536_000.0;

impl Kind {
    /// Reads a variable, a flag or a default.
    pub(super) fn parse(&self, text: &str) -> Result<Value, String> {
        let value = match self {
            Self::Text | Self::Secret | Self::Path => Some(Value::Text(text.to_owned())),
            Self::Address => text.parse().ok().map(Value::Address),
            Self::Integer { .. } => text.parse().ok().and_then(|number| self.integer(number)),
            Self::AutoInteger { .. } if text == AUTO => Some(Value::Text(AUTO.to_owned())),
            Self::AutoInteger { .. } => text.parse().ok().and_then(|number| self.integer(number)),
            Self::Seconds { .. } => text.parse().ok().and_then(|number| self.seconds(number)),
            Self::Bool => text.parse().ok().map(Value::Bool),
            Self::Choice(words) => words.contains(&text).then(|| Value::Text(text.to_owned())),
            Self::List => Some(Value::List(comma_separated(text))),
            Self::Pairs | Self::Table => None,
        };
        value.ok_or_else(|| self.refuse(text))
    }

    /// Reads a value of the file.
    pub(super) fn read(&self, value: &DeValue<'_>) -> Result<Value, String> {
        match (self, value) {
            (Self::Integer { .. } | Self::AutoInteger { .. }, DeValue::Integer(number)) => {
                let read = whole_number(number).and_then(|number| self.integer(number));
                read.ok_or_else(|| self.refuse(number))
            }
            (Self::Seconds { .. }, DeValue::Integer(number)) => self.read_seconds(number.as_str()),
            (Self::Seconds { .. }, DeValue::Float(number)) => self.read_seconds(number.as_str()),
            (Self::Bool, DeValue::Boolean(is)) => Ok(Value::Bool(*is)),
            (Self::List, DeValue::Array(items)) => self.read_list(items),
            (Self::Pairs, DeValue::Table(table)) => self.read_pairs(table),
            (Self::Table, DeValue::Table(table)) => json_table(table).map(Value::Table),
            (Self::AutoInteger { .. }, DeValue::String(text)) if text == AUTO => self.parse(text),
            (kind, DeValue::String(text)) if kind.is_written_as_text() => self.parse(text),
            (_, value) => Err(self.refuse_type(value)),
        }
    }

    /// Whether TOML has it between quotes.
    pub(super) fn is_written_as_text(&self) -> bool {
        use Kind::{Address, Choice, Path, Secret, Text};
        matches!(self, Text | Secret | Path | Address | Choice(_))
    }

    /// A word for it in usage texts.
    #[must_use]
    pub fn placeholder(&self) -> &'static str {
        match self {
            Self::Text | Self::Secret => "TEXT",
            Self::Path => "PATH",
            Self::Address => "ADDRESS",
            Self::Integer { .. } | Self::AutoInteger { .. } => "NUMBER",
            Self::Seconds { .. } => "SECONDS",
            Self::Bool => "BOOL",
            Self::Choice(_) => "WORD",
            Self::List => "LIST",
            Self::Pairs | Self::Table => "TABLE",
        }
    }

    fn integer(&self, number: u64) -> Option<Value> {
        let (least, most) = match self {
            Self::Integer { least, most } => (*least, *most),
            Self::AutoInteger { most } => (0, *most),
            _ => return None,
        };
        (least..=most)
            .contains(&number)
            .then_some(Value::Integer(number))
    }

    fn seconds(&self, number: f64) -> Option<Value> {
        let Self::Seconds { least } = self else {
            return None;
        };
        if !(*least..=MOST_SECONDS).contains(&number) {
            return None;
        }
        Duration::try_from_secs_f64(number).ok().map(Value::Seconds)
    }

    fn read_seconds(&self, number: &str) -> Result<Value, String> {
        let read = number.parse().ok().and_then(|number| self.seconds(number));
        read.ok_or_else(|| self.refuse(number))
    }

    fn read_list(&self, items: &DeArray<'_>) -> Result<Value, String> {
        let text = |item: &DeValue<'_>| match item {
            DeValue::String(text) => Ok(text.clone().into_owned()),
            item => Err(self.refuse_type(item)),
        };
        let texts = items.iter().map(|item| text(item.get_ref()));
        texts.collect::<Result<_, _>>().map(Value::List)
    }

    fn read_pairs(&self, table: &DeTable<'_>) -> Result<Value, String> {
        let pair = |name: &str, value: &DeValue<'_>| match value {
            DeValue::String(text) => Ok((name.to_owned(), text.clone().into_owned())),
            value => Err(self.refuse_type(value)),
        };
        let pairs = table
            .iter()
            .map(|(name, value)| pair(name.get_ref(), value.get_ref()));
        pairs.collect::<Result<_, _>>().map(Value::Pairs)
    }

    fn refuse(&self, value: impl fmt::Display) -> String {
        let value = value.to_string();
        format!("must be {self}: `{}`", value.escape_debug())
    }

    /// Without the value: something of the wrong type may be a key that slipped.
    fn refuse_type(&self, value: &DeValue<'_>) -> String {
        format!("must be {self}: found {}", with_article(value.type_str()))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text | Self::Secret => f.write_str("text"),
            Self::Path => f.write_str("a path"),
            Self::Address => f.write_str("an IP address with a port"),
            Self::Integer { least, most } => write!(f, "a whole number from {least} to {most}"),
            Self::AutoInteger { most } => {
                write!(f, "`{AUTO}` or a whole number from 0 to {most}")
            }
            Self::Seconds { least } => write!(f, "seconds from {least} to {MOST_SECONDS}"),
            Self::Bool => f.write_str("`true` or `false`"),
            Self::Choice(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                f.write_str(&words.join(" or "))
            }
            Self::List => f.write_str("a list of texts"),
            Self::Pairs => f.write_str("a table of texts"),
            Self::Table => f.write_str("a table"),
        }
    }
}

fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'i']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {noun}")
}

fn comma_separated(text: &str) -> Vec<String> {
    let items = text.split(',').map(str::trim);
    let items = items.filter(|item| !item.is_empty());
    items.map(str::to_owned).collect()
}

fn whole_number(number: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// Valves as Python gets them. A TOML date becomes its text.
fn json(value: &DeValue<'_>) -> Result<Json, String> {
    match value {
        DeValue::String(text) => Ok(Json::String(text.clone().into_owned())),
        DeValue::Integer(number) => json_integer(number),
        DeValue::Float(number) => json_float(number),
        DeValue::Boolean(is) => Ok(Json::Bool(*is)),
        DeValue::Datetime(date) => Ok(Json::String(date.to_string())),
        DeValue::Array(items) => {
            let items = items.iter().map(|item| json(item.get_ref()));
            items.collect::<Result<_, _>>().map(Json::Array)
        }
        DeValue::Table(table) => json_table(table).map(Json::Object),
    }
}

fn json_table(table: &DeTable<'_>) -> Result<Map<String, Json>, String> {
    let pairs = table.iter().map(|(name, value)| {
        let value = json(value.get_ref())?;
        Ok((name.get_ref().clone().into_owned(), value))
    });
    pairs.collect()
}

fn json_integer(number: &DeInteger<'_>) -> Result<Json, String> {
    i64::from_str_radix(number.as_str(), number.radix())
        .map(Json::from)
        .map_err(|_| "holds an integer of more than 64 bits".to_owned())
}

fn json_float(number: &DeFloat<'_>) -> Result<Json, String> {
    let number = number.as_str().parse().ok().and_then(Number::from_f64);
    number
        .map(Json::Number)
        .ok_or_else(|| "holds a number that JSON does not have".to_owned())
}
