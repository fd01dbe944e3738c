//! How much of its limits a process has used up, as the kernel tells, and when it is time for another one.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::registry::FunctionSettings;
use crate::telemetry::metrics::Recycling;

/// Requests before the first look, and between two while something grows. What was used up at the first look is what the
/// function needs, lazy imports included.
const ROUND: u64 = 16;

/// The most requests between two looks. A look takes as long as half a call.
const LONGEST_ROUND: u64 = 64;

/// A process that is younger is replaced for its memory only if it must be: what a function takes so early, such as a
/// model that it loads late, the next process would take as well.
const YOUTH: Duration = Duration::from_secs(10);

/// Address space in KiB that comes and goes without anything leaking. It matters where there is little room.
const SLACK: u64 = 16 * 1024;

/// The most threads and descriptors that a process may have, as `confinement.py` sets them where it can.
const THREADS: u64 = 1024;
const DESCRIPTORS: u64 = 4096;

/// What a process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usage {
    /// Address space in KiB, which is what the limit on memory counts.
    memory: u64,
    descriptors: u64,
    threads: u64,
}

/// What is to become of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    Fit,
    /// It serves until another one is ready.
    Worn(Recycling),
    /// It is so near to a limit that new requests wait for the other one.
    Spent(Recycling),
}

/// How a process has worn since it was loaded.
#[derive(Debug)]
pub(super) struct Wear {
    began: Instant,
    requests: AtomicU64,
    /// How many requests there must be for the next look.
    next_look: AtomicU64,
    /// Held for a look, which takes microseconds.
    looks: Mutex<Option<Looks>>,
}

/// What was seen of a process.
#[derive(Clone, Copy, Debug)]
struct Looks {
    first: Usage,
    last: Usage,
    /// What it used more of than at the look before, in the round between.
    grown: Usage,
    /// Requests until the next look.
    round: u64,
    /// Those since the look before.
    passed: u64,
}

impl Looks {
    /// After another look. The longer nothing grows, the fewer there are.
    fn then(before: Option<Self>, now: Usage) -> Self {
        let Some(before) = before else {
            return Self {
                first: now,
                last: now,
                grown: Usage::default(),
                round: ROUND,
                passed: 0,
            };
        };
        let round = match now.is_within(before.last) {
            true => (before.round.max(ROUND) * 2).min(LONGEST_ROUND),
            false => ROUND,
        };
        Self {
            first: before.first,
            last: now,
            grown: now.above(before.last),
            round,
            passed: before.round,
        }
    }

    /// The same with the next look before half of what is left to one of the `limits` is gone at this rate: where each
    /// request takes much, a whole round would end behind it.
    fn within(self, limits: Usage) -> Self {
        let amounts = self.last.all().into_iter().zip(limits.all());
        let left = amounts
            .zip(self.grown.all())
            .filter(|((_, limit), grown)| *limit > 0 && *grown > 0)
            .map(|((now, limit), grown)| limit.saturating_sub(now) * self.passed / (2 * grown));
        let round = left.fold(self.round, u64::min).max(1);
        Self { round, ..self }
    }
}

