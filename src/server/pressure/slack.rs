//! What the allocator keeps when a load has gone. It goes back to the system, also where memory is ample: others on the
//! machine may want it, and who watches the process should see what it needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task;
use tokio::time::Instant;

use super::Bound;
use super::gauge::Gauge;
use super::watch::is_due;

/// How often it is looked at: counting takes the allocator's locks.
const PAUSE: Duration = Duration::from_secs(5);

/// So much is kept for the requests to come.
const KEPT_BYTES: u64 = 8 << 20;

/// Memory that is free and yet the process's.
#[derive(Debug, Default)]
pub(super) struct Slack {
    looked: Option<Instant>,
    /// How much of it was left when it was given back last: pages of which a part is in use.
    stuck: Arc<AtomicU64>,
}

impl Slack {
    /// Gives it back if it is much and was not looked at just now. Not waited for.
    pub(super) fn look(&mut self) {
        if is_due(&mut self.looked, PAUSE) {
            let stuck = Arc::clone(&self.stuck);
            drop(task::spawn_blocking(move || give_back(&stuck)));
        }
    }
}

fn give_back(stuck: &AtomicU64) {
    let worth = stuck.load(Ordering::Relaxed).saturating_add(KEPT_BYTES);
    if unused_bytes().is_some_and(|unused| unused > worth) {
        heap::trim();
        stuck.store(unused_bytes().unwrap_or_default(), Ordering::Relaxed);
    }
}

/// What the process has in memory and does not hold; `None` where nobody says.
fn unused_bytes() -> Option<u64> {
    let reading = Gauge::new(Bound::None).read().ok()?;
    Some(reading.used_bytes.saturating_sub(heap::held_bytes()?))
}
