//! Table `models`: presets, and what was set for models of the model servers.

use rusqlite::{Connection, Row, named_params};

use super::{Store, StoreError, sql};

/// A model entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRow {
    /// The id that requests name.
    pub id: String,
    /// Who made it.
    pub user_id: String,
    /// The model that a preset uses; `None`: it speaks of the model of its own id.
    pub base_model_id: Option<String>,
    /// Its name for people.
    pub name: String,
    /// JSON: parameters for every request.
    pub params: String,
    /// JSON: description, filters, actions, tools …
    pub meta: String,
    /// JSON: who may use it.
    pub access_grants: String,
    /// Whether it is on.
    pub is_active: bool,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// When it was last changed, in Unix seconds.
    pub updated_at: i64,
}

impl ModelRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            user_id: row.get("user_id")?,
            base_model_id: row.get("base_model_id")?,
            name: row.get("name")?,
            params: row.get("params")?,
            meta: row.get("meta")?,
            access_grants: row.get("access_grants")?,
            is_active: row.get("is_active")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }

    fn write(&self, connection: &Connection, sql: &str) -> Result<(), StoreError> {
        let params = named_params! {
            ":id": self.id, ":user_id": self.user_id, ":base_model_id": self.base_model_id,
            ":name": self.name, ":params": self.params, ":meta": self.meta,
            ":access_grants": self.access_grants, ":is_active": self.is_active,
            ":created_at": self.created_at, ":updated_at": self.updated_at,
        };
        sql::change_one(connection, "model", sql, params)
    }
}

const INSERT: &str = "
    INSERT INTO models (id, user_id, base_model_id, name, params, meta, access_grants, is_active,
                        created_at, updated_at)
    VALUES (:id, :user_id, :base_model_id, :name, :params, :meta, :access_grants, :is_active,
            :created_at, :updated_at)";

const UPDATE: &str = "
    UPDATE models
    SET user_id = :user_id, base_model_id = :base_model_id, name = :name, params = :params,
        meta = :meta, access_grants = :access_grants, is_active = :is_active,
        created_at = :created_at, updated_at = :updated_at
    WHERE id = :id";

impl Store {
    /// Every model entry, by id.
    pub async fn list_models(&self) -> Result<Vec<ModelRow>, StoreError> {
        let sql = "SELECT * FROM models ORDER BY id";
        self.read(|connection| sql::all(connection, sql, [], ModelRow::read))
            .await
    }

    /// The entry of this id.
    pub async fn find_model(&self, id: String) -> Result<Option<ModelRow>, StoreError> {
        let sql = "SELECT * FROM models WHERE id = ?1";
        self.read(move |connection| sql::first(connection, sql, [&id], ModelRow::read))
            .await
    }

    /// Adds an entry; a conflict if the id is taken.
    pub async fn insert_model(&self, row: ModelRow) -> Result<(), StoreError> {
        self.write(move |connection| row.write(connection, INSERT))
            .await
    }

    /// Writes an entry anew.
    pub async fn update_model(&self, row: ModelRow) -> Result<(), StoreError> {
        self.write(move |connection| row.write(connection, UPDATE))
            .await
    }

    /// Writes entries, new or not, and removes others: all of it or nothing.
    pub async fn replace_models(
        &self,
        written: Vec<ModelRow>,
        gone: Vec<String>,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM models WHERE id = ?1";
        self.write(move |connection| {
            let ids = written.iter().map(|row| &row.id).chain(&gone);
            for id in ids {
                sql::change(connection, sql, [id])?;
            }
            written
                .iter()
                .try_for_each(|row| row.write(connection, INSERT))
        })
        .await
    }

    /// Removes an entry; whether there was one.
    pub async fn delete_model(&self, id: String) -> Result<bool, StoreError> {
        let sql = "DELETE FROM models WHERE id = ?1";
        self.write(move |connection| Ok(sql::change(connection, sql, [&id])? > 0))
            .await
    }
}
