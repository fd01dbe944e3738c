//! Changes to presets: each is written to the store as a whole and makes one new snapshot.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::MutexGuard;
use tracing::error;

use super::access::Access;
use super::preset::{Preset, PresetForm};
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
    /// Every preset of the store. A row that makes no sense is logged and left out.
    pub(super) async fn read_presets(&self) -> Result<Presets, StoreError> {
        let mut presets = BTreeMap::new();
        for row in self.store.list_models().await? {
            let id = row.id.clone();
            match Preset::from_row(row) {
                Ok(preset) => drop(presets.insert(id, Arc::new(preset))),
                Err(reason) => {
                    error!(model = %id, reason, "stored preset makes no sense, left out");
                }
            }
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
    /// If there is none of this id, or its parameters make no sense.
    pub async fn update_preset(
        &self,
        id: &str,
        form: PresetForm,
    ) -> Result<Arc<Preset>, PresetError> {
        self.alter_preset(id, |_| form).await
    }

    /// Turns a preset on or off.
    ///
    /// # Errors
    ///
    /// If there is none of this id.
    pub async fn toggle_preset(&self, id: &str) -> Result<Arc<Preset>, PresetError> {
        let toggled = |form: PresetForm| PresetForm {
            is_active: !form.is_active,
            ..form
        };
        self.alter_preset(id, toggled).await
    }

    /// Gives a preset another access list.
    ///
    /// # Errors
    ///
    /// If there is none of this id.
    pub async fn set_preset_access(
        &self,
        id: &str,
        access: Access,
    ) -> Result<Arc<Preset>, PresetError> {
        let granted = |form: PresetForm| PresetForm {
            access: Some(access),
            ..form
        };
        self.alter_preset(id, granted).await
    }

    /// Removes a preset; whether there was one.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn delete_preset(&self, id: &str) -> Result<bool, PresetError> {
        let state = self.state.lock().await;
        if !state.presets.contains_key(id) {
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
    /// If one of them makes no sense.
    pub async fn import_presets(
        &self,
        forms: Vec<PresetForm>,
        user_id: &str,
        others: Others,
    ) -> Result<(), PresetError> {
        let state = self.state.lock().await;
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
        change: impl FnOnce(PresetForm) -> PresetForm,
    ) -> Result<Arc<Preset>, PresetError> {
        let state = self.state.lock().await;
        let known = state.presets.get(id).ok_or(PresetError::UnknownPreset)?;
        let preset = known.updated(change(known.form()));
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
        let is_kept = |(id, preset): &(&String, &Arc<Preset>)| {
            known
                .get(*id)
                .is_some_and(|known| Arc::ptr_eq(known, preset))
        };
        let written = presets.iter().filter(|entry| !is_kept(entry));
        let written = written.map(|(_, preset)| preset.to_row()).collect();
        let gone = known.keys().filter(|id| !presets.contains_key(*id));
        let gone = gone.cloned().collect();
        self.store.replace_models(written, gone).await?;
        state.presets = Arc::new(presets);
        self.publish(&mut state);
        Ok(())
    }
}
