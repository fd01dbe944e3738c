//! The few shapes that our statements have.

use rusqlite::{Connection, OptionalExtension, Params, Row, TransactionBehavior};

use super::error::StoreError;

/// Runs `work` as a whole or not at all: in a transaction of its own, or as a part of the one that is open.
pub(super) fn atomically<T>(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    if connection.is_autocommit() {
        let transaction = connection.transaction_with_behavior(behavior)?;
        let result = work(&transaction)?;
        transaction.commit()?;
        return Ok(result);
    }
    let savepoint = connection.savepoint()?;
    let result = work(&savepoint)?;
    savepoint.commit()?;
    Ok(result)
}

/// Every row of a query.
pub(super) fn all<T, C: FromIterator<T>>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<C, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params, read)?;
    Ok(rows.collect::<rusqlite::Result<C>>()?)
}

/// The first row of a query, if it has one.
pub(super) fn first<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row(params, read).optional()?)
}

/// Runs a statement; how many rows it changed.
pub(super) fn change(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<usize, StoreError> {
    Ok(connection.prepare_cached(sql)?.execute(params)?)
}

/// Runs a statement that changes one row; an error that names `what` if there is none.
pub(super) fn change_one(
    connection: &Connection,
    what: &str,
    sql: &str,
    params: impl Params,
) -> Result<(), StoreError> {
    match change(connection, sql, params)? {
        0 => Err(StoreError::not_found(what)),
        _ => Ok(()),
    }
}
