//! A preset: a model made of another one with parameters, a system prompt and filters; or an overlay, which says so of
//! an existing model.

mod form;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

pub use self::form::PresetForm;

use super::access::{Access, Permission};
use crate::store::{ModelRow, ids};
use crate::wire::json::Document;
use crate::wire::openwebui;

/// Members of `meta` that Open WebUI always shows.
const KNOWN_META: &[&str] = &[
    "profile_image_url",
    "background_image_url",
    "description",
    "capabilities",
    "knowledge",
    "voice",
    "voice_avatar",
    "i18n",
];

/// A preset or overlay as one snapshot has it.
#[derive(Clone, Debug)]
pub struct Preset {
    /// What it was made from; its `access` is the one below.
    form: PresetForm,
    access: Access,
    /// Who made it: the owner may use it, whatever the access list says.
    pub user_id: String,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// When it was last changed, in Unix seconds.
    pub updated_at: i64,
    /// The parameters as a model takes them.
    applied: Vec<(String, Bytes)>,
    filter_ids: Vec<String>,
    action_ids: Vec<String>,
    tool_ids: Vec<String>,
    unreadable: Option<String>,
}

impl Preset {
    /// A new preset of this owner.
    ///
    /// # Errors
    ///
    /// What is wrong with its parameters.
    pub(super) fn new(form: PresetForm, user_id: String) -> Result<Self, String> {
        let now = ids::unix_seconds();
        Self::build(form, user_id, (now, now))
    }

    /// The same preset with what `form` says. An access list of which nothing is said stays.
    ///
    /// # Errors
    ///
    /// What is wrong with its parameters.
    pub(super) fn updated(&self, form: PresetForm) -> Result<Self, String> {
        let form = PresetForm {
            id: self.form.id.clone(),
            access: form.access.or_else(|| Some(self.access.clone())),
            ..form
        };
        let times = (self.created_at, ids::unix_seconds());
        Self::build(form, self.user_id.clone(), times)
    }

    /// The preset that a row keeps.
    ///
    /// # Errors
    ///
    /// What is wrong with the row.
    pub(super) fn from_row(row: ModelRow) -> Result<Self, String> {
        let read = |text: &str| serde_json::from_str(text).map_err(|error| error.to_string());
        let grants: Value = serde_json::from_str(&row.access_grants).map_err(|e| e.to_string())?;
        let form = PresetForm {
            id: row.id,
            base_model_id: row.base_model_id,
            name: row.name,
            params: read(&row.params)?,
            meta: read(&row.meta)?,
            access: Some(Access::from_grants(&grants)?),
            is_active: row.is_active,
        };
        Self::build(form, row.user_id, (row.created_at, row.updated_at))
    }

    /// What stands for a row that cannot be read for the reason `why`: nobody may use the model, because nobody knows
    /// which filters and which access list it had.
    pub(super) fn unreadable(row: ModelRow, why: String) -> Self {
        let form = PresetForm {
            id: row.id,
            base_model_id: row.base_model_id,
            name: row.name,
            params: Map::new(),
            meta: Map::new(),
            access: Some(Access::closed()),
            is_active: row.is_active,
        };
        Self {
            access: Access::closed(),
            user_id: row.user_id,
            created_at: row.created_at,
            updated_at: row.updated_at,
            applied: Vec::new(),
            filter_ids: Vec::new(),
            action_ids: Vec::new(),
            tool_ids: Vec::new(),
            unreadable: Some(why),
            form,
        }
    }

    fn build(form: PresetForm, user_id: String, times: (i64, i64)) -> Result<Self, String> {
        let about = |error: String| format!("model `{}`: {error}", form.id);
        let applied = applied(form.params.clone()).map_err(about)?;
        let listed = |key: &str| texts(form.meta.get(key));
        Ok(Self {
            filter_ids: listed("filterIds"),
            action_ids: listed("actionIds"),
            tool_ids: listed("toolIds"),
            access: form.access.clone().unwrap_or_default(),
            applied,
            user_id,
            created_at: times.0,
            updated_at: times.1,
            form,
            unreadable: None,
        })
    }

