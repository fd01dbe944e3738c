//! Changes to functions: each tries the new, writes the store, and only then swaps the snapshot.

mod error;
mod history;
mod import;
mod replace;
mod valves;
mod waiting;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

pub use self::error::ChangeError;
pub use self::history::RestoredValves;
pub use self::import::{ImportError, Imported, Placed};
pub use self::replace::Edit;
pub use self::valves::StoredValues;

use super::function::{Function, FunctionId, FunctionVersion, Origin, Record, UserValves};
use super::loader::{Candidate, LoadError};
use super::revision::Expected;
use super::{Registry, State, frontmatter, rows};
use crate::store::ids;

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

impl Registry {
    /// Adds a function to the store, inactive and not global. Code whose requirements are not installed is kept, to be
    /// loaded when it is activated.
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
        let valves = self.valves_for(&id).await;
        let version = self.try_out_or_wait(&id, &new.content, valves).await?;
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

    /// Removes a function from the store; whether there was one.
    ///
    /// # Errors
    ///
    /// If it comes from the folder, is not as `expected`, or the store fails.
    pub async fn delete(&self, id: &str, expected: &Expected) -> Result<bool, ChangeError> {
        let mut state = self.state.lock().await;
        if state.folder.contains_key(id) {
            return Err(ChangeError::InFolder);
        }
        let known = state.stored.get(id);
        expected.check(|| known.map(|known| self.revision(known)))?;
        if known.is_none() {
            return Ok(false);
        }
        self.store.delete_function(id.to_owned()).await?;
        state.stored.remove(id);
        self.publish(&mut state);
        Ok(true)
    }

    /// Turns a function on or off. Code that waits for its requirements is loaded first.
    ///
    /// # Errors
    ///
    /// If there is no such function in the store or it is not as `expected`, or what it requires is still not installed.
    pub async fn toggle_active(
        &self,
        id: &str,
        expected: &Expected,
    ) -> Result<Arc<Function>, ChangeError> {
        let known = self.stored_function(id)?;
        if known.version.learnt.not_loaded.is_some() && !known.is_active {
            return self.load_and_activate(known, expected).await;
        }
        self.alter(id, expected, |function| {
            function.is_active = !function.is_active;
        })
        .await
    }

    /// Makes a filter run on every model, or not.
    ///
    /// # Errors
    ///
    /// If there is no such function in the store, or it is not as `expected`.
    pub async fn toggle_global(
        &self,
        id: &str,
        expected: &Expected,
    ) -> Result<Arc<Function>, ChangeError> {
        self.alter(id, expected, |function| {
            function.is_global = !function.is_global;
        })
        .await
    }

    /// Replaces what is said of a stored function or of stored tools, and leaves their code alone.
    ///
    /// # Errors
    ///
    /// If there is no such function in the store, or it is not as `expected`.
    pub async fn describe(
        &self,
        id: &str,
        name: String,
        meta: Value,
        expected: &Expected,
    ) -> Result<Arc<Function>, ChangeError> {
        self.alter(id, expected, |function| {
            let meta = replace::sharing_as(function, meta);
            function.record = Arc::new(Record {
                meta: complete_meta(meta, &function.version),
                name,
                ..Record::clone(&function.record)
            });
        })
        .await
    }

    /// Sets one member of what is said of a stored function or of stored tools.
    ///
    /// # Errors
    ///
    /// If there is no such function in the store, or it is not as `expected`.
    pub async fn set_meta(
        &self,
        id: &str,
        key: &str,
        value: Value,
        expected: &Expected,
    ) -> Result<Arc<Function>, ChangeError> {
        self.alter(id, expected, |function| {
            let mut record = Record::clone(&function.record);
            record.meta[key] = value;
            function.record = Arc::new(record);
        })
        .await
    }

    /// Loads code in a process of its own, with the valves of its function.
    pub(super) async fn try_out(
        &self,
        id: &FunctionId,
        source: &str,
    ) -> Result<FunctionVersion, LoadError> {
        let valves = self.valves_for(id).await;
        self.try_out_with(id, source, valves).await
    }

    /// Loads code in a process of its own. It sees `valves` as it starts.
    pub(super) async fn try_out_with(
        &self,
        id: &FunctionId,
        source: &str,
        valves: Bytes,
    ) -> Result<FunctionVersion, LoadError> {
        let candidate = Candidate {
            number: self.next_number(),
            id: id.clone(),
            source: source.into(),
            valves,
            pocket: Default::default(),
        };
        let learnt = self.loader.load(&candidate, &self.settings_of(id)).await?;
        Ok(candidate.into_version(learnt))
    }

    /// The valves that code of this id will see.
    pub(super) async fn valves_for(&self, id: &FunctionId) -> Bytes {
        if let Some(function) = self.current().entry(id.as_str()) {
            return function.valves.stored.clone();
        }
        if let Some(over_api) = self.state.lock().await.folder_valves.get(id) {
            return over_api.clone();
        }
        let configured = self.configured();
        let values = super::entry_of(&configured, id).valves.clone();
        Value::Object(values).to_string().into()
    }

    /// Changes a stored function by `change`, writes it and publishes it.
    async fn alter(
        &self,
        id: &str,
        expected: &Expected,
        change: impl FnOnce(&mut Function),
    ) -> Result<Arc<Function>, ChangeError> {
        let mut state = self.state.lock().await;
        let mut function = Function::clone(&*self.stored_function(id)?);
        self.ensure_as(expected, &function)?;
        change(&mut function);
        ensure_may_serve(&function)?;
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

    fn ensure_as(&self, expected: &Expected, function: &Function) -> Result<(), ChangeError> {
        Ok(expected.check(|| Some(self.revision(function)))?)
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

/// Code that was never loaded cannot be asked anything.
fn ensure_loaded(function: &Function) -> Result<(), ChangeError> {
    match &function.version.learnt.not_loaded {
        Some(why) => Err(ChangeError::NotLoaded(why.clone())),
        None => Ok(()),
    }
}

/// Code that was never loaded must not be active.
fn ensure_may_serve(function: &Function) -> Result<(), ChangeError> {
    if function.is_active {
        ensure_loaded(function)
    } else {
        Ok(())
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
