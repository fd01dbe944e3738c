//! Table `settings`: JSON values by key, for what has no table of its own.

use super::{Store, StoreError, sql};

impl Store {
    /// The value of a setting.
    pub async fn setting(&self, key: String) -> Result<Option<String>, StoreError> {
        let sql = "SELECT value FROM settings WHERE key = ?1";
        self.read(move |connection| sql::first(connection, sql, [&key], |row| row.get(0)))
            .await
    }

    /// The settings whose keys begin with `prefix`, by key.
    pub async fn settings_with_prefix(
        &self,
        prefix: String,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let sql =
            "SELECT key, value FROM settings WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key";
        self.read(move |connection| {
            sql::all(connection, sql, [&prefix], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
        })
        .await
    }

    /// Keeps a setting in place of an earlier one.
    pub async fn set_setting(&self, key: String, value: String) -> Result<(), StoreError> {
        let sql = "INSERT INTO settings (key, value) VALUES (?1, ?2)
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.write(move |connection| sql::change_one(connection, "setting", sql, [&key, &value]))
            .await
    }

    /// Removes a setting; whether there was one.
    pub async fn delete_setting(&self, key: String) -> Result<bool, StoreError> {
        let sql = "DELETE FROM settings WHERE key = ?1";
        self.write(move |connection| Ok(sql::change(connection, sql, [&key])? > 0))
            .await
    }
}