    /// The row that keeps it.
    pub(super) fn to_row(&self) -> ModelRow {
        ModelRow {
            id: self.form.id.clone(),
            user_id: self.user_id.clone(),
            base_model_id: self.form.base_model_id.clone(),
            name: self.form.name.clone(),
            params: Value::Object(self.form.params.clone()).to_string(),
            meta: Value::Object(self.form.meta.clone()).to_string(),
            access_grants: self.access.stored(),
            is_active: self.form.is_active,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }

    /// What it was made from, to be changed.
    pub(super) fn form(&self) -> PresetForm {
        self.form.clone()
    }

    /// Its id, as requests name it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.form.id
    }

    /// The model that it uses; `None`: it is an overlay on the model of its own id.
    #[must_use]
    pub fn base_model_id(&self) -> Option<&str> {
        self.form.base_model_id.as_deref()
    }

    /// Its name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.form.name
    }

    /// What is said of it besides its parameters.
    #[must_use]
    pub fn meta(&self) -> &Map<String, Value> {
        &self.form.meta
    }

    /// Whether it is on. An inactive overlay hides its model.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.form.is_active
    }

    /// Why its row cannot be read, if so: then it only stands in the way of its model.
    #[must_use]
    pub fn unreadable_because(&self) -> Option<&str> {
        self.unreadable.as_deref()
    }

    /// Filters that run on its requests.
    #[must_use]
    pub fn filter_ids(&self) -> &[String] {
        &self.filter_ids
    }

    /// Actions that are offered on its answers.
    #[must_use]
    pub fn action_ids(&self) -> &[String] {
        &self.action_ids
    }

    /// Tools that its requests bring with them.
    #[must_use]
    pub fn tool_ids(&self) -> &[String] {
        &self.tool_ids
    }

    /// Its parameters, each with its JSON, as a model takes them.
    #[must_use]
    pub fn applied_params(&self) -> &[(String, Bytes)] {
        &self.applied
    }

    /// Its system prompt, a template.
    #[must_use]
    pub fn system(&self) -> Option<&str> {
        let system = self.form.params.get("system")?.as_str()?;
        Some(system).filter(|system| !system.is_empty())
    }

    /// Whether nothing was said about who may use it, so that the operator's default decides.
    #[must_use]
    pub fn is_access_unset(&self) -> bool {
        self.access.is_unset()
    }

    /// Whether this user may use it, as its owner or by a grant.
    #[must_use]
    pub fn is_for(&self, user_id: &str) -> bool {
        self.user_id == user_id || self.access.grants(Permission::Read, user_id)
    }

    /// The row as Open WebUI shows it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut meta = self.form.meta.clone();
        for key in KNOWN_META {
            meta.entry(*key).or_insert(Value::Null);
        }
        let mut shown = json!({
            "id": self.form.id,
            "user_id": self.user_id,
            "base_model_id": self.form.base_model_id,
            "name": self.form.name,
            "params": self.form.params,
            "meta": meta,
            "access_grants": self.access.shown(&self.form.id),
            "is_active": self.form.is_active,
            "version_id": self.version_id(),
            "updated_at": self.updated_at,
            "created_at": self.created_at,
        });
        if let Some(why) = &self.unreadable {
            shown["error"] = json!(why);
        }
        shown
    }

    /// Names this state of the row: equal for equal rows, after a restart, too.
    pub(super) fn version_id(&self) -> String {
        let row = self.to_row();
        let mut hash = Sha256::new();
        for part in [
            &row.id,
            &row.name,
            &row.params,
            &row.meta,
            &row.access_grants,
        ] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        hash.update(row.base_model_id.unwrap_or_default());
        hash.update([u8::from(row.is_active)]);
        hash.update(row.updated_at.to_le_bytes());
        ids::uuid_of(&hash.finalize())
    }
}

