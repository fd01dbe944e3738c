//! A gateway with ten thousand functions in its store. Uploading them one by one would take minutes, so one is uploaded
//! and the rest are rows like its own.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use rusqlite::Connection;
use serde_json::json;
use tokio::runtime::Builder;

use crate::gateway::Gateway;
use crate::management::Management;

/// How many functions there are.
const FUNCTIONS: usize = 10_000;
/// One that people use.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/filters/turn_limit.py");
const UPLOADED: &str = "stored";
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// Such a gateway, not started. Its functions are on, and attached to no model.
pub(crate) fn set_up(upstream: SocketAddr) -> Result<Gateway> {
    let gateway = Gateway::empty(upstream)?;
    let peer = gateway.start()?;
    let management = Management::of(peer.addr, REQUEST_LIMIT)?;
    let function = json!({
        "id": UPLOADED,
        "name": "Stored",
        "content": fs::read_to_string(SOURCE)?,
        "meta": {"description": ""},
    });
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(management.install(UPLOADED, &function))?;
    // A database has one owner.
    drop(peer);
    let file = gateway.data().join("sluicegate.db");
    multiply(&Connection::open(file)?)?;
    Ok(gateway)
}

fn multiply(database: &Connection) -> Result<()> {
    database.execute_batch(&format!(
        "BEGIN;
         WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {FUNCTIONS} - 1)
         INSERT INTO functions
         SELECT id || '_' || n, user_id, name, kind, content, meta, valves, is_active, is_global,
                substr(version_id, 1, 24) || printf('%012d', n), learnt, created_at, updated_at
         FROM functions, numbers WHERE id = '{UPLOADED}';
         INSERT INTO function_versions (version_id, function_id, content, user_id, created_at)
         SELECT version_id, id, content, user_id, created_at FROM functions WHERE id <> '{UPLOADED}';
         COMMIT;"
    ))?;
    Ok(())
}
