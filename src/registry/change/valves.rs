//! Changes to valves: checked by the function's own class before they are stored.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{ChangeError, ensure_loaded};
use crate::registry::function::{Function, FunctionSettings, FunctionVersion, Origin, Valves};
use crate::registry::loader::{CheckedValves, LoadError};
use crate::registry::{Expected, Registry, Revision, State, rows, secrets};

/// Values that were stored.
#[derive(Clone, Debug)]
pub struct StoredValues {
    /// The explicitly given fields without nulls. The mask of a secret that was sent back is a mask here.
    pub shown: Value,
    /// The state in which they leave their function, or the user's valves of it.
    pub revision: Revision,
}

impl Registry {
    /// Stores valves. The mask of a secret, sent back, keeps what is stored.
    ///
    /// # Errors
    ///
    /// If there is no such function or it is not as `expected`, it has no valves, or the values do not fit.
    pub async fn set_valves(
        &self,
        id: &str,
        values: Map<String, Value>,
        expected: &Expected,
    ) -> Result<StoredValues, ChangeError> {
        self.set_valves_of(id, |_| values.clone(), expected).await
    }

    /// As [`Registry::set_valves`], with the values that `values` makes of the function as it is: they are made again if
    /// it has changed before they are stored.
    ///
    /// # Errors
    ///
    /// As [`Registry::set_valves`].
    pub async fn set_valves_of(
        &self,
        id: &str,
        values: impl Fn(&Function) -> Map<String, Value>,
        expected: &Expected,
    ) -> Result<StoredValues, ChangeError> {
        loop {
            let checked_with = self.function(id)?;
            self.ensure_as(expected, &checked_with)?;
            ensure_loaded(&checked_with)?;
            if checked_with.version.learnt.valves_spec.is_null() {
                return Err(ChangeError::NoValves);
            }
            let sent = values(&checked_with);
            let known = serde_json::from_slice(&checked_with.valves.stored).unwrap_or_default();
            let unmasked = without_nulls(secrets::unmask(sent.clone(), &known)?);
            let checked = self.check(&checked_with, &unmasked, false).await?;
            let stored = Bytes::from(checked.stored.to_string());
            let mut state = self.state.lock().await;
            let current = self.function(id)?;
            self.ensure_as(expected, &current)?;
            // Values are for the code that they were checked with, masks for the values that they hid.
            if current.version.number == checked_with.version.number
                && current.valves.version == checked_with.valves.version
            {
                let function = Function {
                    valves: self.valves(stored, checked.priority),
                    ..Function::clone(&current)
                };
                self.keep_valves(&mut state, &function).await?;
                let function = self.keep(&mut state, function);
                let spec = &function.version.learnt.valves_spec;
                return Ok(StoredValues {
                    shown: secrets::echo(&checked.stored, &sent, spec),
                    revision: self.revision(&function),
                });
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

    /// The JSON schema of a function's valves (its user valves if `user`) as it is shown to `asker`, null for none.
    ///
    /// # Errors
    ///
    /// If the code has to be asked for its options and cannot be.
    pub async fn valves_spec(
        &self,
        function: &Function,
        asker: &Value,
        user: bool,
    ) -> Result<Value, ChangeError> {
        let learnt = &function.version.learnt;
        let known = if user {
            &learnt.user_valves_spec
        } else {
            &learnt.valves_spec
        };
        // What a filter in Rust has is what this gateway has, not the one that stored it.
        if !has_listed_options(known) && learnt.native.is_none() {
            return Ok(secrets::mask_spec(known));
        }
        let spec = self
            .loader
            .valves_spec(&function.version, &function.settings, asker, user);
        Ok(secrets::mask_spec(&spec.await?))
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

    /// Stores a user's valves, as [`Registry::set_valves`] does.
    ///
    /// # Errors
    ///
    /// If there is no such function, it is inactive or has no user valves, those of this user are not as `expected`, or
    /// the values do not fit.
    pub async fn set_user_valves(
        &self,
        id: &str,
        user_id: &str,
        values: Map<String, Value>,
        expected: &Expected,
    ) -> Result<StoredValues, ChangeError> {
        loop {
            let checked_with = self.function_with_user_valves(id)?;
            let known = checked_with.stored_user_valves(user_id);
            let unmasked = without_nulls(secrets::unmask(values.clone(), &known)?);
            let checked = self.check(&checked_with, &unmasked, true).await?;
            let mut state = self.state.lock().await;
            let current = self.function_with_user_valves(id)?;
            expected.check(|| Some(self.user_valves_revision(&current, user_id)))?;
            // Values are for the code that they were checked with, masks for the values that they hid.
            if current.version.number == checked_with.version.number
                && current.stored_user_valves(user_id) == known
            {
                let stored = checked.stored.to_string();
                let function = self
                    .keep_user_valves(&mut state, &current, user_id, stored)
                    .await?;
                let spec = &function.version.learnt.user_valves_spec;
                return Ok(StoredValues {
                    shown: secrets::echo(&checked.stored, &values, spec),
                    revision: self.user_valves_revision(&function, user_id),
                });
            }
        }
    }

    /// An active function that has user valves.
    fn function_with_user_valves(&self, id: &str) -> Result<Arc<Function>, ChangeError> {
        let function = self.function(id)?;
        if !function.is_active {
            return Err(ChangeError::Inactive);
        }
        if !function.version.learnt.has_user_valves {
            return Err(ChangeError::NoValves);
        }
        Ok(function)
    }

    async fn keep_user_valves(
        &self,
        state: &mut State,
        function: &Function,
        user_id: &str,
        stored: String,
    ) -> Result<Arc<Function>, ChangeError> {
        let id = function.id.as_str().to_owned();
        self.store
            .set_user_valves(id, user_id.to_owned(), stored.clone())
            .await?;
        let mut by_user = HashMap::clone(&function.user_valves);
        by_user.insert(user_id.to_owned(), stored.into());
        let function = Function {
            user_valves: Arc::new(by_user),
            ..Function::clone(function)
        };
        Ok(self.keep(state, function))
    }

    /// The order of a new version under the valves that are stored.
    pub(super) async fn priority_of_stored(
        &self,
        version: &FunctionVersion,
        settings: &FunctionSettings,
        valves: &Valves,
    ) -> Result<f64, ChangeError> {
        let priority = self.priority_with(version, settings, &valves.stored).await;
        Ok(priority.map_err(misfit_of_current)?)
    }

    /// The order of a version under these valves. What does not fit is said without the values.
    pub(super) async fn priority_with(
        &self,
        version: &FunctionVersion,
        settings: &FunctionSettings,
        stored: &[u8],
    ) -> Result<f64, LoadError> {
        let stored: Map<String, Value> = serde_json::from_slice(stored).unwrap_or_default();
        if stored.is_empty() || version.learnt.valves_spec.is_null() {
            return Ok(version.learnt.priority);
        }
        let checked = self
            .loader
            .check_valves(version, settings, &Value::Object(stored), false)
            .await;
        let checked = checked.map_err(|error| LoadError {
            message: secrets::without_inputs(&error.message),
            ..error
        })?;
        Ok(checked.priority)
    }
}

/// Says that the valves of the function as it is do not fit. The code's own words name the fields.
pub(super) fn misfit_of_current(mut error: LoadError) -> LoadError {
    error.message = format!(
        "Current Valves are incompatible with this code: {}",
        error.message
    );
    error
}

/// Whether a field's options are the name of a method that lists them.
fn has_listed_options(spec: &Value) -> bool {
    let properties = spec.get("properties").and_then(Value::as_object);
    let mut fields = properties.into_iter().flat_map(Map::values);
    fields.any(|field| field["input"]["options"].is_string())
}

/// Members that are null say "not set", as Open WebUI's forms do.
pub(super) fn without_nulls(values: Map<String, Value>) -> Value {
    Value::Object(
        values
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect(),
    )
}