fn texts(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|text| text.as_str().map(str::to_owned))
        .collect()
}

/// The parameters that go to a model, cast to what it takes.
fn applied(params: Map<String, Value>) -> Result<Vec<(String, Bytes)>, String> {
    let mut applied = Map::new();
    for (name, value) in openwebui::merge(params) {
        let cast = openwebui::cast(&name, value).map_err(|error| error.to_string())?;
        if let Some(value) = cast {
            applied.insert(name, value);
        }
    }
    // What a request could not hold is refused here and not at every request.
    let document = Document::parse(Value::Object(applied).to_string().into())
        .map_err(|error| format!("`params` cannot be sent to a model: {error}"))?;
    let members = document.iter();
    Ok(members
        .map(|(name, raw)| (name.into_owned(), raw))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(form: &Value) -> Result<PresetForm, String> {
        PresetForm::parse(form.as_object().unwrap().clone())
    }

    fn preset(fields: &Value) -> Result<Preset, String> {
        let mut whole = json!({"id": "p", "name": "P"});
        for (key, value) in fields.as_object().unwrap() {
            whole[key] = value.clone();
        }
        Preset::new(form(&whole)?, "owner".to_owned())
    }

    #[test]
    fn forms_of_both_versions_are_read() {
        let new = json!({"access_control": null, "access_grants": [], "base_model_id": ""});
        let new = preset(&new).unwrap();
        assert!(!new.is_access_unset() && !new.is_for("a") && new.is_for("owner"));
        assert_eq!(new.base_model_id(), None);
        let old = preset(&json!({"access_control": null, "meta": null, "is_active": false}));
        let old = old.unwrap();
        assert!(old.is_for("a") && !old.is_active());
        assert!(preset(&json!({})).unwrap().is_access_unset());
    }

    #[test]
    fn bad_forms_are_refused_with_the_reason() {
        for (fields, reason) in [
            (json!({"name": null}), "`name` is missing"),
            (json!({"id": ""}), "`id`"),
            (json!({"id": "x".repeat(257)}), "`id`"),
            (json!({"params": []}), "`params`"),
            (json!({"meta": "x"}), "`meta`"),
            (json!({"is_active": 1}), "`is_active`"),
            (json!({"params": {"temperature": "warm"}}), "temperature"),
            (json!({"access_grants": [{}]}), "access_grants"),
        ] {
            let error = preset(&fields).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn presets_come_back_from_their_rows() {
        let made = preset(&json!({
            "base_model_id": "b/c:d", "params": {"temperature": "0.3", "system": "S", "custom_params": {"foo": "{\"a\": 1}"}},
            "meta": {"filterIds": ["f", 1], "actionIds": ["a"], "toolIds": ["t"], "own": 1},
        }));
        let made = made.unwrap();
        let read = Preset::from_row(made.to_row()).unwrap();
        assert_eq!(read.to_json(), made.to_json());
        let params: Vec<_> = read
            .applied_params()
            .iter()
            .map(|(key, raw)| (key.as_str(), &raw[..]))
            .collect();
        assert_eq!(
            params,
            [("temperature", &b"0.3"[..]), ("foo", b"{\"a\":1}")]
        );
        assert_eq!(read.system(), Some("S"));
        assert_eq!(
            (read.filter_ids(), read.action_ids(), read.tool_ids()),
            (
                &["f".to_owned()][..],
                &["a".to_owned()][..],
                &["t".to_owned()][..]
            )
        );
        assert_eq!(read.to_json()["meta"]["own"], 1);
    }

    #[test]
    fn an_update_keeps_the_access_list_of_which_it_says_nothing() {
        let made = preset(&json!({"access_grants": []})).unwrap();
        let plain = form(&json!({"id": "other", "name": "N"})).unwrap();
        let updated = made.updated(plain).unwrap();
        assert_eq!((updated.id(), updated.name()), ("p", "N"));
        assert!(!updated.is_access_unset());
    }
}
