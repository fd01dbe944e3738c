//! How a model is listed: as OpenAI does, as Open WebUI does, and as functions are told of it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Model, Source, Target, presets};
use crate::registry::{FunctionKind, Snapshot};
use crate::upstream::ModelEntry;

impl Model {
    /// Its entry in Open WebUI's list, as functions see it: with the parameters of a preset.
    #[must_use]
    pub fn entry(&self) -> Bytes {
        match (&self.source, &self.preset) {
            (Source::Upstream(entry), None) => entry.told.get_or_make(|| self.made_entry()),
            _ => self.made_entry(),
        }
    }

    fn made_entry(&self) -> Bytes {
        let mut entry = self.whole_entry(&[]);
        if let Some(entry) = entry.as_object_mut() {
            // Open WebUI adds them when it answers with its list.
            entry.shift_remove("tags");
        }
        entry.to_string().into()
    }

    /// Its entry in Open WebUI's list; `toggles` are the filters that a client may turn on.
    #[must_use]
    pub fn listed(&self, toggles: &[Value]) -> Value {
        let mut entry = self.whole_entry(toggles);
        presets::redact(&mut entry);
        entry
    }

    fn whole_entry(&self, toggles: &[Value]) -> Value {
        let entry = self.own_entry(toggles);
        match &self.preset {
            Some(preset) => presets::entry(entry, preset, self.is_pipe()),
            None => entry,
        }
    }

    /// Its entry without what presets say.
    fn own_entry(&self, toggles: &[Value]) -> Value {
        match (&self.source, &self.target) {
            (Source::Pipe { name }, Target::Pipe(function)) => json!({
                "id": self.id,
                "name": name,
                "object": "model",
                "created": function.record.created_at,
                "owned_by": "openai",
                "pipe": {"type": "pipe"},
                "has_user_valves": function.version.learnt.has_user_valves,
                "actions": [],
                "filters": toggles,
                "tags": [],
            }),
            (Source::Upstream(entry), _) => listed_upstream(entry, toggles),
            (Source::Pipe { .. }, Target::Upstream(_)) => Value::Null,
        }
    }

    /// Its name for people.
    fn name(&self) -> &str {
        match (&self.preset, &self.source) {
            (Some(preset), _) => preset.name(),
            (None, Source::Upstream(entry)) => &entry.name,
            (None, Source::Pipe { name }) => name,
        }
    }

    /// Its entry in OpenAI's list, with its name besides, which chat UIs show.
    #[must_use]
    pub fn in_openai_list(&self) -> Value {
        match (&self.source, &self.target) {
            (Source::Upstream(entry), _) => json!({
                "id": self.id,
                "name": self.name(),
                "object": "model",
                "created": entry.created,
                "owned_by": entry.owned_by,
            }),
            (_, Target::Pipe(function)) => json!({
                "id": self.id,
                "name": self.name(),
                "object": "model",
                "created": function.record.created_at,
                "owned_by": "sluicegate",
            }),
            _ => Value::Null,
        }
    }
}

/// The entry of a model server's model: what the server said of it, and Open WebUI's own members around that.
fn listed_upstream(entry: &ModelEntry, toggles: &[Value]) -> Value {
    let mut listed = json!({
        "id": entry.id,
        "name": entry.name,
        "object": "model",
        "created": entry.created,
        "owned_by": entry.owned_by,
        "actions": [],
        "filters": toggles,
        "tags": [],
    });
    let mut said = entry.raw.as_object().cloned().unwrap_or_default();
    let mut say = |key: &str, value: Value| drop(said.insert(key.to_owned(), value));
    if entry.owned_by == "ollama" {
        listed["connection_type"] = "local".into();
        listed["loaded"] = false.into();
        say("connection_type", "local".into());
        say("urls", json!([entry.upstream]));
    } else {
        listed["connection_type"] = "external".into();
        listed["urlIdx"] = entry.upstream.into();
        listed["provider"] = "".into();
        say("connection_type", "external".into());
    }
    listed[entry.owned_by] = said.into();
    listed
}

/// The active toggle filters of a model, for clients' menus.
#[must_use]
pub fn toggles(snapshot: &Snapshot, model: &Model) -> Vec<Value> {
    let filters = model.filters(snapshot);
    let toggles = filters.filter(|filter| filter.version.learnt.toggle);
    let listed = toggles.map(|filter| {
        debug_assert_eq!(filter.kind(), FunctionKind::Filter);
        json!({
            "id": filter.id.as_str(),
            "name": filter.record.name,
            "description": filter.record.meta.get("description"),
            "icon": filter.version.learnt.icon,
            "has_user_valves": filter.version.learnt.has_user_valves,
        })
    });
    listed.collect()
}
