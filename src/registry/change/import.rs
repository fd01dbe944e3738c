//! Many functions at once, as an export of Open WebUI holds them: all of them, or none.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::valves::without_nulls;
use super::{ChangeError, complete_meta};
use crate::registry::function::{
    Function, FunctionId, FunctionVersion, Origin, Record, UserValves, Valves,
};
use crate::registry::{Expected, Others, Registry, Revision, Stale, rows, secrets};
use crate::store::{StoreError, ids};

/// A function as an export holds it. What is left out stays as it is, or gets its default.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Its id, in any case.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Its code.
    pub content: String,
    /// What its author says of it.
    pub meta: Value,
    /// Whether it is on.
    pub is_active: Option<bool>,
    /// Whether it runs on every model.
    pub is_global: Option<bool>,
    /// The values that were set.
    pub valves: Option<Map<String, Value>>,
}

/// Why nothing was imported.
#[derive(Debug)]
pub enum ImportError {
    /// These functions cannot be put in place, each for its reason.
    Functions(Vec<(String, ChangeError)>),
    /// The list was made from another state of all functions than the one that is.
    Stale(Stale),
    /// The change could not be kept.
    Store(StoreError),
}

/// What an import has put in place.
#[derive(Debug)]
pub struct Placed {
    /// The functions that it named, by id.
    pub functions: Vec<Arc<Function>>,
    /// The state in which it leaves all functions together.
    pub revision: Revision,
}

impl From<Stale> for ImportError {
    fn from(stale: Stale) -> Self {
        Self::Stale(stale)
    }
}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A function ready to be put in place, with what it was prepared against.
struct Prepared {
    function: Function,
    known: Option<Arc<Function>>,
}

/// Code that was loaded, by function.
type Loaded = BTreeMap<FunctionId, Arc<FunctionVersion>>;

impl Registry {
    /// Puts functions in place, new ones and known ones, in one change. Code that is as before is not loaded again.
    ///
    /// # Errors
    ///
    /// If all functions together are not as `expected`, or one of them cannot be put in place; then none is, and each
    /// that could not is named.
    pub async fn import(
        &self,
        functions: Vec<Imported>,
        user_id: &str,
        others: Others,
        expected: &Expected,
    ) -> Result<Placed, ImportError> {
        let mut loaded = Loaded::new();
        loop {
            // Before code is loaded, which takes its time; it counts under the lock.
            self.ensure_all_as(expected)?;
            let prepared = self.prepare_all(&functions, user_id, &mut loaded).await?;
            let placed = self.place(prepared, user_id, others, expected).await?;
            if let Some(placed) = placed {
                return Ok(placed);
            }
        }
    }

    fn ensure_all_as(&self, expected: &Expected) -> Result<(), Stale> {
        expected.check(|| Some(self.functions_revision(&self.current())))
    }

    async fn prepare_all(
        &self,
        functions: &[Imported],
        user_id: &str,
        loaded: &mut Loaded,
    ) -> Result<BTreeMap<FunctionId, Prepared>, ImportError> {
        let (mut prepared, mut errors) = (BTreeMap::new(), Vec::new());
        for imported in functions {
            let ready = self.prepare(imported, user_id, loaded).await;
            match ready {
                Ok(ready) => {
                    let id = ready.function.id.clone();
                    if prepared.insert(id, ready).is_some() {
                        errors.push((imported.id.clone(), ChangeError::IdTaken));
                    }
                }
                Err(error) => errors.push((imported.id.clone(), error)),
            }
        }
        if errors.is_empty() {
            return Ok(prepared);
        }
        Err(ImportError::Functions(errors))
    }

    async fn prepare(
        &self,
        imported: &Imported,
        user_id: &str,
        loaded: &mut Loaded,
    ) -> Result<Prepared, ChangeError> {
        let id = FunctionId::parse(&imported.id).ok_or(ChangeError::InvalidId)?;
        let known = self.current().function(id.as_str()).cloned();
        if let Some(known) = known.as_ref().filter(|it| it.origin == Origin::Folder) {
            // An export of this gateway names its folder's functions too.
            let is_same = *known.version.source == *imported.content;
            let unchanged = || Prepared {
                function: Function::clone(known),
                known: Some(Arc::clone(known)),
            };
            return is_same.then(unchanged).ok_or(ChangeError::InFolder);
        }
        let version = self
            .version_for(&id, imported, known.as_deref(), loaded)
            .await?;
        let valves = self
            .imported_valves(imported, &version, known.as_deref())
            .await?;
        let was = known.as_deref();
        let is_active = imported
            .is_active
            .unwrap_or_else(|| was.is_some_and(|was| was.is_active));
        let is_active = is_active && version.learnt.not_loaded.is_none();
        let is_global = imported
            .is_global
            .unwrap_or_else(|| was.is_some_and(|was| was.is_global));
        // Nobody calls what is inactive: its process starts when somebody does.
        let version = match loaded.get_mut(&id) {
            Some(loaded) if !is_active => {
                *loaded = Arc::new(version.without_process());
                Arc::clone(loaded)
            }
            _ => version,
        };
        let function = Function {
            settings: self.settings_of(&id),
            record: Arc::new(record(imported, user_id, was, &version)),
            origin: Origin::Store,
            user_valves: was.map_or_else(UserValves::default, |was| Arc::clone(&was.user_valves)),
            version,
            valves,
            is_active,
            is_global,
            id,
        };
        Ok(Prepared { function, known })
    }

