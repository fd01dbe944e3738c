//! One thread's idle connections.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::base::Origin;
use super::connection::Connection;

/// Longer than most servers keep an idle connection; those that close earlier are noticed.
const IDLE_LIMIT: Duration = Duration::from_secs(60);
/// How often connections that nobody took are looked at.
const SWEEP: Duration = Duration::from_secs(5);

/// Connections without a request. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool(Arc<Mutex<Shelves>>);

#[derive(Debug, Default)]
struct Shelves {
    /// One for each origin. There are few: looking through them is quicker than hashing.
    all: Vec<Shelf>,
    /// Whether a task looks after them.
    is_swept: bool,
}

#[derive(Debug)]
struct Shelf {
    origin: Origin,
    idle: Vec<Idle>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// The connection to `origin` that served last, if one is there and still open.
    pub(super) fn take(&self, origin: &Origin) -> Option<Connection> {
        let mut shelves = lock(&self.0);
        let shelf = shelves.of(origin)?;
        std::iter::from_fn(|| shelf.idle.pop())
            .map(|idle| idle.connection)
            .find_map(|mut connection| connection.is_idle().then_some(connection))
    }

    /// Keeps `connection` for the next request to `origin`.
    pub(super) fn put(&self, origin: &Origin, connection: Connection) {
        let idle = Idle {
            connection,
            since: Instant::now(),
        };
        let mut shelves = lock(&self.0);
        match shelves.of(origin) {
            Some(shelf) => shelf.idle.push(idle),
            None => shelves.all.push(Shelf {
                origin: origin.clone(),
                idle: vec![idle],
            }),
        }
        if !std::mem::replace(&mut shelves.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(&self.0)));
        }
    }
}

impl Shelves {
    fn of(&mut self, origin: &Origin) -> Option<&mut Shelf> {
        self.all.iter_mut().find(|shelf| shelf.origin == *origin)
    }
}

/// Closes what was idle for too long or was closed by its server, until nothing is left.
async fn sweep(shelves: Weak<Mutex<Shelves>>) {
    loop {
        sleep(SWEEP).await;
        let Some(shelves) = shelves.upgrade() else {
            return;
        };
        let mut shelves = lock(&shelves);
        shelves.all.retain_mut(|Shelf { idle, .. }| {
            idle.retain_mut(|idle| idle.since.elapsed() < IDLE_LIMIT && idle.connection.is_idle());
            !idle.is_empty()
        });
        shelves.is_swept = !shelves.all.is_empty();
        if !shelves.is_swept {
            return;
        }
    }
}

/// A panic elsewhere leaves nothing half done in here.
fn lock(shelves: &Mutex<Shelves>) -> MutexGuard<'_, Shelves> {
    shelves.lock().unwrap_or_else(PoisonError::into_inner)
}
