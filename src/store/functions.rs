//! Table `functions`: what was uploaded and how it is set up now.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row, named_params};

use super::{Store, StoreError, file, function_versions, sql};

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionRow {
    /// Its id.
    pub id: String,
    /// Who made it.
    pub user_id: String,
    /// Its name for people.
    pub name: String,
    /// `filter`, `pipe`, `action` …
    pub kind: String,
    /// The code that serves.
    pub content: String,
    /// JSON: what its author says of it.
    pub meta: String,
    /// JSON: the valves that were set.
    pub valves: String,
    /// Whether it is on.
    pub is_active: bool,
    /// Whether it runs on every model.
    pub is_global: bool,
    /// The upload that serves: a UUID, in `function_versions` too.
    pub version_id: String,
    /// JSON: what the loader learnt of the code.
    pub learnt: String,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// When it was last changed, in Unix seconds.
    pub updated_at: i64,
}

impl FunctionRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            user_id: row.get("user_id")?,
            name: row.get("name")?,
            kind: row.get("kind")?,
            content: row.get("content")?,
            meta: row.get("meta")?,
            valves: row.get("valves")?,
            is_active: row.get("is_active")?,
            is_global: row.get("is_global")?,
            version_id: row.get("version_id")?,
            learnt: row.get("learnt")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }

    fn write(&self, connection: &Connection, sql: &str) -> Result<(), StoreError> {
        let params = named_params! {
            ":id": self.id, ":user_id": self.user_id, ":name": self.name, ":kind": self.kind,
            ":content": self.content, ":meta": self.meta, ":valves": self.valves,
            ":is_active": self.is_active, ":is_global": self.is_global,
            ":version_id": self.version_id, ":learnt": self.learnt,
            ":created_at": self.created_at, ":updated_at": self.updated_at,
        };
        sql::change_one(connection, "function", sql, params)
    }
}

const INSERT: &str = "
    INSERT INTO functions (id, user_id, name, kind, content, meta, valves, is_active, is_global,
                           version_id, learnt, created_at, updated_at)
    VALUES (:id, :user_id, :name, :kind, :content, :meta, :valves, :is_active, :is_global,
            :version_id, :learnt, :created_at, :updated_at)";

const UPDATE: &str = "
    UPDATE functions
    SET user_id = :user_id, name = :name, kind = :kind, content = :content, meta = :meta,
        valves = :valves, is_active = :is_active, is_global = :is_global,
        version_id = :version_id, learnt = :learnt, created_at = :created_at,
        updated_at = :updated_at
    WHERE id = :id";

impl Store {
    /// Every function, by id.
    pub async fn list_functions(&self) -> Result<Vec<FunctionRow>, StoreError> {
        let sql = "SELECT * FROM functions ORDER BY id";
        self.read(|connection| sql::all(connection, sql, [], FunctionRow::read))
            .await
    }

    /// The function of this id.
    pub async fn find_function(&self, id: String) -> Result<Option<FunctionRow>, StoreError> {
        let sql = "SELECT * FROM functions WHERE id = ?1";
        self.read(move |connection| sql::first(connection, sql, [&id], FunctionRow::read))
            .await
    }

    /// Adds a function and its first version; a conflict if the id is taken.
    pub async fn insert_function(&self, row: FunctionRow) -> Result<(), StoreError> {
        self.write(move |connection| {
            row.write(connection, INSERT)?;
            function_versions::keep(connection, &row)
        })
        .await
    }

    /// Writes a function anew, and its code into the versions if `version_id` is a new one.
    pub async fn update_function(&self, row: FunctionRow) -> Result<(), StoreError> {
        self.write(move |connection| {
            row.write(connection, UPDATE)?;
            function_versions::keep(connection, &row)
        })
        .await
    }

    /// Writes a function anew with code that `user_id` uploaded.
    pub async fn upload_function(
        &self,
        row: FunctionRow,
        user_id: String,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            row.write(connection, UPDATE)?;
            function_versions::keep_of(connection, &row, &user_id)
        })
        .await
    }

    /// Writes and removes many functions, all or none. What is written is uploaded by `user_id`.
    pub async fn replace_functions(
        &self,
        written: Vec<FunctionRow>,
        removed: Vec<String>,
        user_id: String,
    ) -> Result<(), StoreError> {
        self.write(move |connection| {
            for id in &removed {
                delete(connection, id)?;
            }
            for row in &written {
                let sql = "SELECT id FROM functions WHERE id = ?1";
                let known = sql::first(connection, sql, [&row.id], |row| row.get::<_, String>(0))?;
                let sql = if known.is_some() { UPDATE } else { INSERT };
                row.write(connection, sql)?;
                function_versions::keep_of(connection, row, &user_id)?;
            }
            Ok(())
        })
        .await
    }

    /// Removes a function with its versions and its user valves; whether there was one.
    pub async fn delete_function(&self, id: String) -> Result<bool, StoreError> {
        self.write(move |connection| delete(connection, &id)).await
    }
}

/// The ids of the functions in a data folder that may be another process's. Nothing is written; blocks.
///
/// # Errors
///
/// If the database cannot be read.
pub fn function_ids(folder: &Path) -> Result<Vec<String>, StoreError> {
    let path = file::path(folder);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    sql::all(&connection, "SELECT id FROM functions", [], |row| {
        row.get(0)
    })
}

fn delete(connection: &Connection, id: &str) -> Result<bool, StoreError> {
    let sql = "DELETE FROM user_valves WHERE function_id = ?1";
    sql::change(connection, sql, [id])?;
    let deleted = sql::change(connection, "DELETE FROM functions WHERE id = ?1", [id])?;
    Ok(deleted > 0)
}
