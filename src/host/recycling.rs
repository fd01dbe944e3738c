//! Processes that have worn are replaced before they fail: the next one is loaded beside, and takes over.
//!
//! Requests that have begun in the old process end there, and it with the last of them.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::runner::{Runner, Seat};
use super::wear::{Verdict, memory_of_trees};
use super::worker::Worker;
use crate::registry::{FunctionId, FunctionSettings};
use crate::telemetry::metrics::{self, Recycling, WorkerEnd};

/// How often the memory of a function with programs is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Whether a process is about to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Leaving {
    /// It stays.
    No,
    /// Another one is being made ready, and this one serves until then.
    Serving,
    /// The same, and this one gets no more requests: they wait.
    Closed,
}

impl Seat {
    /// Notes that its process leaves, or leaves sooner; whether that is news.
    fn begins_to_leave(&self, wanted: Leaving) -> bool {
        let mut is_new = false;
        self.leaving.send_if_modified(|leaving| {
            is_new = *leaving == Leaving::No;
            let is_sooner = *leaving < wanted;
            *leaving = wanted.max(*leaving);
            is_sooner
        });
        is_new
    }
}

impl Runner {
    /// The seat for a request: this one, or, where its process is near to failing, the next.
    pub(super) async fn relieved(
        self: &Arc<Self>,
        seat: Arc<Seat>,
        settings: &FunctionSettings,
        valves: &[u8],
    ) -> Arc<Seat> {
        let verdict = seat.wear.count(seat.worker.pid(), settings);
        let (reason, wanted) = match verdict {
            Verdict::Fit => (None, Leaving::No),
            Verdict::Worn(reason) => (Some(reason), Leaving::Serving),
            Verdict::Spent(reason) => (Some(reason), Leaving::Closed),
        };
        if let Some(reason) = reason
            && seat.begins_to_leave(wanted)
        {
            let (runner, seat) = (Arc::clone(self), Arc::clone(&seat));
            let (settings, valves) = (settings.clone(), valves.to_vec());
            // Ends with the load, which has a limit.
            let replacing = async move { runner.relieve(&seat, reason, &settings, &valves).await };
            self.shared.runtime().spawn(replacing);
        }
        if *seat.leaving.borrow() != Leaving::Closed {
            return seat;
        }
        let mut leaving = seat.leaving.subscribe();
        // Fails only if the sender is gone, and we hold it.
        let _ = leaving.wait_for(|leaving| *leaving == Leaving::No).await;
        self.live_seat().unwrap_or(seat)
    }

    /// Loads the function in another process and lets that take over. If it does not load, the old one goes on.
    async fn relieve(
        &self,
        seat: &Arc<Seat>,
        reason: Recycling,
        settings: &FunctionSettings,
        valves: &[u8],
    ) {
        let _starting = self.starting.lock().await;
        let is_ours = || {
            self.live_seat()
                .is_some_and(|live| Arc::ptr_eq(&live, seat))
        };
        if is_ours() {
            if !settings.group.is_empty() {
                self.shared.groups.leave(&settings.group, &seat.worker);
            }
            match self.start(settings, valves).await {
                Ok(next) if is_ours() => self.take_over(seat, next, reason),
                // Another one has taken its place, or it died: whoever asks next sees to that.
                Ok(_) => {}
                Err(failure) => {
                    seat.wear.put_off();
                    warn!(function.id = %self.id, ?failure, "a worn process cannot be replaced and goes on");
                }
            }
        }
        seat.leaving.send_replace(Leaving::No);
    }

    fn take_over(&self, seat: &Arc<Seat>, next: Seat, reason: Recycling) {
        let used_up = reason.as_str();
        info!(function.id = %self.id, pid = seat.worker.pid(), used_up, "a worn process is replaced");
        metrics::worker_recycled(reason);
        self.give_up(seat);
        self.take_seat(Arc::new(next));
    }

    /// Holds a function that may start programs to its memory together with them: the kernel's limit is on each alone.
    pub(super) fn watch_programs(&self, worker: &Arc<Worker>, settings: &FunctionSettings) {
        if !settings.subprocesses || settings.memory_mib == 0 {
            return;
        }
        let most = settings.memory_mib.saturating_mul(1024);
        // Ends with the process.
        let watching = watch_memory(Arc::downgrade(worker), most, self.id.clone());
        self.shared.runtime().spawn(watching);
    }
}

/// Ends a process that has, together with its programs, more than `most` KiB of memory.
async fn watch_memory(worker: Weak<Worker>, most: u64, id: FunctionId) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Some(worker) = worker.upgrade().filter(|worker| worker.is_alive()) else {
            return;
        };
        let used = memory_of_trees(&worker.roots(), most);
        if used > most {
            warn!(function.id = %id, pid = worker.pid(), used_mib = used / 1024, "a function and its programs use too much memory, its process is killed");
            metrics::worker_failed(WorkerEnd::Killed);
            worker.kill();
            return;
        }
    }
}