    /// The version that an imported function will have: the one that it has, or one that is loaded now.
    async fn version_for(
        &self,
        id: &FunctionId,
        imported: &Imported,
        known: Option<&Function>,
        loaded: &mut Loaded,
    ) -> Result<Arc<FunctionVersion>, ChangeError> {
        let same = known.map(|known| &known.version).filter(|version| {
            *version.source == *imported.content && version.learnt.not_loaded.is_none()
        });
        let again = loaded
            .get(id)
            .filter(|version| *version.source == *imported.content);
        if let Some(version) = same.or(again) {
            return Ok(Arc::clone(version));
        }
        let version = if known.is_some_and(|known| known.is_active) {
            self.try_out(id, &imported.content).await?
        } else {
            let valves = self.valves_for(id).await;
            self.try_out_or_wait(id, &imported.content, valves).await?
        };
        let version = Arc::new(version);
        loaded.insert(id.clone(), Arc::clone(&version));
        Ok(version)
    }

    /// The valves that an imported function will have, checked against its code.
    async fn imported_valves(
        &self,
        imported: &Imported,
        version: &FunctionVersion,
        known: Option<&Function>,
    ) -> Result<Arc<Valves>, ChangeError> {
        let stored = || {
            let stored = known.map(|known| known.valves.stored.clone());
            stored.unwrap_or_else(|| Bytes::from_static(b"{}"))
        };
        let settings = self.settings_of(&version.id);
        let Some(values) = &imported.valves else {
            let valves = self.valves(stored(), 0.0);
            let priority = self.priority_of_stored(version, &settings, &valves).await?;
            return Ok(self.valves(valves.stored.clone(), priority));
        };
        let before = serde_json::from_slice(&stored()).unwrap_or_default();
        let values = without_nulls(secrets::unmask(values.clone(), &before)?);
        // What has no class, or none yet, cannot be checked; it is kept as it came.
        if version.learnt.valves_spec.is_null() {
            return Ok(self.valves(values.to_string().into(), version.learnt.priority));
        }
        let checked = self
            .loader
            .check_valves(version, &settings, &values, false)
            .await?;
        Ok(self.valves(checked.stored.to_string().into(), checked.priority))
    }

    /// Puts what was prepared in place, `None` if something changed meanwhile.
    async fn place(
        &self,
        prepared: BTreeMap<FunctionId, Prepared>,
        user_id: &str,
        others: Others,
        expected: &Expected,
    ) -> Result<Option<Placed>, ImportError> {
        let mut state = self.state.lock().await;
        self.ensure_all_as(expected)?;
        let current = self.current();
        let is_as_prepared = |(id, prepared): (&FunctionId, &Prepared)| {
            let now = current.function(id.as_str()).map(Arc::as_ptr);
            now == prepared.known.as_ref().map(Arc::as_ptr)
        };
        if !prepared.iter().all(is_as_prepared) {
            return Ok(None);
        }
        // Tools are stored beside functions, and no export of functions names them.
        let stored = state.stored.keys().filter(|id| !id.is_tool());
        let removed: Vec<FunctionId> = stored
            .filter(|id| others == Others::Remove && !prepared.contains_key(*id))
            .cloned()
            .collect();
        let functions: Vec<Arc<Function>> = prepared
            .into_values()
            .map(|prepared| Arc::new(prepared.function))
            .collect();
        let written = functions.iter().filter(|it| it.origin == Origin::Store);
        let rows = written
            .clone()
            .map(|function| rows::from_function(function));
        let names = removed.iter().map(|id| id.as_str().to_owned()).collect();
        self.store
            .replace_functions(rows.collect(), names, user_id.to_owned())
            .await?;
        for function in written {
            state
                .stored
                .insert(function.id.clone(), Arc::clone(function));
        }
        for id in &removed {
            state.stored.remove(id);
        }
        self.publish(&mut state);
        let revision = self.functions_revision(&self.current());
        Ok(Some(Placed {
            functions,
            revision,
        }))
    }
}

/// What management shows of an imported function. Code that is as before is no new upload.
fn record(
    imported: &Imported,
    user_id: &str,
    known: Option<&Function>,
    version: &FunctionVersion,
) -> Record {
    let now = ids::unix_seconds();
    let same = known.filter(|known| known.version.number == version.number);
    Record {
        user_id: known.map_or_else(|| user_id.to_owned(), |known| known.record.user_id.clone()),
        name: imported.name.clone(),
        meta: complete_meta(imported.meta.clone(), version),
        version_id: same.map_or_else(ids::uuid_v4, |known| known.record.version_id.clone()),
        created_at: known.map_or(now, |known| known.record.created_at),
        updated_at: now,
    }
}
