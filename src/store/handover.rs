//! A data folder on its way from one process to the next: who may write when.
//!
//! The process that serves *freezes* the database: changes that are being written are waited for, later ones wait. The
//! new process reads what is there and makes its own changes, migrations first, in one transaction. It commits when it
//! takes over; until then its death leaves everything as it was, and the first process *thaws*.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};
use tokio::time::timeout;
use tracing::warn;

use super::error::StoreError;
use super::lock::FolderLock;
use super::{Store, copy, file, migrations};

/// How long a change waits for a hand-over to come to its end; then the caller is told to try again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whose the database is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hand {
    /// This process is the one that changes it.
    #[default]
    Ours,
    /// Another process has taken it over.
    GivenUp,
}

/// A change that is being written.
pub(super) type Writing = OwnedRwLockReadGuard<Hand>;

/// A database that this process does not change for now. Dropping this thaws it.
#[derive(Debug)]
pub struct Frozen(OwnedRwLockWriteGuard<Hand>);

impl Frozen {
    /// Leaves the database to another process, for good.
    pub fn give_up(mut self) {
        *self.0 = Hand::GivenUp;
    }
}

impl Store {
    /// Waits for the changes that are being written, and lets no other begin.
    pub async fn freeze(&self) -> Frozen {
        Frozen(Arc::clone(&self.0.hand).write_owned().await)
    }

    /// The lock of the data folder, for the process that takes it over.
    ///
    /// # Errors
    ///
    /// If there is no descriptor left.
    pub fn share_lock(&self) -> io::Result<OwnedFd> {
        self.0.lock.share()
    }

    /// Opens the database of a process that still serves and shared its `lock`. Nothing is changed before
    /// [`Store::begin_takeover`]. Blocks.
    ///
    /// # Errors
    ///
    /// If a newer version wrote the database, it is damaged, or the lock is that of another folder.
    pub fn join(folder: &Path, lock: OwnedFd) -> Result<Self, StoreError> {
        let lock = FolderLock::inherit(folder, lock)?;
        Ok(Self::new(folder, file::join(folder)?, lock))
    }

    /// Whether the schema is to be migrated before anything can be read.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub async fn is_outdated(&self) -> Result<bool, StoreError> {
        self.read(migrations::is_outdated).await
    }

    /// Begins the transaction in which everything happens until [`Store::finish_takeover`]. The other process must
    /// have frozen the database. Does nothing if it has begun already.
    ///
    /// # Errors
    ///
    /// If the database cannot be written or migrated.
    pub async fn begin_takeover(&self) -> Result<(), StoreError> {
        self.block(|store| {
            let connection = &mut store.lock().connection;
            if !connection.is_autocommit() {
                return Ok(());
            }
            connection.execute_batch("BEGIN IMMEDIATE")?;
            migrations::run(connection)
        })
        .await
    }

    /// Commits what was written since [`Store::begin_takeover`]: from now on the folder is this process's.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub async fn finish_takeover(&self) -> Result<(), StoreError> {
        self.block(|store| {
            store.lock().connection.execute_batch("COMMIT")?;
            if let Err(error) = store.0.lock.write_owner() {
                // It holds all the same, and names the wrong process to who wants the folder too.
                warn!(%error, "the lock names the process that had the data folder before");
            }
            Ok(())
        })
        .await
    }

    /// Renews the good copy if the database was written since it was made.
    pub async fn renew_copy(&self) {
        if copy::is_stale(&self.0.folder) {
            self.keep_copy().await;
        }
    }

    /// The right to write one change, if the database is ours or at least as far gone as `hand`.
    pub(super) async fn writing(&self, hand: Hand) -> Result<Writing, StoreError> {
        let waiting = timeout(PATIENCE, Arc::clone(&self.0.hand).read_owned());
        let writing = waiting.await.map_err(|_| StoreError::handed_over())?;
        if *writing == Hand::Ours || *writing == hand {
            return Ok(writing);
        }
        Err(StoreError::handed_over())
    }

    async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        let task = tokio::task::spawn_blocking(move || work(&store));
        task.await
            .unwrap_or_else(|error| Err(StoreError::interrupted(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::StoreErrorKind;
    use super::*;

    async fn pair() -> (tempfile::TempDir, Store, Store) {
        let folder = tempfile::tempdir().unwrap();
        let first = Store::open(folder.path()).unwrap();
        let second = Store::join(folder.path(), first.share_lock().unwrap()).unwrap();
        (folder, first, second)
    }

    async fn set(store: &Store, value: &str) -> Result<(), StoreError> {
        store.set_setting("key".to_owned(), value.to_owned()).await
    }

    async fn get(store: &Store) -> Option<String> {
        store.setting("key".to_owned()).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_written_before_and_in_the_takeover_is_there_after_it() {
        let (_folder, first, second) = pair().await;
        set(&first, "1").await.unwrap();
        let frozen = first.freeze().await;
        second.begin_takeover().await.unwrap();
        assert_eq!(get(&second).await.as_deref(), Some("1"));
        set(&second, "2").await.unwrap();
        assert_eq!(get(&first).await.as_deref(), Some("1"));
        second.finish_takeover().await.unwrap();
        frozen.give_up();
        assert_eq!(get(&first).await.as_deref(), Some("2"));
        let error = set(&first, "3").await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::HandedOver);
        set(&second, "4").await.unwrap();
    }

    #[tokio::test]
    async fn a_takeover_that_is_given_up_leaves_nothing() {
        let (_folder, first, second) = pair().await;
        set(&first, "1").await.unwrap();
        let frozen = first.freeze().await;
        second.begin_takeover().await.unwrap();
        set(&second, "2").await.unwrap();
        drop(second);
        drop(frozen);
        assert_eq!(get(&first).await.as_deref(), Some("1"));
        set(&first, "3").await.unwrap();
    }

    #[tokio::test]
    async fn documents_are_written_by_both() {
        let (_folder, first, second) = pair().await;
        let frozen = first.freeze().await;
        second.begin_takeover().await.unwrap();
        second.finish_takeover().await.unwrap();
        frozen.give_up();
        let put = |store: &Store, id: &str| {
            let store = store.clone();
            let id = id.to_owned();
            async move {
                let (kind, user, data) = ("memory".to_owned(), "u".to_owned(), "{}".to_owned());
                store.put_document(kind, id, user, data).await.unwrap();
            }
        };
        put(&first, "a").await;
        put(&second, "b").await;
        let all = second.list_documents("memory".to_owned(), None).await;
        assert_eq!(all.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn changes_wait_while_the_database_is_frozen() {
        let (_folder, first, _second) = pair().await;
        let frozen = first.freeze().await;
        let mut change = std::pin::pin!(set(&first, "1"));
        tokio::select! {
            biased;
            _ = &mut change => panic!("it was written"),
            () = tokio::task::yield_now() => {}
        }
        drop(frozen);
        change.await.unwrap();
    }

    #[tokio::test]
    async fn a_process_whose_database_was_migrated_writes_no_more() {
        let (_folder, first, second) = pair().await;
        let newer = |connection: &rusqlite::Connection| {
            Ok(connection.pragma_update(None, "user_version", 99)?)
        };
        second.write(newer).await.unwrap();
        let error = set(&first, "1").await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::NewerSchema);
    }
}
