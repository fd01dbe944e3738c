//! Table `users`: the people that were added while running. Those of the configuration are not in
//! it.

use rusqlite::{Connection, Row, named_params};

use super::{KeyRow, Store, StoreError, keys, sql};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// A UUID, or `admin` for the first one.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// The mail address, in lower case.
    pub email: String,
    /// `user` or `admin`.
    pub role: String,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// When it was last changed, in Unix seconds.
    pub updated_at: i64,
}

impl UserRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            name: row.get("name")?,
            email: row.get("email")?,
            role: row.get("role")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }

    pub(super) fn insert(&self, connection: &Connection) -> Result<(), StoreError> {
        let sql = "INSERT INTO users (id, name, email, role, created_at, updated_at)
                   VALUES (:id, :name, :email, :role, :created_at, :updated_at)";
        let params = named_params! {
            ":id": self.id, ":name": self.name, ":email": self.email, ":role": self.role,
            ":created_at": self.created_at, ":updated_at": self.updated_at,
        };
        sql::change_one(connection, "user", sql, params)
    }
}

impl Store {
    /// Every user, oldest first.
    pub async fn list_users(&self) -> Result<Vec<UserRow>, StoreError> {
        let sql = "SELECT * FROM users ORDER BY created_at, id";
        self.read(|connection| sql::all(connection, sql, [], UserRow::read))
            .await
    }

    /// Adds a user; a conflict if the id is taken.
    pub async fn insert_user(&self, row: UserRow) -> Result<(), StoreError> {
        self.write(move |connection| row.insert(connection)).await
    }

    /// Adds a user and a key for it, both or neither.
    pub async fn insert_user_with_key(&self, user: UserRow, key: KeyRow) -> Result<(), StoreError> {
        self.write(move |connection| {
            user.insert(connection)?;
            keys::insert(connection, &key)
        })
        .await
    }

    /// Removes a user with all keys and valves that are the user's; whether there was one.
    pub async fn delete_user(&self, id: String) -> Result<bool, StoreError> {
        let deleted = self
            .write(move |connection| {
                sql::change(connection, "DELETE FROM keys WHERE user_id = ?1", [&id])?;
                sql::change(
                    connection,
                    "DELETE FROM user_valves WHERE user_id = ?1",
                    [&id],
                )?;
                sql::change(connection, "DELETE FROM users WHERE id = ?1", [&id])
            })
            .await?;
        self.keep_copy().await;
        Ok(deleted > 0)
    }
}
