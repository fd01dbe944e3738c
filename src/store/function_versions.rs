//! Table `function_versions`: every text that was uploaded with the valves that it last served with, to look back at and
//! to go back to.

use rusqlite::{Connection, Row, named_params};

use super::{FunctionRow, Store, StoreError, sql};

/// One upload of a function, without its code, which may be long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionVersionRow {
    /// A UUID. Equal text uploaded again is another version.
    pub version_id: String,
    /// Whose code it is.
    pub function_id: String,
    /// Who uploaded it.
    pub user_id: String,
    /// When, in Unix seconds.
    pub created_at: i64,
    /// JSON: the valves that it last served with, if they are known.
    pub valves: Option<String>,
}

/// One upload of a function with its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionVersionCode {
    /// What is known of it.
    pub row: FunctionVersionRow,
    /// The code.
    pub content: String,
}

impl FunctionVersionRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            version_id: row.get("version_id")?,
            function_id: row.get("function_id")?,
            user_id: row.get("user_id")?,
            created_at: row.get("created_at")?,
            valves: row.get("valves")?,
        })
    }
}

impl FunctionVersionCode {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            content: row.get("content")?,
            row: FunctionVersionRow::read(row)?,
        })
    }
}

/// How many versions of a function are kept, besides the one that serves.
const KEPT: i64 = 100;

/// Keeps the code and the valves of a function's row. A toggle or a valve change uploads nothing: the version that is
/// kept already has those valves now.
pub(super) fn keep(connection: &Connection, row: &FunctionRow) -> Result<(), StoreError> {
    keep_of(connection, row, &row.user_id)
}

/// As [`keep`], for code that `user_id` uploaded. With a new version the oldest versions over [`KEPT`] are forgotten.
pub(super) fn keep_of(
    connection: &Connection,
    row: &FunctionRow,
    user_id: &str,
) -> Result<(), StoreError> {
    let sql = "UPDATE function_versions SET valves = :valves WHERE version_id = :version_id";
    let params = named_params! {":version_id": row.version_id, ":valves": row.valves};
    if sql::change(connection, sql, params)? > 0 {
        return Ok(());
    }
    let sql = "INSERT INTO function_versions
                   (version_id, function_id, content, user_id, created_at, valves)
               VALUES (:version_id, :function_id, :content, :user_id, :created_at, :valves)";
    let params = named_params! {
        ":version_id": row.version_id, ":function_id": row.id, ":content": row.content,
        ":user_id": user_id, ":created_at": row.updated_at, ":valves": row.valves,
    };
    sql::change(connection, sql, params)?;
    forget_oldest(connection, row)
}

fn forget_oldest(connection: &Connection, row: &FunctionRow) -> Result<(), StoreError> {
    let sql = "DELETE FROM function_versions
               WHERE function_id = :function_id AND version_id <> :version_id AND sequence NOT IN
                   (SELECT sequence FROM function_versions WHERE function_id = :function_id
                    ORDER BY sequence DESC LIMIT :kept)";
    let params = named_params! {
        ":function_id": row.id, ":version_id": row.version_id, ":kept": KEPT,
    };
    sql::change(connection, sql, params).map(drop)
}

impl Store {
    /// The versions of a function, newest first.
    pub async fn list_function_versions(
        &self,
        function_id: String,
    ) -> Result<Vec<FunctionVersionRow>, StoreError> {
        let sql =
            "SELECT version_id, function_id, user_id, created_at, valves FROM function_versions
                   WHERE function_id = ?1 ORDER BY sequence DESC";
        self.read(move |connection| {
            sql::all(connection, sql, [&function_id], FunctionVersionRow::read)
        })
        .await
    }

    /// The version of this id, if it is one of the function's.
    pub async fn find_function_version(
        &self,
        function_id: String,
        version_id: String,
    ) -> Result<Option<FunctionVersionCode>, StoreError> {
        let sql = "SELECT * FROM function_versions WHERE function_id = ?1 AND version_id = ?2";
        self.read(move |connection| {
            sql::first(
                connection,
                sql,
                [&function_id, &version_id],
                FunctionVersionCode::read,
            )
        })
        .await
    }

    /// Removes a version that does not serve; whether there was one.
    pub async fn delete_function_version(
        &self,
        function_id: String,
        version_id: String,
    ) -> Result<bool, StoreError> {
        let sql = "DELETE FROM function_versions
                   WHERE function_id = ?1 AND version_id = ?2
                     AND version_id NOT IN (SELECT version_id FROM functions WHERE id = ?1)";
        self.write(move |connection| {
            Ok(sql::change(connection, sql, [&function_id, &version_id])? > 0)
        })
        .await
    }
}
