//! Who takes nothing of what is there for them, so that the worst can be let go when memory is critical.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

/// What a stream that stands still holds beside what is counted: what was read ahead of its model server, and the
/// connections themselves.
const UNCOUNTED_BYTES: u64 = 64 << 10;
/// All connections. Clones share the list.
#[derive(Clone, Debug)]
pub(in crate::server) struct Readers(Arc<List>);

#[derive(Debug)]
struct List {
    /// Where times begin, so that one fits into a number.
    epoch: Instant,
    /// A std lock is enough: it is held while a connection comes or goes, or one round of letting go is chosen.
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    standings: HashMap<u64, Arc<Standing>>,
}

/// What one connection's thread tells the others. Plain numbers: nobody decides by two of them at once.
#[derive(Debug, Default)]
struct Standing {
    /// When its client took something last, in milliseconds of the epoch and one more; 0 while it takes what comes.
    blocked_since: AtomicU64,
    held_bytes: AtomicU64,
    is_let_go: AtomicBool,
    waker: AtomicWaker,
}

/// A connection's place in the list, until it is dropped.
#[derive(Debug)]
pub(in crate::server) struct Place {
    list: Arc<List>,
    id: u64,
    standing: Arc<Standing>,
}

impl Default for Readers {
    fn default() -> Self {
        Self(Arc::new(List {
            epoch: Instant::now(),
            open: Mutex::default(),
        }))
    }
}

impl List {
    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX) + 1
    }
}

impl Readers {
    /// A place for a connection that has just begun.
    pub(in crate::server) fn enter(&self) -> Place {
        let standing = Arc::<Standing>::default();
        let mut open = self.0.open();
        let id = open.next;
        open.next += 1;
        open.standings.insert(id, Arc::clone(&standing));
        drop(open);
        Place {
            list: Arc::clone(&self.0),
            id,
            standing,
        }
    }

    /// Lets go of those that hold the most for the longest, and took nothing within `patience`, until about `bytes` will
    /// come free; how many that were.
    pub(super) fn let_go(&self, bytes: u64, patience: Duration) -> u64 {
        let mut slow = self.slow(patience);
        slow.sort_unstable_by_key(|(weight, ..)| Reverse(*weight));
        let (mut freed, mut count) = (0, 0);
        for (_, held, standing) in slow {
            if freed >= bytes {
                break;
            }
            standing.is_let_go.store(true, Ordering::Release);
            standing.waker.wake();
            freed += held;
            count += 1;
        }
        count
    }

    /// Whether some that were let go are still there. Who has taken something after all stays until it stands still again,
    /// and is not waited for.
    pub(super) fn are_leaving(&self) -> bool {
        let is_leaving = |standing: &Arc<Standing>| {
            standing.is_let_go.load(Ordering::Relaxed)
                && standing.blocked_since.load(Ordering::Relaxed) != 0
        };
        self.0.open().standings.values().any(is_leaving)
    }

    /// Those that have taken nothing for a while: bytes times milliseconds, and the bytes.
    fn slow(&self, patience: Duration) -> Vec<(u128, u64, Arc<Standing>)> {
        let now = self.0.now();
        let patience = patience.as_millis();
        let weigh = |standing: &Arc<Standing>| {
            let since = standing.blocked_since.load(Ordering::Relaxed);
            let still = u128::from(now.saturating_sub(since));
            let is_known = since == 0 || standing.is_let_go.load(Ordering::Relaxed);
            if is_known || still < patience {
                return None;
            }
            let held = standing.held_bytes.load(Ordering::Relaxed) + UNCOUNTED_BYTES;
            Some((u128::from(held) * still, held, Arc::clone(standing)))
        };
        self.0.open().standings.values().filter_map(weigh).collect()
    }
}

impl Place {
    /// The client takes nothing of these bytes now.
    pub(in crate::server) fn stands_still(&self, held_bytes: u64) {
        let standing = &self.standing;
        standing.held_bytes.store(held_bytes, Ordering::Relaxed);
        if standing.blocked_since.load(Ordering::Relaxed) == 0 {
            let now = self.list.now();
            standing.blocked_since.store(now, Ordering::Relaxed);
        }
    }

    /// The client has taken something.
    pub(in crate::server) fn moves(&self) {
        if self.standing.blocked_since.load(Ordering::Relaxed) != 0 {
            self.standing.blocked_since.store(0, Ordering::Relaxed);
        }
    }

    /// Whether it is to end; else its task is woken when it is.
    pub(in crate::server) fn is_let_go(&self, context: &Context<'_>) -> bool {
        // First, so that what comes right after the look is not missed.
        self.standing.waker.register(context.waker());
        self.standing.is_let_go.load(Ordering::Acquire)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.list.open().standings.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::time::advance;

    use super::*;

    fn is_let_go(place: &Place) -> bool {
        place.is_let_go(&Context::from_waker(Waker::noop()))
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_hold_most_for_the_longest_go_first() {
        let readers = Readers::default();
        let places: Vec<Place> = (0..4).map(|_| readers.enter()).collect();
        let [small, large, recent, moving] = &places[..] else {
            unreachable!("there are four")
        };
        small.stands_still(1 << 10);
        large.stands_still(1 << 20);
        moving.stands_still(1 << 30);
        moving.moves();
        advance(Duration::from_secs(2)).await;
        recent.stands_still(1 << 30);
        let patience = Duration::from_secs(1);
        assert_eq!(readers.let_go(1 << 20, patience), 1);
        assert!(is_let_go(large) && !is_let_go(small));
        assert_eq!(
            readers.let_go(1 << 30, patience),
            1,
            "none is counted twice"
        );
        assert!(is_let_go(small));
        assert!(!is_let_go(recent) && !is_let_go(moving));
        assert!(readers.are_leaving());
        drop(places);
        assert!(!readers.are_leaving());
        assert_eq!(readers.0.open().standings.len(), 0);
    }
}
