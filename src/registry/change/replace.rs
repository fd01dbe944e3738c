//! New code in the place of old: loaded aside, checked with the valves that it will have, and swapped in with them.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::history::RestoredValves;
use super::valves::misfit_of_current;
use super::{ChangeError, complete_meta, ensure_may_serve};
use crate::registry::function::{Function, FunctionVersion, Record};
use crate::registry::loader::LoadError;
use crate::registry::{Expected, GRANTS, Registry, rows};
use crate::store::ids;

/// What an update replaces. What it leaves out stays as it is when the update is made, not as it was when somebody read
/// it before.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Its name for people, if it gets another.
    pub name: Option<String>,
    /// Its code.
    pub content: String,
    /// What its author says of it, if that changes. Tools keep whom they are shared with unless this says so.
    pub meta: Option<Value>,
    /// Who uploads it.
    pub user_id: String,
}

/// Code that is to serve in the place of a function's.
pub(super) struct Replacement {
    pub(super) edit: Edit,
    /// The upload that it is.
    pub(super) version_id: String,
    /// The valves that it gets.
    pub(super) valves: RestoredValves,
}

impl Registry {
    /// Replaces a function's code. Its activity and its stored valves stay.
    ///
    /// # Errors
    ///
    /// If there is no such function or it is not as `expected`, it comes from the folder, or the code does not load or
    /// does not take the valves that are stored.
    pub async fn update(
        &self,
        id: &str,
        edit: Edit,
        expected: &Expected,
    ) -> Result<Arc<Function>, ChangeError> {
        let replacement = Replacement {
            edit,
            version_id: ids::uuid_v4(),
            valves: RestoredValves::Current,
        };
        self.replace(id, replacement, expected).await
    }

    /// Loads code aside and swaps it in. What the function is besides its code is read again under the lock.
    pub(super) async fn replace(
        &self,
        id: &str,
        replacement: Replacement,
        expected: &Expected,
    ) -> Result<Arc<Function>, ChangeError> {
        let known = self.stored_function(id)?;
        // Before the code is tried, which takes its time; it counts under the lock.
        self.ensure_as(expected, &known)?;
        let mut valves = self.valves_to_serve(&known, &replacement).await?;
        let content = &replacement.edit.content;
        let version = Arc::new(self.load_in_place(&known, content, valves.clone()).await?);
        loop {
            // Checked before the lock is taken: a check calls the code, which may take its time.
            let priority = self.priority_with(&version, &known.settings, &valves).await;
            let priority = priority.map_err(|error| misfit(error, replacement.valves))?;
            let mut state = self.state.lock().await;
            let current = self.stored_function(id)?;
            self.ensure_as(expected, &current)?;
            let valves_now = self.valves_to_serve(&current, &replacement).await?;
            if valves_now == valves {
                let uploader = replacement.edit.user_id.clone();
                let mut function = updated(&current, replacement, version);
                function.valves = self.valves(valves, priority);
                ensure_may_serve(&function)?;
                self.store
                    .upload_function(rows::from_function(&function), uploader)
                    .await?;
                return Ok(self.keep(&mut state, function));
            }
            valves = valves_now;
        }
    }

    /// Loads code that takes over from `known`: what is on is not replaced by code that waits for its requirements.
    async fn load_in_place(
        &self,
        known: &Function,
        content: &str,
        valves: Bytes,
    ) -> Result<FunctionVersion, LoadError> {
        if known.is_active {
            self.try_out_with(&known.id, content, valves).await
        } else {
            self.try_out_or_wait(&known.id, content, valves).await
        }
    }

    /// The valves that a replacement of this function's code gets.
    async fn valves_to_serve(
        &self,
        function: &Function,
        replacement: &Replacement,
    ) -> Result<Bytes, ChangeError> {
        let of_version = match replacement.valves {
            RestoredValves::Current => None,
            RestoredValves::OfVersion => {
                let version = self.version_of(function, &replacement.version_id).await?;
                version.row.valves.map(Bytes::from)
            }
        };
        Ok(of_version.unwrap_or_else(|| function.valves.stored.clone()))
    }
}

/// Says which valves do not fit. The code's own words name the fields.
fn misfit(mut error: LoadError, valves: RestoredValves) -> LoadError {
    if valves == RestoredValves::Current {
        return misfit_of_current(error);
    }
    error.message = format!(
        "the valves of this version no longer fit its code: {}\n\
         hint: go back with `\"valves\": \"current\"`, which keeps those that serve now",
        error.message
    );
    error
}

/// A function with another version of its code.
fn updated(current: &Function, new: Replacement, version: Arc<FunctionVersion>) -> Function {
    let known = &current.record;
    let meta = match new.edit.meta {
        Some(meta) => sharing_as(current, meta),
        None => known.meta.clone(),
    };
    let record = Record {
        name: new.edit.name.unwrap_or_else(|| known.name.clone()),
        meta: complete_meta(meta, &version),
        version_id: new.version_id,
        updated_at: ids::unix_seconds(),
        ..Record::clone(known)
    };
    Function {
        record: Arc::new(record),
        version,
        ..Function::clone(current)
    }
}

/// `meta` with those whom these tools are shared with, unless it names them itself. Functions are shared with nobody.
pub(super) fn sharing_as(tools: &Function, mut meta: Value) -> Value {
    let grants = tools
        .id
        .is_tool()
        .then(|| tools.record.meta.get(GRANTS))
        .flatten();
    if let (Some(meta), Some(grants)) = (meta.as_object_mut(), grants) {
        meta.entry(GRANTS).or_insert_with(|| grants.clone());
    }
    meta
}
