//! Reads the configuration file: each value against the kind of its setting.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::Document;
use super::fields::Fields;
use super::kind::Kind;
use super::mistake::{Mistakes, Origin};
use super::nearest::nearest;
use super::raw::Raw;
use super::settings::{FUNCTION_FIELDS, Field, SETTINGS, Setting, UPSTREAM_FIELDS, USER_FIELDS};

/// Reads a document into what was written.
pub(super) struct Reader<'a> {
    document: &'a Document,
    raw: &'a mut Raw,
    mistakes: &'a mut Mistakes,
}

type Key<'i> = Spanned<toml::de::DeString<'i>>;
type Item<'i> = Spanned<DeValue<'i>>;

impl<'a> Reader<'a> {
    pub(super) fn new(
        document: &'a Document,
        raw: &'a mut Raw,
        mistakes: &'a mut Mistakes,
    ) -> Self {
        Self {
            document,
            raw,
            mistakes,
        }
    }

    pub(super) fn read(&mut self) {
        let (table, errors) = DeTable::parse_recoverable(&self.document.text);
        self.raw.is_broken = !errors.is_empty();
        for error in errors {
            let origin = match error.span() {
                Some(span) => self.document.line(&span),
                None => self.document.whole(),
            };
            let message = format!("not valid TOML: {}", error.message());
            self.mistakes.add(&origin, message);
        }
        if !self.raw.is_broken {
            self.read_settings("", table.get_ref());
        }
    }

    fn read_settings(&mut self, section: &str, table: &DeTable<'_>) {
        for (key, item) in table {
            let path = match section {
                "" => key.get_ref().clone().into_owned(),
                section => format!("{section}.{}", key.get_ref()),
            };
            match path.as_str() {
                "upstreams" => self.raw.upstreams = self.read_tables(key, item, UPSTREAM_FIELDS),
                "users" => self.raw.users = self.read_tables(key, item, USER_FIELDS),
                "function" => self.read_functions(key, item),
                path => self.read_setting(path, key, item),
            }
        }
    }

    fn read_setting(&mut self, path: &str, key: &Key<'_>, item: &Item<'_>) {
        let origin = self.document.line(&key.span());
        if let Some(setting) = Setting::find(path) {
            let read = setting.kind.read(item.get_ref());
            let settings = &mut self.raw.settings;
            settings.put(setting.key, setting.key, read, origin, self.mistakes);
            return;
        }
        let is_in_it = |setting: &Setting| setting.section() == path;
        let is_section = !path.is_empty() && SETTINGS.iter().any(is_in_it);
        match item.get_ref() {
            DeValue::Table(table) if is_section => self.read_settings(path, table),
            value if is_section => {
                let message = Kind::Table.read(value).err().unwrap_or_default();
                self.mistakes.add(&origin, format!("`{path}` {message}"));
            }
            value => self.report_unknown(&origin, path, meant_setting(path, value)),
        }
    }

    fn read_tables(&mut self, key: &Key<'_>, item: &Item<'_>, known: &[Field]) -> Vec<Fields> {
        let what = key.get_ref();
        let DeValue::Array(items) = item.get_ref() else {
            let origin = self.document.line(&key.span());
            let message = format!("`{what}` must be an array of tables");
            let hint = format!("write `[[{what}]]` above each of them");
            self.mistakes.add_with_hint(&origin, message, hint);
            return Vec::new();
        };
        items
            .iter()
            .filter_map(|item| self.read_fields(what, item, known))
            .collect()
    }

    fn read_functions(&mut self, key: &Key<'_>, item: &Item<'_>) {
        let DeValue::Table(functions) = item.get_ref() else {
            let origin = self.document.line(&key.span());
            let hint = "write `[function.<id>]` above the keys of each function";
            self.mistakes
                .add_with_hint(&origin, "`function` must be a table", hint);
            return;
        };
        for (id, item) in functions {
            let name = format!("function.{}", id.get_ref().escape_debug());
            if let Some(mut fields) = self.read_fields(&name, item, FUNCTION_FIELDS) {
                fields.origin = self.document.line(&id.span());
                let id = id.get_ref().clone().into_owned();
                self.raw.functions.push((id, fields));
            }
        }
    }

    /// Reads one table of an upstream, a user or a function.
    fn read_fields(&mut self, what: &str, item: &Item<'_>, known: &[Field]) -> Option<Fields> {
        let origin = self.document.line(&item.span());
        let DeValue::Table(table) = item.get_ref() else {
            self.mistakes
                .add(&origin, format!("`{what}` must be a table"));
            return None;
        };
        let mut fields = Fields::new(origin);
        for (key, item) in table {
            self.read_field(what, &mut fields, key, item, known);
        }
        Some(fields)
    }

    fn read_field(
        &mut self,
        what: &str,
        fields: &mut Fields,
        key: &Key<'_>,
        item: &Item<'_>,
        known: &[Field],
    ) {
        let origin = self.document.line(&key.span());
        let path = format!("{what}.{}", key.get_ref());
        match known.iter().find(|field| field.key == key.get_ref()) {
            Some(field) => {
                let read = field.kind.read(item.get_ref());
                fields.put(field.key, &path, read, origin, self.mistakes);
            }
            None => {
                let meant = nearest(key.get_ref(), known.iter().map(|field| field.key));
                self.report_unknown(&origin, &path, meant.map(str::to_owned));
            }
        }
    }

    fn report_unknown(&mut self, origin: &Origin, path: &str, meant: Option<String>) {
        let message = format!("unknown key: `{}`", path.escape_debug());
        match meant {
            Some(meant) => {
                let hint = format!("did you mean `{meant}`?");
                self.mistakes.add_with_hint(origin, message, hint);
            }
            None => self.mistakes.add(origin, message),
        }
    }
}

/// What was probably meant by an unknown key: one in the wrong table, or one with a slip in it.
fn meant_setting(path: &str, value: &DeValue<'_>) -> Option<String> {
    let (section, last) = path.rsplit_once('.').unwrap_or(("", path));
    if section == "functions" && value.is_table() {
        return Some(format!("[function.{}]", last.escape_debug()));
    }
    let mut keys = SETTINGS.iter().map(|setting| setting.key);
    let elsewhere = keys.find(|key| key.rsplit('.').next() == Some(last));
    let sections = SETTINGS.iter().map(Setting::section);
    let tables = sections.chain(["upstreams", "users", "function"]);
    let known = SETTINGS.iter().map(|setting| setting.key).chain(tables);
    elsewhere
        .or_else(|| nearest(path, known))
        .map(str::to_owned)
}
