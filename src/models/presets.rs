//! Presets and overlays among the models: who may use which, and how they are listed.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Model, Models};
use crate::auth::Caller;
use crate::config::{ModelAccess, Role};
use crate::registry::{Function, Preset, Snapshot};

/// What the list leaves out of a preset's `meta`: it may be large, and has a route of its own.
const PICTURE: &str = "profile_image_url";

impl Models {
    /// Whether a caller may use a model, of which `preset` says who may (ruling R32).
    pub(super) fn may_use(&self, caller: &Caller, preset: Option<&Preset>) -> bool {
        let is_open = self.access == ModelAccess::Open;
        caller.rights == Role::Admin
            || preset.map_or(is_open, |preset| {
                // The key's owner, whomever a proxy names: rights are the key's (ruling R35).
                preset.is_for(&caller.owner.id) || is_open && preset.is_access_unset()
            })
    }

    /// `models` with their overlays, without those that an overlay hides or a preset stands for; presets come last.
    pub(super) fn dress(&self, models: Vec<Model>, snapshot: &Snapshot) -> Vec<Model> {
        if snapshot.presets().next().is_none() {
            return models;
        }
        let presets = self.active_presets(&models, snapshot);
        let overlaid = |model: Model| match snapshot.preset(&model.id) {
            None => Some(model),
            Some(preset) if is_shown(preset) && preset.base_model_id().is_none() => {
                Some(model.with_preset(preset))
            }
            Some(_) => None,
        };
        let overlaid = models.into_iter().filter_map(overlaid);
        overlaid.chain(presets).collect()
    }

    /// The presets that are on and whose base is there.
    fn active_presets(&self, models: &[Model], snapshot: &Snapshot) -> Vec<Model> {
        let by_id: HashMap<&str, &Model> = models.iter().map(|model| (&*model.id, model)).collect();
        let of_base = |id: &str| match by_id.get(id) {
            Some(base) => Some(Model::clone(base)),
            // A model server may take ids that it does not list.
            None => Some(Model::of_entry(self.catalog.accepted(id)?)),
        };
        let presets = snapshot.presets().filter(|preset| is_shown(preset));
        let on_base =
            |preset: &Arc<Preset>| Some(of_base(preset.base_model_id()?)?.with_preset(preset));
        presets.filter_map(on_base).collect()
    }
}

impl Model {
    /// The same target under a preset's id, with what the preset says.
    pub(super) fn with_preset(self, preset: &Arc<Preset>) -> Self {
        Self {
            id: preset.id().to_owned(),
            preset: Some(Arc::clone(preset)),
            ..self
        }
    }

    /// The preset that it is, or the overlay on it.
    #[must_use]
    pub fn preset(&self) -> Option<&Arc<Preset>> {
        self.preset.as_ref()
    }

    /// The id of the model that a preset uses, else its own.
    #[must_use]
    pub fn base_id(&self) -> &str {
        let base = self.preset().and_then(|preset| preset.base_model_id());
        base.unwrap_or(&self.id)
    }

    /// Whether it offers an action: a global one, or one that is attached to it.
    #[must_use]
    pub fn has_action(&self, action: &Function) -> bool {
        let is_named = |preset: &Arc<Preset>| {
            preset
                .action_ids()
                .iter()
                .any(|id| id == action.id.as_str())
        };
        action.is_attached_to(&self.id) || self.preset().is_some_and(is_named)
    }

    /// The tools that it brings along.
    #[must_use]
    pub fn tool_ids(&self) -> &[String] {
        self.preset().map_or(&[], |preset| preset.tool_ids())
    }

    /// The filters that run on requests to it, toggles aside. What the operator configured for a model runs on the
    /// presets that use it, too: they are no way round a filter.
    pub fn filters<'a>(&self, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Arc<Function>> {
        let named = self.preset().map_or(&[][..], |preset| preset.filter_ids());
        snapshot.filters_of([&self.id, self.base_id()], named)
    }
}

/// Whether the list of models may have it.
fn is_shown(preset: &Preset) -> bool {
    preset.is_active() && preset.unreadable_because().is_none()
}

/// The entry of a model under a preset or overlay, made from that of the model alone.
pub(super) fn entry(model: Value, preset: &Preset, is_pipe: bool) -> Value {
    let Value::Object(mut entry) = model else {
        return model;
    };
    if preset.base_model_id().is_some() {
        entry = preset_entry(&entry, preset, is_pipe);
    }
    entry.insert("name".to_owned(), preset.name().into());
    entry.insert("info".to_owned(), preset.to_json());
    let tags = preset.meta().get("tags").filter(|tags| tags.is_array());
    entry.insert("tags".to_owned(), tags.cloned().unwrap_or(json!([])));
    Value::Object(entry)
}

/// What a preset takes over from its base.
fn preset_entry(base: &Map<String, Value>, preset: &Preset, is_pipe: bool) -> Map<String, Value> {
    let entry = json!({
        "id": preset.id(),
        "name": preset.name(),
        "object": "model",
        "created": preset.created_at,
        "owned_by": base.get("owned_by"),
        "connection_type": base.get("connection_type"),
        "preset": true,
        "actions": base.get("actions"),
        "filters": base.get("filters"),
    });
    let Value::Object(mut entry) = entry else {
        unreachable!("an object was written above")
    };
    if is_pipe {
        entry.insert("pipe".to_owned(), json!({"type": "pipe"}));
    }
    entry
}

/// Takes out of an entry what every user sees of it but should not: parameters and prompt, and what is large.
pub(super) fn redact(entry: &mut Value) {
    let Some(info) = entry.get_mut("info") else {
        return;
    };
    info["params"] = json!({});
    if let Some(meta) = info.get_mut("meta").and_then(Value::as_object_mut) {
        meta.shift_remove(PICTURE);
    }
}
