//! Changes to functions: each tries the new, writes the store, and only then swaps the snapshot.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::function::{Function, FunctionId, FunctionVersion, Origin, Record, Valves};
use super::loader::{Candidate, CheckedValves, LoadError};
use super::{Registry, State, UserValves, frontmatter, rows};
use crate::store::{StoreError, ids};

/// What a new function is made from.
#[derive(Clone, Debug)]
pub struct NewFunction {
    /// Its id, in any case.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Its code.
    pub content: String,
    /// What its author says of it.
    pub meta: Value,
    /// Who makes it.
    pub user_id: String,
}

/// What an update replaces: everything but the id and the maker.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Its name for people.
    pub name: String,
    /// Its code.
    pub content: String,
    /// What its author says of it.
    pub meta: Value,
}

/// Why a change was not made. Whatever served before still serves.
#[derive(Debug)]
pub enum ChangeError {
    /// The id is no identifier.
    InvalidId,
    /// The id is in use.
    IdTaken,
    /// There is no function of this id.
    UnknownFunction,
    /// The function is inactive, and this needs it to be active.
    Inactive,
    /// The function comes from the folder: its file is the place to change it.
    InFolder,
    /// The function has no such valves.
    NoValves,
    /// The code or the values were refused.
    Refused(LoadError),
    /// The change could not be kept.
    Store(StoreError),
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidId => {
                f.write_str("Only alphanumeric characters and underscores are allowed in the id")
            }
            Self::IdTaken => f.write_str(
                "Uh-oh! This id is already registered. Please choose another id string.",
            ),
            Self::UnknownFunction | Self::NoValves => {
                f.write_str("We could not find what you're looking for :/")
            }
            Self::Inactive => f.write_str("Function is not active"),
            Self::InFolder => {
                f.write_str("this function comes from the functions folder: change its file there")
            }
            Self::Refused(error) => write!(f, "{error}"),
            Self::Store(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ChangeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<LoadError> for ChangeError {
    fn from(error: LoadError) -> Self {
        Self::Refused(error)
    }
}

impl Registry {
    /// Adds a function to the store, inactive and not global.
    ///
    /// # Errors
    ///
    /// If the id is bad or taken, or the code does not load.
    pub async fn create(&self, new: NewFunction) -> Result<Arc<Function>, ChangeError> {
        let id = FunctionId::parse(&new.id).ok_or(ChangeError::InvalidId)?;
        self.add(id, new, false).await
    }

    /// Adds tools to the store. They have no switch: they are active.
    ///
    /// # Errors
    ///
    /// If the id is bad or taken, or the code does not load.
    pub async fn create_tools(&self, new: NewFunction) -> Result<Arc<Function>, ChangeError> {
        let id = FunctionId::tool(&new.id).ok_or(ChangeError::InvalidId)?;
        self.add(id, new, true).await
    }

    async fn add(
        &self,
        id: FunctionId,
        new: NewFunction,
        is_active: bool,
    ) -> Result<Arc<Function>, ChangeError> {
        self.ensure_free(&id)?;
        let version = self.try_out(&id, &new.content).await?;
        let mut state = self.state.lock().await;
        self.ensure_free(&id)?;
        let now = ids::unix_seconds();
        let record = Record {
            user_id: new.user_id,
            name: new.name,
            meta: complete_meta(new.meta, &version),
            version_id: ids::uuid_v4(),
            created_at: now,
            updated_at: now,
        };
        let priority = version.learnt.priority;
        let function = Function {
            settings: self.settings_of(&id),
            id,
            origin: Origin::Store,
            version: Arc::new(version),
            valves: self.valves(Bytes::from_static(b"{}"), priority),
            user_valves: UserValves::default(),
            is_active,
            is_global: false,
            record: Arc::new(record),
        };
        self.store
            .insert_function(rows::from_function(&function))
            .await?;
        Ok(self.keep(&mut state, function))
    }

    /// Replaces a function's code. Its activity and its stored valves stay.
    ///
    /// # Errors
    ///
    /// If there is no such function, it comes from the folder, or the code does not load or does not take the valves
    /// that are stored.
    pub async fn update(&self, id: &str, edit: Edit) -> Result<Arc<Function>, ChangeError> {
        let known = self.stored_function(id)?;
        let version = Arc::new(self.try_out(&known.id, &edit.content).await?);
        loop {
            // Checked before the lock is taken: a check calls the code, which may take its time.
            let valves = self.stored_function(id)?.valves.clone();
            let priority = self.priority_of_stored(&version, &known, &valves).await?;
            let mut state = self.state.lock().await;
            let current = self.stored_function(id)?;
            if current.valves.version == valves.version {
                let function = self.updated(&current, edit, version, priority);
                self.store
                    .update_function(rows::from_function(&function))
                    .await?;
                return Ok(self.keep(&mut state, function));
            }
        }
    }

    /// A function with another version of its code.
    fn updated(
        &self,
        current: &Function,
        edit: Edit,
        version: Arc<FunctionVersion>,
        priority: f64,
    ) -> Function {
        let record = Record {
            name: edit.name,
            meta: complete_meta(edit.meta, &version),
            version_id: ids::uuid_v4(),
            updated_at: ids::unix_seconds(),
            ..Record::clone(&current.record)
        };
        Function {
            valves: self.valves(current.valves.stored.clone(), priority),
            record: Arc::new(record),
            version,
            ..Function::clone(current)
        }
    }

    /// Removes a function from the store; whether there was one.
    ///
    /// # Errors
    ///
    /// If it comes from the folder or the store fails.
    pub async fn delete(&self, id: &str) -> Result<bool, ChangeError> {
        let mut state = self.state.lock().await;
        if state.folder.contains_key(id) {
            return Err(ChangeError::InFolder);
        }
        if !state.stored.contains_key(id) {
            return Ok(false);
        }
        self.store.delete_function(id.to_owned()).await?;
        state.stored.remove(id);
        self.publish(&mut state);
        Ok(true)
    }

    /// Turns a function on or off.
    ///
    /// # Errors
    ///
    /// If there is no such function in the store.
    pub async fn toggle_active(&self, id: &str) -> Result<Arc<Function>, ChangeError> {
        self.alter(id, |function| function.is_active = !function.is_active)
            .await
    }

    /// Makes a filter run on every model, or not.
    ///
    /// # Errors
    ///
    /// If there is no such function in the store.
    pub async fn toggle_global(&self, id: &str) -> Result<Arc<Function>, ChangeError> {
        self.alter(id, |function| function.is_global = !function.is_global)
            .await
    }

    /// Sets one member of what is said of a stored function or of stored tools.
    ///
    /// # Errors
    ///
    /// If there is no such function in the store.
    pub async fn set_meta(
        &self,
        id: &str,
        key: &str,
        value: Value,
    ) -> Result<Arc<Function>, ChangeError> {
        self.alter(id, |function| {
            let mut record = Record::clone(&function.record);
            record.meta[key] = value;
            function.record = Arc::new(record);
        })
        .await
    }

    /// Stores valves; what was stored is returned: the explicitly given fields without nulls.
    ///
    /// # Errors
    ///
    /// If there is no such function, it has no valves, or the values do not fit.
    pub async fn set_valves(
        &self,
        id: &str,
        values: Map<String, Value>,
    ) -> Result<Value, ChangeError> {
        let values = without_nulls(values);
        loop {
            let checked_with = self.function(id)?;
            if checked_with.version.learnt.valves_spec.is_null() {
                return Err(ChangeError::NoValves);
            }
            let checked = self.check(&checked_with, &values, false).await?;
            let stored = Bytes::from(checked.stored.to_string());
            let mut state = self.state.lock().await;
            let current = self.function(id)?;
            // Values are for the code that they were checked with.
            if current.version.number == checked_with.version.number {
                let function = Function {
                    valves: self.valves(stored, checked.priority),
                    ..Function::clone(&current)
                };
                self.keep_valves(&mut state, &function).await?;
                self.keep(&mut state, function);
                return Ok(checked.stored);
            }
        }
    }

    /// Writes a function's valves to where its source keeps them.
    async fn keep_valves(&self, state: &mut State, function: &Function) -> Result<(), ChangeError> {
        let stored = &function.valves.stored;
        if function.origin == Origin::Folder {
            self.keep_folder_valves(&function.id, stored).await?;
            state
                .folder_valves
                .insert(function.id.clone(), stored.clone());
        } else {
            self.store
                .update_function(rows::from_function(function))
                .await?;
        }
        Ok(())
    }

    async fn check(
        &self,
        function: &Function,
        values: &Value,
        user: bool,
    ) -> Result<CheckedValves, LoadError> {
        self.loader
            .check_valves(&function.version, &function.settings, values, user)
            .await
    }

    /// Stores a user's valves; what was stored is returned.
    ///
    /// # Errors
    ///
    /// If there is no such function, it is inactive or has no user valves, or the values do not fit.
    pub async fn set_user_valves(
        &self,
        id: &str,
        user_id: &str,
        values: Map<String, Value>,
    ) -> Result<Value, ChangeError> {
        let function = self.function(id)?;
        if !function.is_active {
            return Err(ChangeError::Inactive);
        }
        if !function.version.learnt.has_user_valves {
            return Err(ChangeError::NoValves);
        }
        let values = without_nulls(values);
        let checked = self.check(&function, &values, true).await?;
        let stored = checked.stored.to_string();
        let mut state = self.state.lock().await;
        let mut function = Function::clone(&*self.function(id)?);
        self.store
            .set_user_valves(id.to_owned(), user_id.to_owned(), stored.clone())
            .await?;
        let mut by_user = HashMap::clone(&function.user_valves);
        by_user.insert(user_id.to_owned(), stored.into());
        function.user_valves = Arc::new(by_user);
        self.keep(&mut state, function);
        Ok(checked.stored)
    }

    /// Loads code in a process of its own.
    pub(super) async fn try_out(
        &self,
        id: &FunctionId,
        source: &str,
    ) -> Result<FunctionVersion, LoadError> {
        let candidate = Candidate {
            number: self.next_number(),
            id: id.clone(),
            source: source.into(),
            pocket: Default::default(),
        };
        let learnt = self.loader.load(&candidate, &self.settings_of(id)).await?;
        Ok(candidate.into_version(learnt))
    }

    /// The order of a new version under the valves that are stored.
    async fn priority_of_stored(
        &self,
        version: &FunctionVersion,
        known: &Function,
        valves: &Valves,
    ) -> Result<f64, ChangeError> {
        let stored: Map<String, Value> = serde_json::from_slice(&valves.stored).unwrap_or_default();
        if stored.is_empty() || version.learnt.valves_spec.is_null() {
            return Ok(version.learnt.priority);
        }
        let checked = self
            .loader
            .check_valves(version, &known.settings, &Value::Object(stored), false)
            .await;
        let checked = checked.map_err(|error| LoadError {
            message: format!(
                "Current Valves are incompatible with this code: {}",
                error.message
            ),
            ..error
        })?;
        Ok(checked.priority)
    }

    /// Changes a stored function by `change`, writes it and publishes it.
    async fn alter(
        &self,
        id: &str,
        change: impl FnOnce(&mut Function),
    ) -> Result<Arc<Function>, ChangeError> {
        let mut state = self.state.lock().await;
        let mut function = Function::clone(&*self.stored_function(id)?);
        change(&mut function);
        function.record = Arc::new(Record {
            updated_at: ids::unix_seconds(),
            ..Record::clone(&function.record)
        });
        self.store
            .update_function(rows::from_function(&function))
            .await?;
        Ok(self.keep(&mut state, function))
    }

    /// Puts a function in its source's place and publishes.
    fn keep(&self, state: &mut State, function: Function) -> Arc<Function> {
        let function = Arc::new(function);
        let source = match function.origin {
            Origin::Folder => &mut state.folder,
            Origin::Store => &mut state.stored,
        };
        source.insert(function.id.clone(), Arc::clone(&function));
        self.publish(state);
        function
    }

    fn function(&self, id: &str) -> Result<Arc<Function>, ChangeError> {
        self.current()
            .entry(id)
            .cloned()
            .ok_or(ChangeError::UnknownFunction)
    }

    fn stored_function(&self, id: &str) -> Result<Arc<Function>, ChangeError> {
        let function = self.function(id)?;
        match function.origin {
            Origin::Store => Ok(function),
            Origin::Folder => Err(ChangeError::InFolder),
        }
    }

    fn ensure_free(&self, id: &FunctionId) -> Result<(), ChangeError> {
        match self.current().entry(id.as_str()) {
            Some(_) => Err(ChangeError::IdTaken),
            None => Ok(()),
        }
    }
}

/// The author's `meta` with what the code itself says: its frontmatter as `manifest`, and whether it is a toggle.
pub(super) fn complete_meta(meta: Value, version: &FunctionVersion) -> Value {
    let mut meta = match meta {
        Value::Object(meta) => meta,
        _ => Map::new(),
    };
    let pairs = frontmatter::parse(&version.source).into_iter();
    let manifest: Map<String, Value> = pairs
        .map(|(key, value)| (key, Value::String(value)))
        .collect();
    meta.insert("manifest".to_owned(), Value::Object(manifest));
    meta.insert("toggle".to_owned(), json!(version.learnt.toggle));
    Value::Object(meta)
}

/// Members that are null say "not set", as Open WebUI's forms do.
fn without_nulls(values: Map<String, Value>) -> Value {
    Value::Object(
        values
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect(),
    )
}