impl Wear {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            requests: AtomicU64::new(0),
            next_look: AtomicU64::new(ROUND),
            looks: Mutex::default(),
        }
    }

    /// Counts a request to the process, and looks at it every few of them.
    pub(super) fn count(&self, pid: i32, settings: &FunctionSettings) -> Verdict {
        let requests = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if settings.recycle_calls > 0 && requests > settings.recycle_calls {
            return Verdict::Worn(Recycling::Calls);
        }
        if settings.recycle_percent == 0 || !self.is_time_to_look(requests) {
            return Verdict::Fit;
        }
        // One that cannot be looked at has ended, or will fail at its limits as it did without all this.
        let looks = Usage::of(pid).map(|usage| self.look(usage, limits(settings)));
        let round = looks.map_or(ROUND, |looks| looks.round);
        let next = requests.saturating_add(round);
        self.next_look.store(next, Ordering::Relaxed);
        looks.map_or(Verdict::Fit, |looks| self.judge(looks, settings))
    }

    /// Whether who counts this request is to look. Of several that come at once it is one: the next of two looks would see
    /// that nothing has grown since, and say that there is time.
    fn is_time_to_look(&self, requests: u64) -> bool {
        let next = self.next_look.load(Ordering::Relaxed);
        let claim = || {
            let claimed = self.next_look.compare_exchange(
                next,
                u64::MAX,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            claimed.is_ok()
        };
        requests >= next && claim()
    }

    /// Begins to count anew: there was no other process to be had.
    pub(super) fn put_off(&self) {
        self.requests.store(0, Ordering::Relaxed);
        self.next_look.store(ROUND, Ordering::Relaxed);
    }

    fn look(&self, now: Usage, limits: Usage) -> Looks {
        let mut looks = self
            .looks
            .lock()
            .expect("no code that holds this lock panics");
        let seen = Looks::then(*looks, now).within(limits);
        *looks = Some(seen);
        seen
    }

    fn is_old_enough(&self, reason: Recycling) -> bool {
        reason != Recycling::Memory || self.began.elapsed() >= YOUTH
    }

    fn judge(&self, looks: Looks, settings: &FunctionSettings) -> Verdict {
        let (first, now) = (looks.first, looks.last);
        let percent = settings.recycle_percent;
        let limits = limits(settings);
        let used = [
            (
                Recycling::Memory,
                now.memory.saturating_sub(SLACK),
                first.memory,
                limits.memory,
            ),
            (
                Recycling::Descriptors,
                now.descriptors,
                first.descriptors,
                limits.descriptors,
            ),
            (
                Recycling::Threads,
                now.threads,
                first.threads,
                limits.threads,
            ),
        ];
        let shares = used.map(|(what, now, first, limit)| (used_up(now, first, limit), what));
        match shares.into_iter().max_by_key(|(share, _)| *share) {
            Some((share, reason)) if share >= (100 + percent) / 2 => Verdict::Spent(reason),
            Some((share, reason)) if share >= percent && self.is_old_enough(reason) => {
                Verdict::Worn(reason)
            }
            _ => Verdict::Fit,
        }
    }
}

impl Usage {
    /// Whether nothing is used more of than there.
    fn is_within(self, other: Self) -> bool {
        self.memory <= other.memory
            && self.descriptors <= other.descriptors
            && self.threads <= other.threads
    }

    /// How much more of each this is.
    fn above(self, other: Self) -> Self {
        Self {
            memory: self.memory.saturating_sub(other.memory),
            descriptors: self.descriptors.saturating_sub(other.descriptors),
            threads: self.threads.saturating_sub(other.threads),
        }
    }

    fn all(self) -> [u64; 3] {
        [self.memory, self.descriptors, self.threads]
    }

    /// What a process uses now; `None` if it has ended.
    fn of(pid: i32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        // Another user's descriptors can be closed to us: then they are not what a process is replaced for.
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        Some(Self {
            memory: number_of(&status, "VmSize:")?,
            descriptors: u64::try_from(descriptors).unwrap_or(u64::MAX),
            threads: number_of(&status, "Threads:")?,
        })
    }
}

/// How much of the room between what was used first and the limit is used up, in percent.
fn used_up(now: u64, first: u64, limit: u64) -> u64 {
    let room = limit.saturating_sub(first);
    let grown = now.saturating_sub(first);
    match (limit, room) {
        (0, _) => 0,
        (_, 0) => u64::from(grown > 0) * 100,
        _ => grown.saturating_mul(100) / room,
    }
}

/// What a process may use; 0 where there is no limit.
fn limits(settings: &FunctionSettings) -> Usage {
    Usage {
        memory: settings.memory_mib.saturating_mul(1024),
        descriptors: most_descriptors(),
        threads: THREADS,
    }
}

fn most_descriptors() -> u64 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit
        .maximum
        .map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS))
}

