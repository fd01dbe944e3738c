//! Changes to presets: each is written to the store as a whole and makes one new snapshot.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::MutexGuard;
use tracing::error;

use super::access::Access;
use super::preset::{Preset, PresetForm};
use super::revision::{Expected, Stale};
use super::{Registry, State};
use crate::store::StoreError;

/// Presets and overlays by id.
pub(super) type Presets = Arc<BTreeMap<String, Arc<Preset>>>;

/// Why a preset was not changed. What served before still serves.
#[derive(Debug)]
pub enum PresetError {
    /// The id is in use.
    IdTaken,
    /// There is no preset of this id.
    UnknownPreset,
    /// What was sent makes no sense.
    Refused(String),
    /// The change was made for another state than the one that is.
    Stale(Stale),
    /// The change could not be kept.
    Store(StoreError),
}

impl fmt::Display for PresetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IdTaken => f.write_str(
                "Uh-oh! This model id is already registered. Please choose another model id string.",
            ),
            Self::UnknownPreset => f.write_str("We could not find what you're looking for :/"),
            Self::Refused(reason) => f.write_str(reason),
            Self::Stale(stale) => write!(f, "{stale}"),
            Self::Store(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for PresetError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Stale> for PresetError {
    fn from(stale: Stale) -> Self {
        Self::Stale(stale)
    }
}

impl From<StoreError> for PresetError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What an import does with presets, or functions, that it does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// They stay.
    Keep,
    /// They go.
    Remove,
}

impl Registry {
    /// Every preset of the store. A row that cannot be read is kept as one that nobody may use: the model must not be
    /// had without its filters, or by others.
    pub(super) async fn read_presets(&self) -> Result<Presets, StoreError> {
        let mut presets = BTreeMap::new();
        for row in self.store.list_models().await? {
            let id = row.id.clone();
            let preset = Preset::from_row(row.clone()).unwrap_or_else(|reason| {
                // Without the reason, which may quote a prompt; administrators see it in the list of models.
                error!(model = %id, "stored preset cannot be read, its model refuses requests");
                Preset::unreadable(row, reason)
            });
            presets.insert(id, Arc::new(preset));
        }
        Ok(Arc::new(presets))
    }

    /// Adds a preset.
    ///
    /// # Errors
    ///
    /// If its id is taken or its parameters make no sense.
    pub async fn create_preset(
        &self,
        form: PresetForm,
        user_id: &str,
    ) -> Result<Arc<Preset>, PresetError> {
        let preset = Preset::new(form, user_id.to_owned()).map_err(PresetError::Refused)?;
        let state = self.state.lock().await;
        if state.presets.contains_key(preset.id()) {
            return Err(PresetError::IdTaken);
        }
        self.keep_preset(state, preset).await
    }

    /// Makes a preset anew. An access list of which the form says nothing stays.
    ///
    /// # Errors
    ///
    /// If there is none of this id, it is not as `expected`, or its parameters make no sense.
    pub async fn update_preset(
        &self,
        id: &str,
        form: PresetForm,
        expected: &Expected,
    ) -> Result<Arc<Preset>, PresetError> {
        self.alter_preset(id, expected, |_| Ok(form)).await
    }

    /// Turns a preset on or off.
    ///
    /// # Errors
    ///
    /// If there is none of this id, or it is not as `expected`.
    pub async fn toggle_preset(
        &self,
        id: &str,
        expected: &Expected,
    ) -> Result<Arc<Preset>, PresetError> {
        let toggled = |known: &Preset| {
            let form = readable_form(known)?;
            Ok(PresetForm {
                is_active: !form.is_active,
                ..form
            })
        };
        self.alter_preset(id, expected, toggled).await
    }

    /// Gives a preset another access list.
    ///
    /// # Errors
    ///
    /// If there is none of this id, or it is not as `expected`.
    pub async fn set_preset_access(
        &self,
        id: &str,
        access: Access,
        expected: &Expected,
    ) -> Result<Arc<Preset>, PresetError> {
        let granted = |known: &Preset| {
            Ok(PresetForm {
                access: Some(access),
                ..readable_form(known)?
            })
        };
        self.alter_preset(id, expected, granted).await
    }

