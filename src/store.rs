//! What outlives the process: one SQLite file per data folder. One file here per table; every
//! method is one transaction, and what it wrote is on the disk when it returns.

mod check;
mod copy;
mod documents;
mod error;
mod file;
mod function_versions;
mod functions;
mod handover;
pub mod ids;
mod keys;
mod lock;
mod migrations;
mod models;
mod settings;
mod sql;
#[cfg(test)]
mod tests;
mod user_valves;
mod users;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::RwLock;
use tokio::time::Instant;
use tracing::warn;

pub use self::documents::DocumentRow;
pub use self::error::{StoreError, StoreErrorKind};
pub use self::function_versions::{FunctionVersionCode, FunctionVersionRow};
pub use self::functions::{FunctionRow, function_ids};
pub use self::handover::Frozen;
pub use self::keys::KeyRow;
pub use self::models::ModelRow;
pub use self::user_valves::UserValvesRow;
pub use self::users::UserRow;

use self::handover::{Hand, Writing};
use self::lock::FolderLock;

/// The database of a data folder. Clones share it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    /// A std mutex is enough: it is taken on threads that may block, and never held across an
    /// await.
    connection: Mutex<Guarded>,
    /// Read for as long as a change is written, written while another process takes over.
    hand: Arc<RwLock<Hand>>,
    /// Fields drop in order: the database is closed before the next process may have the folder.
    lock: FolderLock,
}

/// The connection, for one transaction at a time.
struct Guarded {
    connection: Connection,
    /// When another process last kept the database locked for longer than we wait.
    given_up_at: Option<Instant>,
}

/// Whoever comes up within so long of somebody who has waited in vain waits no more: it stood in line meanwhile.
const SAME_WAIT: Duration = Duration::from_secs(1);

impl Guarded {
    /// How long the next transaction waits for another process.
    fn patience(&self) -> Duration {
        let is_same = |at: Instant| at.elapsed() < SAME_WAIT;
        match self.given_up_at.is_some_and(is_same) {
            true => Duration::ZERO,
            false => file::BUSY_TIMEOUT,
        }
    }

    fn transact<T>(
        &mut self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.connection.busy_timeout(self.patience())?;
        let result = sql::atomically(&mut self.connection, behavior, work);
        let is_busy = matches!(&result, Err(error) if error.kind() == StoreErrorKind::Busy);
        self.given_up_at = is_busy.then(Instant::now);
        result
    }
}

impl Store {
    /// Opens the database in `folder`, which is made if it is not there, and brings its schema up
    /// to date. Blocks.
    ///
    /// A damaged database is put aside, and the last good copy takes its place.
    ///
    /// # Errors
    ///
    /// If another process has the folder, a newer version wrote the database, it is damaged and
    /// there is no good copy of it, or the folder cannot be written.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        file::make_folder(folder)?;
        let lock = FolderLock::take(folder)?;
        let store = Self::new(folder, file::open(folder)?, lock);
        if copy::is_stale(folder) {
            store.copy_now();
        }
        Ok(store)
    }

    fn new(folder: &Path, connection: Connection, lock: FolderLock) -> Self {
        Self(Arc::new(Inner {
            folder: folder.to_owned(),
            connection: Mutex::new(Guarded {
                connection,
                given_up_at: None,
            }),
            hand: Arc::default(),
            lock,
        }))
    }

    /// Renews the good copy that takes the place of a database found damaged. [`Store::open`] does
    /// so too, and so does every withdrawal of rights: an old copy would bring them back.
    pub async fn keep_copy(&self) {
        // Who takes the database over renews it, and this process must not put an older one there.
        let Ok(writing) = self.writing(Hand::Ours).await else {
            return;
        };
        let store = self.clone();
        let copy = move || {
            store.copy_now();
            drop(writing);
        };
        // Fails only if the runtime is ending; the next start renews the copy.
        let _ = tokio::task::spawn_blocking(copy).await;
    }

    /// A copy that cannot be renewed is removed: none is better than one that brings revoked keys
    /// back. But if the database is the reason, it is all there is.
    fn copy_now(&self) {
        let Err(error) = copy::make(&self.lock().connection, &self.0.folder) else {
            return;
        };
        warn!(%error, "database cannot be copied");
        if error.kind() != StoreErrorKind::Corrupt {
            copy::remove(&self.0.folder);
        }
    }

    /// Runs `work` in a transaction that sees one state of the database.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.transact(TransactionBehavior::Deferred, None, work)
            .await
    }

    /// Runs `work` in a transaction that happens as a whole or not at all. It is begun as a writing
    /// one, because SQLite waits for other writers only at the beginning.
    ///
    /// A process that has handed the database over is refused: its successor has read what was there.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let writing = self.writing(Hand::Ours).await?;
        self.transact(TransactionBehavior::Immediate, Some(writing), work)
            .await
    }

    /// The same for what no process keeps in memory, which may be written after a hand-over too.
    async fn write_shared<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let writing = self.writing(Hand::GivenUp).await?;
        self.transact(TransactionBehavior::Immediate, Some(writing), work)
            .await
    }

    /// On a thread that may block. It goes on to its end even if the caller no longer waits.
    async fn transact<T: Send + 'static>(
        &self,
        behavior: TransactionBehavior,
        writing: Option<Writing>,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let is_writing = writing.is_some();
            let result = store.lock().transact(behavior, |connection| {
                if is_writing {
                    migrations::ensure_not_newer(connection)?;
                }
                work(connection)
            });
            // A hand-over waits for this.
            drop(writing);
            result
        });
        task.await
            .unwrap_or_else(|error| Err(StoreError::interrupted(error)))
    }

    /// A panic under the lock has rolled its transaction back, so the connection behind it is
    /// sound.
    fn lock(&self) -> MutexGuard<'_, Guarded> {
        self.0
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("folder", &self.0.folder)
            .finish_non_exhaustive()
    }
}
