//! What is installed, as functions look it up: models and functions.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, Desk, store_failed};
use crate::host::Refusal;
use crate::registry::{Expected, Function, FunctionId, FunctionKind};

#[derive(Deserialize)]
pub(super) struct Named {
    id: String,
}

#[derive(Deserialize)]
pub(super) struct OfUser {
    id: String,
    user_id: String,
}

#[derive(Deserialize)]
pub(super) struct NewValves {
    id: String,
    values: Map<String, Value>,
}

impl Desk {
    pub(super) async fn list_models(&self) -> Answer {
        let reception = &self.reception;
        let snapshot = reception.registry.current();
        let models = reception.models.list(&snapshot, &self.asking.caller).await;
        Ok(models.iter().map(|model| model.listed(&[])).collect())
    }

    pub(super) async fn find_model(&self, named: Named) -> Answer {
        let row = self.reception.store.find_model(named.id).await;
        let Some(row) = row.map_err(store_failed)? else {
            return Ok(Value::Null);
        };
        let json = |text: &str| -> Value { serde_json::from_str(text).unwrap_or_default() };
        Ok(json!({
            "id": row.id,
            "user_id": row.user_id,
            "base_model_id": row.base_model_id,
            "name": row.name,
            "params": json(&row.params),
            "meta": json(&row.meta),
            "access_grants": json(&row.access_grants),
            "is_active": row.is_active,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
        }))
    }

    pub(super) fn list(&self, shelf: Shelf) -> Value {
        let snapshot = self.reception.registry.current();
        snapshot
            .functions()
            .filter(|function| (function.kind() == FunctionKind::Tools) == (shelf == Shelf::Tools))
            .map(|function| described(function))
            .collect()
    }

    pub(super) fn find(&self, shelf: Shelf, named: &Named) -> Answer {
        let found = self.on_shelf(shelf, &named.id);
        Ok(found.map_or(Value::Null, |function| described(&function)))
    }

    pub(super) fn valves_of(&self, shelf: Shelf, named: &Named) -> Answer {
        let found = self.on_shelf(shelf, &named.id);
        Ok(found.map_or(Value::Null, |function| read(&function.valves.stored)))
    }

    pub(super) fn user_valves_of(&self, shelf: Shelf, of: &OfUser) -> Answer {
        let found = self.on_shelf(shelf, &of.id);
        let values = found.and_then(|function| function.user_valves.get(&of.user_id).cloned());
        Ok(values.map_or(json!({}), |values| read(&values)))
    }

    pub(super) async fn set_valves(&self, shelf: Shelf, new: NewValves) -> Answer {
        let found = self.on_shelf(shelf, &new.id);
        let found = found.ok_or_else(|| Refusal::new(format!("there is no `{}`", new.id)))?;
        let registry = &self.reception.registry;
        let set = registry
            .set_valves(found.id.as_str(), new.values, &Expected::Any)
            .await;
        set.map(|stored| stored.shown)
            .map_err(|error| Refusal::new(error.to_string()))
    }

    fn on_shelf(&self, shelf: Shelf, id: &str) -> Option<Arc<Function>> {
        let id = match shelf {
            Shelf::Functions => FunctionId::parse(id),
            Shelf::Tools => FunctionId::tool(id),
        };
        let snapshot = self.reception.registry.current();
        snapshot.function(id?.as_str()).cloned()
    }
}

/// Functions and tools have names apart from each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shelf {
    Functions,
    Tools,
}

fn described(function: &Function) -> Value {
    let record = &function.record;
    json!({
        "id": function.id.shown(),
        "user_id": record.user_id,
        "name": record.name,
        "type": function.kind().as_str(),
        "content": function.version.source.as_ref(),
        "specs": function.version.learnt.specs,
        "meta": record.meta,
        "is_active": function.is_active,
        "is_global": function.is_global,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
    })
}

fn read(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap_or_default()
}