    /// Removes a preset; whether there was one.
    ///
    /// # Errors
    ///
    /// If it is not as `expected`, or the store fails.
    pub async fn delete_preset(&self, id: &str, expected: &Expected) -> Result<bool, PresetError> {
        let state = self.state.lock().await;
        let known = state.presets.get(id);
        expected.check(|| known.map(|known| self.preset_revision(known)))?;
        if known.is_none() {
            return Ok(false);
        }
        let mut presets = BTreeMap::clone(&state.presets);
        presets.remove(id);
        self.replace_presets(state, presets).await?;
        Ok(true)
    }

    /// Adds many presets or makes them anew, all or none.
    ///
    /// # Errors
    ///
    /// If all presets together are not as `expected`, or one of them makes no sense.
    pub async fn import_presets(
        &self,
        forms: Vec<PresetForm>,
        user_id: &str,
        others: Others,
        expected: &Expected,
    ) -> Result<(), PresetError> {
        let state = self.state.lock().await;
        expected.check(|| Some(self.presets_revision(&self.current())))?;
        let mut presets = match others {
            Others::Keep => BTreeMap::clone(&state.presets),
            Others::Remove => BTreeMap::new(),
        };
        for form in forms {
            let preset = match state.presets.get(&form.id) {
                Some(known) => known.updated(form),
                None => Preset::new(form, user_id.to_owned()),
            };
            let preset = preset.map_err(PresetError::Refused)?;
            presets.insert(preset.id().to_owned(), Arc::new(preset));
        }
        self.replace_presets(state, presets).await
    }

    async fn alter_preset(
        &self,
        id: &str,
        expected: &Expected,
        change: impl FnOnce(&Preset) -> Result<PresetForm, PresetError>,
    ) -> Result<Arc<Preset>, PresetError> {
        let state = self.state.lock().await;
        let known = state.presets.get(id).ok_or(PresetError::UnknownPreset)?;
        expected.check(|| Some(self.preset_revision(known)))?;
        let preset = known.updated(change(known)?);
        let preset = preset.map_err(PresetError::Refused)?;
        self.keep_preset(state, preset).await
    }

    async fn keep_preset(
        &self,
        state: MutexGuard<'_, State>,
        preset: Preset,
    ) -> Result<Arc<Preset>, PresetError> {
        let preset = Arc::new(preset);
        let mut presets = BTreeMap::clone(&state.presets);
        presets.insert(preset.id().to_owned(), Arc::clone(&preset));
        self.replace_presets(state, presets).await?;
        Ok(preset)
    }

    /// Writes what is another one now, and publishes.
    async fn replace_presets(
        &self,
        mut state: MutexGuard<'_, State>,
        presets: BTreeMap<String, Arc<Preset>>,
    ) -> Result<(), PresetError> {
        let known = &state.presets;
        let is_new = |preset: &Arc<Preset>| {
            let known = known.get(preset.id());
            known.is_none_or(|known| !Arc::ptr_eq(known, preset))
        };
        ensure_no_chain(&presets, is_new)?;
        let written = presets.values().filter(|preset| is_new(preset));
        let written = written.map(|preset| preset.to_row()).collect();
        let gone = known.keys().filter(|id| !presets.contains_key(*id));
        let gone = gone.cloned().collect();
        self.store.replace_models(written, gone).await?;
        state.presets = Arc::new(presets);
        self.publish(&mut state);
        Ok(())
    }
}

/// What a preset was made from, to change a part of it. What cannot be read is not to be written over by accident.
fn readable_form(preset: &Preset) -> Result<PresetForm, PresetError> {
    match preset.unreadable_because() {
        None => Ok(preset.form()),
        Some(why) => Err(PresetError::Refused(format!(
            "model `{}` cannot be read from the store: {why}\nhint: make it anew by an update, or delete it",
            preset.id()
        ))),
    }
}

/// Refuses a preset on a preset, which no request could follow. What was there before is left alone.
fn ensure_no_chain(
    presets: &BTreeMap<String, Arc<Preset>>,
    is_new: impl Fn(&Arc<Preset>) -> bool,
) -> Result<(), PresetError> {
    for preset in presets.values() {
        let base = preset.base_model_id().and_then(|id| presets.get(id));
        let Some(base) = base.filter(|base| base.base_model_id().is_some()) else {
            continue;
        };
        if is_new(preset) || is_new(base) {
            return Err(PresetError::Refused(format!(
                "model `{}`: its base `{}` is a preset itself\nhint: take a model of a model server or of a pipe",
                preset.id(),
                base.id()
            )));
        }
    }
    Ok(())
}
