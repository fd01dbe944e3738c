//! The schema, step by step. A step that was released is never edited: the next change is a new
//! file.

use std::collections::BTreeSet;

use rusqlite::{Connection, TransactionBehavior};

use super::error::{StoreError, StoreErrorKind};
use super::sql;

const STEPS: &[&str] = &[
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_documents.sql"),
    include_str!("migrations/0003_version_valves.sql"),
];

/// Brings the schema up to date. `user_version` counts the steps that were taken.
pub(super) fn run(connection: &mut Connection) -> Result<(), StoreError> {
    take(connection, STEPS)?;
    ensure_ours(connection)
}

/// Whether there are steps to take.
///
/// # Errors
///
/// If a newer version took more than are known here.
pub(super) fn is_outdated(connection: &Connection) -> Result<bool, StoreError> {
    Ok(taken(connection, STEPS)? < STEPS.len())
}

/// A schema that a newer version made while this process had the database open is not written to.
pub(super) fn ensure_not_newer(connection: &Connection) -> Result<(), StoreError> {
    taken(connection, STEPS).map(drop)
}

/// Damage in the schema's own text passes SQLite's check: a column may have another name. Compares
/// with a new database. What an operator has added, an index perhaps, is no damage.
fn ensure_ours(connection: &Connection) -> Result<(), StoreError> {
    let mut new = Connection::open_in_memory()?;
    take(&mut new, STEPS)?;
    if schema(&new)?.is_subset(&schema(connection)?) {
        return Ok(());
    }
    Err(StoreError::new(
        StoreErrorKind::Corrupt,
        "database is damaged: its schema is not ours",
    ))
}

fn schema(connection: &Connection) -> Result<BTreeSet<(String, Option<String>)>, StoreError> {
    let sql = "SELECT name, sql FROM sqlite_schema";
    sql::all(connection, sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
}

fn take(connection: &mut Connection, steps: &[&str]) -> Result<(), StoreError> {
    let taken = taken(connection, steps)?;
    for (number, step) in (1..).zip(steps).skip(taken) {
        sql::atomically(connection, TransactionBehavior::Immediate, |connection| {
            connection.execute_batch(step)?;
            Ok(connection.pragma_update(None, "user_version", number)?)
        })?;
    }
    Ok(())
}

/// How many of `steps` were taken.
fn taken(connection: &Connection, steps: &[&str]) -> Result<usize, StoreError> {
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    // A number that we never write, a negative one too, is somebody else's.
    let taken = usize::try_from(version)
        .ok()
        .filter(|taken| *taken <= steps.len());
    taken.ok_or_else(|| newer(version, steps.len()))
}

fn newer(version: i32, known: usize) -> StoreError {
    let message = format!(
        "database was written by a newer version of sluicegate: schema {version}, known up to \
         {known}\n\
         hint: start that version, or use another data_dir"
    );
    StoreError::new(StoreErrorKind::NewerSchema, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(connection: &Connection) -> i32 {
        connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn steps_are_taken_once() {
        let mut connection = Connection::open_in_memory().unwrap();
        run(&mut connection).unwrap();
        run(&mut connection).unwrap();
        assert_eq!(usize::try_from(version(&connection)).unwrap(), STEPS.len());
    }

    #[test]
    fn later_steps_find_the_rows_of_earlier_ones() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = ["CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y DEFAULT 7"];
        take(&mut connection, &steps[..1]).unwrap();
        connection.execute("INSERT INTO a VALUES (1)", []).unwrap();
        take(&mut connection, &steps).unwrap();
        let y: i64 = connection
            .query_row("SELECT y FROM a", [], |row| row.get(0))
            .unwrap();
        assert_eq!((y, version(&connection)), (7, 2));
    }

    #[test]
    fn failing_step_leaves_nothing_behind() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = [
            "CREATE TABLE a (x)",
            "CREATE TABLE b (x); CREATE TABLE a (x)",
        ];
        take(&mut connection, &steps).unwrap_err();
        assert_eq!(version(&connection), 1);
        connection.prepare("SELECT * FROM b").unwrap_err();
    }

    #[test]
    fn newer_schema_is_refused_and_left_as_it_is() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let error = run(&mut connection).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::NewerSchema);
        assert!(error.to_string().contains("schema 99"), "{error}");
        assert_eq!(version(&connection), 99);
    }
}
