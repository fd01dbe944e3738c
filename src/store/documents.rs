//! Table `documents`: what functions keep, chats, files, memories and the like.

use rusqlite::{Row, named_params, params};

use super::{Store, StoreError, ids, sql};

/// Something that a function keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentRow {
    /// What it is: `chat`, `file`, `memory` …
    pub kind: String,
    /// Its id, unique in its kind.
    pub id: String,
    /// Whose it is.
    pub user_id: String,
    /// A JSON object.
    pub data: String,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// When it was last written, in Unix seconds.
    pub updated_at: i64,
}

impl DocumentRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            kind: row.get("kind")?,
            id: row.get("id")?,
            user_id: row.get("user_id")?,
            data: row.get("data")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

const PUT: &str = "
    INSERT INTO documents (kind, id, user_id, data, created_at, updated_at)
    VALUES (:kind, :id, :user_id, :data, :now, :now)
    ON CONFLICT (kind, id) DO UPDATE
    SET user_id = excluded.user_id, data = excluded.data, updated_at = excluded.updated_at
    RETURNING *";

impl Store {
    /// The document of this kind and id.
    pub async fn find_document(
        &self,
        kind: String,
        id: String,
    ) -> Result<Option<DocumentRow>, StoreError> {
        let sql = "SELECT * FROM documents WHERE kind = ?1 AND id = ?2";
        self.read(move |connection| {
            sql::first(connection, sql, params![kind, id], DocumentRow::read)
        })
        .await
    }

    /// The documents of a kind, oldest first; of one user if one is named.
    pub async fn list_documents(
        &self,
        kind: String,
        user_id: Option<String>,
    ) -> Result<Vec<DocumentRow>, StoreError> {
        let sql = "SELECT * FROM documents
                   WHERE kind = ?1 AND (?2 IS NULL OR user_id = ?2) ORDER BY created_at, id";
        self.read(move |connection| {
            sql::all(connection, sql, params![kind, user_id], DocumentRow::read)
        })
        .await
    }

    /// Keeps a document in place of an earlier one; the row as it is now.
    ///
    /// No process has documents in memory, so requests that are still answered by one that has
    /// handed the database over may write them too.
    pub async fn put_document(
        &self,
        kind: String,
        id: String,
        user_id: String,
        data: String,
    ) -> Result<DocumentRow, StoreError> {
        self.write_shared(move |connection| {
            let params = named_params! {
                ":kind": kind, ":id": id, ":user_id": user_id, ":data": data,
                ":now": ids::unix_seconds(),
            };
            let row = sql::first(connection, PUT, params, DocumentRow::read)?;
            row.ok_or_else(|| StoreError::not_found("document"))
        })
        .await
    }

    /// Removes a document; whether there was one.
    pub async fn delete_document(&self, kind: String, id: String) -> Result<bool, StoreError> {
        let sql = "DELETE FROM documents WHERE kind = ?1 AND id = ?2";
        self.write_shared(
            move |connection| Ok(sql::change(connection, sql, params![kind, id])? > 0),
        )
        .await
    }
}
