//! Functions to rows of the store and back.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tracing::error;

use super::function::{Function, FunctionId, FunctionVersion, Learnt, Origin, Record};
use super::{Registry, guess};
use crate::store::{FunctionRow, StoreError};

/// What is kept with a stored function besides its code: what the loader learnt, and its order under stored valves.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    learnt: std::borrow::Cow<'a, Learnt>,
    priority: f64,
}

/// What a row says. What cannot be read of it is empty, and `learnt` says so.
struct ReadRow {
    id: FunctionId,
    learnt: Learnt,
    priority: f64,
    meta: Value,
    valves: Bytes,
}

impl ReadRow {
    fn of(row: &FunctionRow) -> Self {
        let id = FunctionId::stored(&row.id).filter(|id| id.as_str() == row.id);
        let kept = serde_json::from_str::<Kept<'_>>(&row.learnt).ok();
        let meta = serde_json::from_str::<Map<String, Value>>(&row.meta).ok();
        let has_valves = serde_json::from_str::<Map<String, Value>>(&row.valves).is_ok();
        let columns = [
            ("id", id.is_some()),
            ("learnt", kept.is_some()),
            ("meta", meta.is_some()),
            ("valves", has_valves),
        ];
        let unreadable = columns.iter().filter(|(_, is_readable)| !is_readable);
        let unreadable: Vec<&str> = unreadable.map(|(column, _)| *column).collect();
        let is_toggle = meta
            .as_ref()
            .is_some_and(|meta| meta.get("toggle") == Some(&json!(true)));
        let id = id.unwrap_or_else(|| FunctionId::of_unreadable_row(&row.id));
        let priority = kept.as_ref().map_or(0.0, |kept| kept.priority);
        let known = kept.map(|kept| kept.learnt.into_owned());
        let learnt = match known {
            Some(learnt) if unreadable.is_empty() => learnt,
            known => Learnt {
                toggle: is_toggle,
                ..learnt_of_unreadable(&id, row, known, &unreadable)
            },
        };
        Self {
            valves: match has_valves {
                true => row.valves.clone().into(),
                false => Bytes::from_static(b"{}"),
            },
            meta: Value::Object(meta.unwrap_or_default()),
            id,
            learnt,
            priority,
        }
    }
}

/// What stands for a row in which these columns cannot be read. They are named and not quoted: valves are secret.
fn learnt_of_unreadable(
    id: &FunctionId,
    row: &FunctionRow,
    known: Option<Learnt>,
    columns: &[&str],
) -> Learnt {
    let kind = known.map(|learnt| learnt.kind);
    let kind = kind.or_else(|| serde_json::from_value(json!(row.kind)).ok());
    let why = format!(
        "its row in the store cannot be read ({}); hint: upload its code again, or restore a backup",
        columns.join(", ")
    );
    guess::unreadable(id, kind, &row.content, &why)
}

/// Why a function stands for what could not be read, if it does.
fn unreadable_because(function: &Function) -> Option<&str> {
    let learnt = &function.version.learnt;
    learnt
        .not_loaded
        .as_deref()
        .filter(|_| learnt.is_unreadable)
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
    /// Every function of the store. For a row that cannot be read a function is made that refuses: a filter must not
    /// vanish.
    pub(super) async fn read_stored(
        &self,
    ) -> Result<BTreeMap<FunctionId, Arc<Function>>, StoreError> {
        let rows = self.store.list_functions().await?;
        let mut user_valves = self.store.all_user_valves().await?;
        let mut functions = BTreeMap::new();
        for row in rows {
            let by_user = user_valves.remove(&row.id).unwrap_or_default();
            let function = self.function_from(row, by_user);
            if let Some(why) = unreadable_because(&function) {
                error!(function.id = %function.id, why, "stored function refuses whatever needs it");
            }
            functions.insert(function.id.clone(), Arc::new(function));
        }
        Ok(functions)
    }

    fn function_from(&self, row: FunctionRow, by_user: HashMap<String, String>) -> Function {
        let ReadRow {
            id,
            learnt,
            priority,
            meta,
            valves,
        } = ReadRow::of(&row);
        let version = FunctionVersion {
            number: self.next_number(),
            id: id.clone(),
            source: row.content.into(),
            learnt,
            pocket: Default::default(),
        };
        let record = Record {
            user_id: row.user_id,
            name: row.name,
            meta,
            version_id: row.version_id,
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        Function {
            settings: self.settings_of(&id),
            id,
            origin: Origin::Store,
            version: Arc::new(version),
            valves: self.valves(valves, priority),
            user_valves: Arc::new(
                by_user
                    .into_iter()
                    .map(|(user, values)| (user, values.into()))
                    .collect(),
            ),
            is_active: row.is_active,
            is_global: row.is_global,
            record: Arc::new(record),
        }
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
