//! Whether a database is sound, as far as can be told: SQLite keeps no sums of the values
//! themselves.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::error::{StoreError, StoreErrorKind};
use super::sql;

/// Pages, indexes and constraints.
pub(super) fn structure(connection: &Connection) -> Result<(), StoreError> {
    let found = connection.query_row("PRAGMA integrity_check(1)", [], |row| {
        row.get::<_, String>(0)
    });
    match found.map_err(StoreError::unreadable)?.as_str() {
        "ok" => Ok(()),
        found => Err(StoreError::new(
            StoreErrorKind::Corrupt,
            format!("database is damaged: {found}"),
        )),
    }
}

/// That every text can be read as one: a single one that cannot would stop every list it is in.
pub(super) fn texts(connection: &Connection) -> Result<(), StoreError> {
    let tables: Vec<String> = sql::all(
        connection,
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        [],
        |row| row.get(0),
    )?;
    tables
        .iter()
        .try_for_each(|table| texts_of(connection, table))
}

/// The table's name comes from the schema, so quoting is for names that operators have chosen.
fn texts_of(connection: &Connection, table: &str) -> Result<(), StoreError> {
    let quoted = table.replace('"', "\"\"");
    let mut statement = connection.prepare(&format!("SELECT * FROM \"{quoted}\""))?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if !has_sound_texts(row, columns)? {
            let message = format!("database is damaged: a text in table `{table}` is no UTF-8");
            return Err(StoreError::new(StoreErrorKind::Corrupt, message));
        }
    }
    Ok(())
}

fn has_sound_texts(row: &Row<'_>, columns: usize) -> rusqlite::Result<bool> {
    for column in 0..columns {
        if let ValueRef::Text(text) = row.get_ref(column)?
            && std::str::from_utf8(text).is_err()
        {
            return Ok(false);
        }
    }
    Ok(true)
}
