//! Functions that share a process, and find each other in it (ruling R38).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use bytes::Bytes;
use serde_json::json;

use super::Host;
use super::isolation::Bounds;
use super::runner::Seat;
use super::worker::Worker;
use crate::registry::{Function, Snapshot};

/// The groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// By name. Held for map operations only.
    by_name: Mutex<HashMap<String, Group>>,
    /// Counts what may change who finds whom: other functions that are active, and other processes that they run in.
    changes: AtomicU64,
}

/// Whom a function finds in its process, until something changes.
#[derive(Debug)]
pub(super) struct Visible {
    change: u64,
    slots: Bytes,
}

/// One group.
#[derive(Debug, Default)]
struct Group {
    /// The process, once there is one.
    worker: Weak<Worker>,
    /// The last one that it has left, which is ended as soon as it can be.
    left: Weak<Worker>,
    /// What the process may.
    bounds: Option<Bounds>,
    /// The active functions of the newest snapshot, by id.
    members: Vec<Weak<Function>>,
}

impl Group {
    fn has_left(&self, worker: &Arc<Worker>) -> bool {
        std::ptr::eq(self.left.as_ptr(), Arc::as_ptr(worker))
    }
}

impl Groups {
    /// The process of a group, if one runs that may what it should.
    pub(super) fn worker(&self, group: &str, bounds: &Bounds) -> Option<Arc<Worker>> {
        let groups = self.lock();
        let group = groups.get(group)?;
        let worker = group.worker.upgrade().filter(|worker| worker.is_alive());
        worker.filter(|_| group.bounds.as_ref() == Some(bounds))
    }

    /// Whether this is the process of a group, or may be, because that group has none.
    pub(super) fn is_current(&self, group: &str, worker: &Arc<Worker>) -> bool {
        let groups = self.lock();
        let Some(group) = groups.get(group) else {
            return true;
        };
        let current = group.worker.upgrade();
        !group.has_left(worker) && current.is_none_or(|current| Arc::ptr_eq(&current, worker))
    }

    /// Whether this is a process that its group was made to leave, so that its end is no news.
    pub(super) fn was_abandoned(&self, worker: &Arc<Worker>) -> bool {
        self.lock().values().any(|group| group.has_left(worker))
    }

    /// Makes every member of the group of this process, if it is a group's, go on in another.
    pub(super) fn abandon(&self, worker: &Arc<Worker>) {
        for group in self.lock().values_mut() {
            if std::ptr::eq(group.worker.as_ptr(), Arc::as_ptr(worker)) {
                group.left = std::mem::take(&mut group.worker);
            }
        }
    }

    /// Makes the next member that is loaded start a new process for the group of this one.
    pub(super) fn leave(&self, group: &str, worker: &Arc<Worker>) {
        if let Some(group) = self.lock().get_mut(group)
            && std::ptr::eq(group.worker.as_ptr(), Arc::as_ptr(worker))
        {
            group.worker = Weak::new();
        }
    }

    /// Puts a process in the place of the group's last one.
    pub(super) fn set_worker(&self, group: &str, worker: &Arc<Worker>, bounds: Bounds) {
        let mut groups = self.lock();
        let group = groups.entry(group.to_owned()).or_default();
        group.worker = Arc::downgrade(worker);
        group.bounds = Some(bounds);
    }

    /// Learns which functions belong together from now on.
    pub(super) fn settle(&self, snapshot: &Snapshot) {
        let mut groups = self.lock();
        groups.values_mut().for_each(|group| group.members.clear());
        for function in snapshot.functions() {
            let group = &function.settings.group;
            if function.is_active && !group.is_empty() {
                let group = groups.entry(group.clone()).or_default();
                group.members.push(Arc::downgrade(function));
            }
        }
        groups.retain(|_, group| !group.members.is_empty() || group.worker.strong_count() > 0);
        self.note_change();
    }

    /// Notes that a function of some group runs in another process now, or in none.
    pub(super) fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    fn change(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn members(&self, group: &str) -> Vec<Arc<Function>> {
        let groups = self.lock();
        let members = groups.get(group).map(|group| group.members.as_slice());
        let members = members.unwrap_or_default().iter();
        members.filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Group>> {
        self.by_name
            .lock()
            .expect("no code that holds this lock panics")
    }
}

impl Seat {
    /// Whom the function finds beside it, if that was looked up after this change, which is the last.
    fn visible_since(&self, change: u64) -> Option<Bytes> {
        let visible = self.visible();
        let known = visible.as_ref().filter(|known| known.change == change);
        known.map(|known| known.slots.clone())
    }

    fn visible(&self) -> MutexGuard<'_, Option<Visible>> {
        self.visible
            .lock()
            .expect("no code that holds this lock panics")
    }
}

impl Host {
    /// Where the functions stand that this one may find beside it, as JSON: the active ones of its group, loaded if
    /// they are not yet. `None` for a function that is in no group.
    pub(super) async fn siblings(&self, function: &Function, seat: &Arc<Seat>) -> Option<Bytes> {
        if function.settings.group.is_empty() {
            return None;
        }
        // Before they are looked up: what changes meanwhile counts for the next request.
        let change = self.shared.groups.change();
        if let Some(slots) = seat.visible_since(change) {
            return Some(slots);
        }
        let slots = self.slots_of_siblings(function, seat).await;
        let slots = Bytes::from(json!(slots).to_string());
        *seat.visible() = Some(Visible {
            change,
            slots: slots.clone(),
        });
        Some(slots)
    }

    async fn slots_of_siblings(&self, function: &Function, seat: &Arc<Seat>) -> Vec<u32> {
        let mut slots = vec![seat.slot];
        for member in self.shared.groups.members(&function.settings.group) {
            if member.id == function.id {
                continue;
            }
            let Ok(runner) = self.runner_of(&member.version) else {
                continue;
            };
            // One that cannot be loaded fails its own requests; here it is just not found.
            if let Ok(other) = runner.seat(&member.settings, &member.valves.stored).await
                && Arc::ptr_eq(&other.worker, &seat.worker)
            {
                slots.push(other.slot);
            }
        }
        slots
    }
}
