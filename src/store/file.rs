//! The database file: where it is, how it is opened, and that it is sound.

use std::fs::{self, DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tracing::error;

use super::error::{StoreError, StoreErrorKind};
use super::{check, copy, migrations};

/// How long a statement waits for another process (a backup, a shell) to let go of the database.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The database file of a data folder.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("sluicegate.db")
}

/// A file that SQLite keeps beside the database: `-wal` or `-shm`.
pub(super) fn companion(folder: &Path, suffix: &str) -> PathBuf {
    folder.join(format!("sluicegate.db{suffix}"))
}

/// Makes the data folder, for our eyes only: valves hold secrets.
pub(super) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| {
        StoreError::io(
            format!("cannot make data folder `{}`", folder.display()),
            error,
        )
    })
}

/// Makes an empty file for our eyes only, if it is not there.
pub(super) fn make_private(path: &Path) -> Result<(), StoreError> {
    let options = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .to_owned();
    let made = options.open(path);
    made.map(drop)
        .map_err(|error| StoreError::io(format!("cannot write `{}`", path.display()), error))
}

/// Opens the database, from the last good copy if it is damaged.
pub(super) fn open(folder: &Path) -> Result<Connection, StoreError> {
    match open_sound(folder) {
        Err(damage) if damage.kind() == StoreErrorKind::Corrupt => {
            let aside = copy::restore(folder, &damage)?;
            error!(
                damaged = %aside.display(),
                "database was damaged, going on from the last good copy: later changes are lost"
            );
            open_sound(folder)
        }
        opened => opened,
    }
}

fn open_sound(folder: &Path) -> Result<Connection, StoreError> {
    let path = path(folder);
    ensure_not_lost(folder, &path)?;
    make_private(&path)?;
    let mut connection = connect(&path)?;
    check::structure(&connection)?;
    migrations::run(&mut connection)?;
    check::texts(&connection)?;
    Ok(connection)
}

/// Opens the database that another process has open, and changes nothing: neither its schema, nor a
/// damaged one.
pub(super) fn join(folder: &Path) -> Result<Connection, StoreError> {
    let connection = connect(&path(folder))?;
    check::structure(&connection)?;
    migrations::is_outdated(&connection)?;
    check::texts(&connection)?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    let mode = configure(&connection).map_err(StoreError::unreadable)?;
    ensure_wal(&mode)?;
    Ok(connection)
}

/// SQLite takes a missing or empty file for a new database. Where there is a copy, there was more
/// than that.
fn ensure_not_lost(folder: &Path, path: &Path) -> Result<(), StoreError> {
    let is_empty = fs::metadata(path).map_or(true, |metadata| metadata.len() == 0);
    if is_empty && copy::path(folder).exists() {
        return Err(StoreError::new(
            StoreErrorKind::Corrupt,
            "database file is missing or empty",
        ));
    }
    Ok(())
}

/// Sets the connection up; the journal mode that it then has.
fn configure(connection: &Connection) -> rusqlite::Result<String> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // FULL: a commit is on the disk before it is acknowledged, also when the power fails.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
}

fn ensure_wal(mode: &str) -> Result<(), StoreError> {
    if mode.eq_ignore_ascii_case("wal") {
        return Ok(());
    }
    let message = "data folder cannot hold the database: its file system has no shared memory";
    Err(StoreError::new(StoreErrorKind::Other, message))
}
