//! What the store holds, and that it holds it: rows that cannot be read, writers at once, kills, full disks, many rows.

mod checker;
mod crossing;
mod history;
mod kills;
mod many;
mod rollback;
mod rows;
mod storage;
mod writers;

use rusqlite::Connection;

use crate::support::TestGateway;

/// Changes the database of a gateway that does not run, behind its back.
fn tamper(gateway: &TestGateway, sql: &str) {
    let database = Connection::open(gateway.data_dir().join("sluicegate.db")).unwrap();
    database.execute_batch(sql).unwrap();
}
