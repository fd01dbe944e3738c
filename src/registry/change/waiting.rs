//! Functions whose code waits for what it requires: kept inactive, and loaded when they are activated (ruling R26).

use std::sync::Arc;

use bytes::Bytes;

use super::{ChangeError, complete_meta};
use crate::registry::function::{Function, FunctionId, FunctionVersion, Record};
use crate::registry::loader::{Candidate, LoadError, LoadFault};
use crate::registry::{Expected, Registry, guess, rows};
use crate::store::ids;

impl Registry {
    /// Loads code in a process of its own. Code whose requirements are not installed becomes a version that says so,
    /// which must not serve.
    pub(super) async fn try_out_or_wait(
        &self,
        id: &FunctionId,
        source: &str,
        valves: Bytes,
    ) -> Result<FunctionVersion, LoadError> {
        match self.try_out_with(id, source, valves).await {
            Err(error) if error.fault == LoadFault::NotInstalled => {
                if !guess::is_function(source) {
                    return Err(LoadError::refused("No Function class found in the module"));
                }
                let candidate = Candidate {
                    number: self.next_number(),
                    id: id.clone(),
                    source: source.into(),
                    valves: Default::default(),
                    pocket: Default::default(),
                };
                Ok(candidate.into_version(guess::learnt(id, source, &error.message)))
            }
            tried => tried,
        }
    }

    /// Loads the code of an inactive function that waits, and activates it.
    pub(super) async fn load_and_activate(
        &self,
        mut known: Arc<Function>,
        expected: &Expected,
    ) -> Result<Arc<Function>, ChangeError> {
        loop {
            let version = Arc::new(self.try_out(&known.id, &known.version.source).await?);
            let valves = known.valves.clone();
            let priority = self
                .priority_of_stored(&version, &known.settings, &valves)
                .await?;
            let mut state = self.state.lock().await;
            let current = self.stored_function(known.id.as_str())?;
            self.ensure_as(expected, &current)?;
            let is_known = current.version.number == known.version.number
                && current.valves.version == valves.version;
            if !is_known {
                drop(state);
                known = current;
                continue;
            }
            let record = Record {
                meta: complete_meta(current.record.meta.clone(), &version),
                updated_at: ids::unix_seconds(),
                ..Record::clone(&current.record)
            };
            let function = Function {
                valves: self.valves(valves.stored.clone(), priority),
                record: Arc::new(record),
                version,
                is_active: true,
                ..Function::clone(&current)
            };
            self.store
                .update_function(rows::from_function(&function))
                .await?;
            return Ok(self.keep(&mut state, function));
        }
    }
}
