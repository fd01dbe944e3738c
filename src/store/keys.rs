//! Table `keys`: API keys, as hashes only.

use rusqlite::{Connection, Row, named_params};

use super::{Store, StoreError, sql};

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// A UUID, to speak of the key without knowing it.
    pub id: String,
    /// Whose key it is: a user of the store or of the configuration.
    pub user_id: String,
    /// The SHA-256 of its text.
    pub hash: [u8; 32],
    /// When it was made, in Unix seconds.
    pub created_at: i64,
}

impl KeyRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            user_id: row.get("user_id")?,
            hash: row.get("hash")?,
            created_at: row.get("created_at")?,
        })
    }
}

/// Adds a key, within a transaction of its caller.
pub(super) fn insert(connection: &Connection, row: &KeyRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO keys (id, user_id, hash, created_at)
               VALUES (:id, :user_id, :hash, :created_at)";
    let params = named_params! {
        ":id": row.id, ":user_id": row.user_id, ":hash": row.hash, ":created_at": row.created_at,
    };
    sql::change_one(connection, "key", sql, params)
}

impl Store {
    /// Every key, oldest first.
    pub async fn list_keys(&self) -> Result<Vec<KeyRow>, StoreError> {
        let sql = "SELECT * FROM keys ORDER BY created_at, id";
        self.read(|connection| sql::all(connection, sql, [], KeyRow::read))
            .await
    }

    /// Adds a key; a conflict if its id or its text is taken.
    pub async fn insert_key(&self, row: KeyRow) -> Result<(), StoreError> {
        self.write(move |connection| insert(connection, &row)).await
    }

    /// Removes a key; whether there was one.
    pub async fn delete_key(&self, id: String) -> Result<bool, StoreError> {
        let sql = "DELETE FROM keys WHERE id = ?1";
        let deleted = self
            .write(move |connection| sql::change(connection, sql, [&id]))
            .await?;
        self.keep_copy().await;
        Ok(deleted > 0)
    }
}
