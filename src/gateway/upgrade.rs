//! An upgrade: a new process takes the listening socket and the data folder over from the one that serves.
//!
//! The two talk over a local socket in the data folder, one line of JSON at a time:
//!
//! ```text
//! successor                             predecessor
//! hello ──────────────────────────────► same user, same protocol?
//!       ◄────────────────────────────── offer, with the listening socket and the lock of the data folder
//! sets everything up, loads functions   serves
//! freeze ─────────────────────────────► waits for changes that are being written, lets no other begin
//!       ◄────────────────────────────── frozen
//! reads what was changed meanwhile
//! take ───────────────────────────────► will not withdraw any more
//!       ◄────────────────────────────── granted
//! commits
//! serving ────────────────────────────► accepts no more
//!       ◄────────────────────────────── closed, lets requests finish, ends
//! accepts
//! ```
//!
//! Until `serving` nothing has changed for the predecessor: if the successor ends before, whatever the reason, it goes
//! on. If the predecessor dies, the successor takes over all the same, since it holds the socket and the lock.

mod channel;
mod launch;
mod predecessor;
mod successor;

pub(super) use self::launch::{survive_signal, upgrade_on_signal};
pub(super) use self::predecessor::{Estate, Upgrades};
pub(super) use self::successor::take_over;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Changes when the messages do, so that versions that cannot talk to each other say so.
const PROTOCOL: u32 = 1;

/// How long the other process may take to say what costs it no work.
const REPLY_LIMIT: Duration = Duration::from_secs(10);

/// What a successor says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    /// It wants to take over.
    Hello { protocol: u32, version: String },
    /// It is ready but for what may still change in the database.
    Freeze,
    /// It has read everything.
    Take,
    /// It serves. Whether it does so on the predecessor's socket too.
    Serving { keeps_listener: bool },
    /// It cannot.
    Failed { why: String },
}

/// What a predecessor says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    /// What it has; the listening socket and the lock come with it.
    Offer(Offer),
    /// It changes nothing until the successor ends or serves.
    Frozen,
    /// It waits for `Serving`, or the successor's end.
    Granted,
    /// It accepts no connection any more: whoever connects meets the successor.
    Closed,
    /// It does not want to.
    Refused { why: String },
}

/// What there is to take over.
#[derive(Debug, Serialize, Deserialize)]
struct Offer {
    /// The version of the predecessor, for the log.
    version: String,
    /// What its configuration says of the address.
    listen: SocketAddr,
    /// The functions of its folder that are loaded: a successor that cannot load them must not take over.
    loaded: Vec<String>,
}

/// Where a gateway waits for its successor.
fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("upgrade.sock")
}

/// The version of this program.
fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
