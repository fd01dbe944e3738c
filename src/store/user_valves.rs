//! Table `user_valves`: what each user set for each function, of the store or of the folder.

use std::collections::HashMap;

use rusqlite::{Row, params};

use super::{Store, StoreError, sql};

/// A user's valves of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserValvesRow {
    /// The function.
    pub function_id: String,
    /// The user; may be one that only a trusted proxy knows.
    pub user_id: String,
    /// JSON: the valves that were set.
    pub valves: String,
}

impl UserValvesRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            function_id: row.get("function_id")?,
            user_id: row.get("user_id")?,
            valves: row.get("valves")?,
        })
    }
}

impl Store {
    /// All valves by function, and there by user.
    pub async fn all_user_valves(
        &self,
    ) -> Result<HashMap<String, HashMap<String, String>>, StoreError> {
        let sql = "SELECT * FROM user_valves";
        let rows: Vec<UserValvesRow> = self
            .read(|connection| sql::all(connection, sql, [], UserValvesRow::read))
            .await?;
        let mut by_function = HashMap::<String, HashMap<String, String>>::new();
        for row in rows {
            by_function
                .entry(row.function_id)
                .or_default()
                .insert(row.user_id, row.valves);
        }
        Ok(by_function)
    }

    /// A function's valves by user.
    pub async fn user_valves(
        &self,
        function_id: String,
    ) -> Result<HashMap<String, String>, StoreError> {
        let sql = "SELECT * FROM user_valves WHERE function_id = ?1";
        self.read(move |connection| {
            sql::all(connection, sql, [&function_id], |row| {
                Ok((row.get("user_id")?, row.get("valves")?))
            })
        })
        .await
    }

    /// Keeps a user's valves of a function in place of earlier ones.
    pub async fn set_user_valves(
        &self,
        function_id: String,
        user_id: String,
        valves: String,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO user_valves (function_id, user_id, valves) VALUES (?1, ?2, ?3)
                   ON CONFLICT (function_id, user_id) DO UPDATE SET valves = excluded.valves";
        self.write(move |connection| {
            sql::change_one(
                connection,
                "function",
                sql,
                params![function_id, user_id, valves],
            )
        })
        .await
    }
}
