//! The few shapes that our statements have.

use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::error::StoreError;

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
