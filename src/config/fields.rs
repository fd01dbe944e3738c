//! The values that were written in one table, each with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::choices::Choice;
use super::kind::Value;
use super::mistake::{Mistakes, Origin};
use super::settings::Setting;

/// The values of one table by key.
pub(super) struct Fields {
    /// Where the table begins.
    pub(super) origin: Origin,
    values: BTreeMap<&'static str, Written>,
    /// Keys whose values do not fit, so that nobody complains a second time.
    refused: BTreeSet<&'static str>,
}

impl Fields {
    pub(super) fn new(origin: Origin) -> Self {
        Self {
            origin,
            values: BTreeMap::new(),
            refused: BTreeSet::new(),
        }
    }

    /// Where the value of `key` was written, or else its table.
    pub(super) fn origin_of(&self, key: &str) -> &Origin {
        self.values
            .get(key)
            .map_or(&self.origin, |written| &written.origin)
    }

    /// Whether `key` was written and does not fit.
    pub(super) fn is_refused(&self, key: &str) -> bool {
        self.refused.contains(key)
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.value(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn choice<T: Choice>(&self, key: &str) -> Option<T> {
        self.text(key).and_then(T::from_word)
    }

    pub(super) fn address(&self, key: &str) -> Option<SocketAddr> {
        match self.value(key)? {
            Value::Address(address) => Some(*address),
            _ => None,
        }
    }

    pub(super) fn integer(&self, key: &str) -> Option<u64> {
        match self.value(key)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn size(&self, key: &str) -> Option<usize> {
        let number = self.integer(key)?;
        Some(usize::try_from(number).unwrap_or(usize::MAX))
    }

    pub(super) fn seconds(&self, key: &str) -> Option<Duration> {
        match self.value(key)? {
            Value::Seconds(seconds) => Some(*seconds),
            _ => None,
        }
    }

    pub(super) fn bool(&self, key: &str) -> Option<bool> {
        match self.value(key)? {
            Value::Bool(is) => Some(*is),
            _ => None,
        }
    }

    pub(super) fn list(&self, key: &str) -> Option<&[String]> {
        match self.value(key)? {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn pairs(&self, key: &str) -> Option<&[(String, String)]> {
        match self.value(key)? {
            Value::Pairs(pairs) => Some(pairs),
            _ => None,
        }
    }

    pub(super) fn table(&self, key: &str) -> Option<&Map<String, Json>> {
        match self.value(key)? {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key).map(|written| &written.value)
    }

    /// Keeps what was read for `key`, or notes why it could not be. `name` is what people call it.
    pub(super) fn put(
        &mut self,
        key: &'static str,
        name: &str,
        read: Result<Value, String>,
        origin: Origin,
        mistakes: &mut Mistakes,
    ) {
        match read {
            Ok(value) => {
                self.values.insert(key, Written { value, origin });
            }
            Err(problem) => {
                self.refused.insert(key);
                mistakes.add(&origin, format!("`{name}` {problem}"));
            }
        }
    }

    pub(super) fn put_text(
        &mut self,
        setting: &Setting,
        text: &str,
        origin: Origin,
        mistakes: &mut Mistakes,
    ) {
        let read = setting.kind.parse(text);
        self.put(setting.key, setting.key, read, origin, mistakes);
    }
}

/// A value and where it was written.
struct Written {
    value: Value,
    origin: Origin,
}
