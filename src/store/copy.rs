//! The last good copy of the database, and going back to it when the database is damaged.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::Connection;

use super::error::{StoreError, StoreErrorKind};
use super::{file, ids};

/// The copy's file in a data folder.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("sluicegate.db.good")
}

/// Whether the database was written after the copy, or there is no copy.
pub(super) fn is_stale(folder: &Path) -> bool {
    let written = modified(&file::path(folder)).max(modified(&file::companion(folder, "-wal")));
    modified(&path(folder)).is_none_or(|copied| written.is_none_or(|written| written >= copied))
}

/// An empty file says nothing: SQLite makes its log when it opens a database, written or not.
fn modified(path: &Path) -> Option<SystemTime> {
    let metadata = fs::metadata(path).ok()?;
    metadata.modified().ok().filter(|_| metadata.len() > 0)
}

/// Copies the database. At every moment there is a whole copy, the old one or the new one.
pub(super) fn make(connection: &Connection, folder: &Path) -> Result<(), StoreError> {
    let draft = folder.join("sluicegate.db.good.new");
    remove_file(&draft)?;
    let made = write_draft(connection, &draft).and_then(|()| {
        put_in_place(&draft, &path(folder))
            .map_err(|error| StoreError::io("cannot keep the copy".to_owned(), error))
    });
    if made.is_err() {
        // A full disk is no place for half a copy; the error that counts is the first one.
        let _ = fs::remove_file(&draft);
    }
    made
}

fn write_draft(connection: &Connection, draft: &Path) -> Result<(), StoreError> {
    file::make_private(draft)?;
    // The name as bytes would be a blob to SQLite, which wants text.
    let name = draft.to_str().ok_or_else(|| {
        StoreError::new(StoreErrorKind::Other, "name of the data folder is no UTF-8")
    })?;
    connection.execute("VACUUM INTO ?1", [name])?;
    Ok(())
}

/// Removes the copy, if there is one.
pub(super) fn remove(folder: &Path) {
    // Fails where the file system refuses everything; the copy's failure was logged already.
    let _ = fs::remove_file(path(folder));
}

/// Puts the copy in the place of a damaged database, which is kept aside; where it is now. Begun
/// again from the start if the process ends on the way: the damaged file stays in its place until
/// the copy takes it.
pub(super) fn restore(folder: &Path, damage: &StoreError) -> Result<PathBuf, StoreError> {
    if !path(folder).exists() {
        return Err(no_copy(folder, damage));
    }
    let aside = folder.join(format!("sluicegate.db.damaged-{}", ids::unix_seconds()));
    let failed = |error| {
        StoreError::io(
            "cannot restore the last good copy of the database".to_owned(),
            error,
        )
    };
    put_aside(folder, &aside).map_err(failed)?;
    let draft = folder.join("sluicegate.db.restored");
    fs::copy(path(folder), &draft).map_err(failed)?;
    put_in_place(&draft, &file::path(folder)).map_err(failed)?;
    Ok(aside)
}

/// The log goes aside with the database: SQLite would replay it into the copy.
fn put_aside(folder: &Path, aside: &Path) -> io::Result<()> {
    if file::path(folder).exists() {
        fs::copy(file::path(folder), aside)?;
    }
    let log = file::companion(folder, "-wal");
    if log.exists() {
        fs::rename(log, aside.with_added_extension("wal"))?;
    }
    absent_is_fine(fs::remove_file(file::companion(folder, "-shm")))
}

fn put_in_place(draft: &Path, place: &Path) -> io::Result<()> {
    File::open(draft)?.sync_all()?;
    fs::rename(draft, place)?;
    match place.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn remove_file(path: &Path) -> Result<(), StoreError> {
    let removed = absent_is_fine(fs::remove_file(path));
    removed.map_err(|error| StoreError::io(format!("cannot remove `{}`", path.display()), error))
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn no_copy(folder: &Path, damage: &StoreError) -> StoreError {
    let path = file::path(folder);
    let message = format!(
        "`{}`: {damage}, and there is no good copy of it\n\
         hint: restore a backup, or move the file away to start anew",
        path.display()
    );
    StoreError::new(StoreErrorKind::Corrupt, message)
}
