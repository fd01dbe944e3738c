//! Functions to rows of the store and back.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tracing::error;

use super::Registry;
use super::function::{Function, FunctionId, FunctionVersion, Learnt, Origin, Record};
use crate::store::{FunctionRow, StoreError};

/// What is kept with a stored function besides its code: what the loader learnt, and its order under stored valves.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    learnt: std::borrow::Cow<'a, Learnt>,
    priority: f64,
}

/// The row that keeps a function.
pub(super) fn from_function(function: &Function) -> FunctionRow {
    let kept = Kept {
        learnt: std::borrow::Cow::Borrowed(&function.version.learnt),
        priority: function.valves.priority,
    };
    FunctionRow {
        id: function.id.as_str().to_owned(),
        user_id: function.record.user_id.clone(),
        name: function.record.name.clone(),
        kind: function.kind().as_str().to_owned(),
        content: function.version.source.as_ref().to_owned(),
        meta: function.record.meta.to_string(),
        valves: String::from_utf8_lossy(&function.valves.stored).into_owned(),
        is_active: function.is_active,
        is_global: function.is_global,
        version_id: function.record.version_id.clone(),
        learnt: serde_json::to_string(&kept).expect("what was learnt is plain data"),
        created_at: function.record.created_at,
        updated_at: function.record.updated_at,
    }
}

impl Registry {
    /// Every function of the store. A row that makes no sense is logged and left out.
    pub(super) async fn read_stored(
        &self,
    ) -> Result<BTreeMap<FunctionId, Arc<Function>>, StoreError> {
        let rows = self.store.list_functions().await?;
        let mut user_valves = self.store.all_user_valves().await?;
        let mut functions = BTreeMap::new();
        for row in rows {
            let by_user = user_valves.remove(&row.id).unwrap_or_default();
            let id = row.id.clone();
            match self.function_from(row, by_user) {
                Some(function) => drop(functions.insert(function.id.clone(), Arc::new(function))),
                None => error!(function.id = %id, "stored function makes no sense, left out"),
            }
        }
        Ok(functions)
    }

    fn function_from(
        &self,
        row: FunctionRow,
        by_user: HashMap<String, String>,
    ) -> Option<Function> {
        let id = FunctionId::stored(&row.id)?;
        let kept: Kept<'_> = serde_json::from_str(&row.learnt).ok()?;
        let version = FunctionVersion {
            number: self.next_number(),
            id: id.clone(),
            source: row.content.into(),
            learnt: kept.learnt.into_owned(),
            pocket: Default::default(),
        };
        let record = Record {
            user_id: row.user_id,
            name: row.name,
            meta: serde_json::from_str(&row.meta).ok()?,
            version_id: row.version_id,
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        Some(Function {
            settings: self.settings_of(&id),
            id,
            origin: Origin::Store,
            version: Arc::new(version),
            valves: self.valves(row.valves.into(), kept.priority),
            user_valves: Arc::new(
                by_user
                    .into_iter()
                    .map(|(user, values)| (user, values.into()))
                    .collect(),
            ),
            is_active: row.is_active,
            is_global: row.is_global,
            record: Arc::new(record),
        })
    }

    /// Valves that were set over the API for functions of the folder.
    pub(super) async fn read_folder_valves(
        &self,
    ) -> Result<BTreeMap<FunctionId, Bytes>, StoreError> {
        let settings = self
            .store
            .settings_with_prefix(FOLDER_VALVES.to_owned())
            .await?;
        let by_id = settings.into_iter().filter_map(|(key, values)| {
            Some((
                FunctionId::stored(key.strip_prefix(FOLDER_VALVES)?)?,
                Bytes::from(values),
            ))
        });
        Ok(by_id.collect())
    }

    /// Keeps valves that were set over the API for a function of the folder.
    pub(super) async fn keep_folder_valves(
        &self,
        id: &FunctionId,
        values: &Bytes,
    ) -> Result<(), StoreError> {
        let values = String::from_utf8_lossy(values).into_owned();
        self.store
            .set_setting(format!("{FOLDER_VALVES}{id}"), values)
            .await
    }
}

/// Settings whose keys begin so hold valves of functions of the folder.
const FOLDER_VALVES: &str = "folder_valves:";