/// The number behind a word of `/proc/<pid>/status` and its like.
fn number_of(text: &str, word: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(word))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The memory in KiB that processes and all that descends from them really have. Where that is more than `enough`, pages
/// that several share are counted once, if the kernel tells.
pub(super) fn memory_of_trees(roots: &[i32], enough: u64) -> u64 {
    let mut pids = roots.to_vec();
    let mut next = 0;
    while let Some(pid) = pids.get(next) {
        let children = children_of(*pid);
        pids.extend(children);
        next += 1;
    }
    let resident = |pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        number_of(&status, "VmRSS:")
    };
    let proportional = |pid: &i32| {
        let told = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        number_of(&told, "Pss:")
    };
    let resident_in_all: u64 = pids.iter().filter_map(resident).sum();
    if resident_in_all <= enough {
        return resident_in_all;
    }
    let shares = pids
        .iter()
        .map(|pid| proportional(pid).or_else(|| resident(pid)));
    shares.flatten().sum()
}

fn children_of(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children = children.flat_map(|line| {
        let pids = line.split_whitespace().map(|pid| pid.parse().ok());
        pids.collect::<Vec<Option<i32>>>()
    });
    children.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_one_of_the_room_that_there_was_at_first() {
        for (now, first, limit, expected) in [
            (350, 350, 1024, 0),
            (687, 350, 1024, 50),
            (1024, 350, 1024, 100),
            (300, 350, 1024, 0),
            (900, 100, 0, 0),
            (600, 600, 500, 0),
            (601, 600, 500, 100),
        ] {
            assert_eq!(
                used_up(now, first, limit),
                expected,
                "{now} {first} {limit}"
            );
        }
    }

    #[test]
    fn what_grows_is_looked_at_more_often_than_what_does_not() {
        let usage = |threads| Usage {
            memory: 1000,
            descriptors: 10,
            threads,
        };
        let mut looks = None;
        let mut look = |threads| {
            let next = *looks.insert(Looks::then(looks, usage(threads)));
            (next.first.threads, next.round)
        };
        let rounds = [5, 5, 5, 5, 6, 6, 4, 6].map(&mut look);
        let expected = [16, 32, 64, 64, 16, 32, 64, 16].map(|round| (5, round));
        assert_eq!(rounds, expected);
    }

    #[test]
    fn what_grows_fast_is_looked_at_before_it_is_at_its_limit() {
        let usage = |memory| Usage {
            memory,
            ..Usage::default()
        };
        let limits = usage(1000);
        let mut looks = None;
        let mut memory = 400;
        let mut requests = 0;
        // Each request takes nine of what is left.
        while memory < 950 {
            let seen = *looks.insert(Looks::then(looks, usage(memory)).within(limits));
            requests += seen.round;
            memory += 9 * seen.round;
            assert!(memory < 1000, "{requests} requests: {memory}");
        }
        assert!(requests > 2 * ROUND);
        let calm = Looks::then(looks, usage(memory)).within(usage(0));
        assert_eq!(calm.round, ROUND);
    }

    #[test]
    fn of_requests_that_come_at_once_one_looks() {
        let wear = Wear::new();
        let looks = |requests| (0..4).filter(|_| wear.is_time_to_look(requests)).count();
        assert_eq!(looks(ROUND - 1), 0);
        assert_eq!(looks(ROUND), 1);
        assert_eq!(looks(ROUND + 1), 0);
        wear.put_off();
        assert_eq!(looks(ROUND), 1);
    }

    #[test]
    fn a_process_of_ones_own_can_be_looked_at() {
        let own = i32::try_from(std::process::id()).unwrap();
        let usage = Usage::of(own).unwrap();
        assert!(usage.memory > 1024 && usage.threads > 0 && usage.descriptors > 2);
        assert!(memory_of_trees(&[own], u64::MAX) > 1024);
        assert!(memory_of_trees(&[own], 0) > 1024);
        assert_eq!(Usage::of(i32::MAX), None);
    }
}
