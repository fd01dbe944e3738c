//! The equal members of one upstream: who gets the next request, and who is left out for a while.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use pingora_ketama::{Bucket, Continuum, DEFAULT_POINT_MULTIPLE};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::{info, warn};

use super::base::Base;

/// When a member is full and when it is ejected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Requests that one member serves at a time; 0 is no limit.
    pub(super) max_in_flight: usize,
    /// Failures in a row after which a member is ejected; 0 is never.
    pub(super) eject_failures: u32,
    /// How long it is left out before one request tries it again.
    pub(super) eject: Duration,
}

/// The members of one upstream. Shared by all data threads and the health check, hence the atomics.
#[derive(Debug)]
pub(super) struct Group {
    name: String,
    members: Vec<Member>,
    ring: Option<Ring>,
    rules: Rules,
    epoch: Instant,
    dice: AtomicU64,
}

#[derive(Debug)]
struct Member {
    base: Base,
    in_flight: AtomicUsize,
    failures: AtomicU32,
    /// Milliseconds since the group's epoch; 0 is not ejected.
    ejected_until: AtomicU64,
}

impl Group {
    /// Whether a conversation stays on one member.
    pub(super) fn keeps_conversations(&self) -> bool {
        self.ring.is_some()
    }

    /// The group of an upstream called `name`; `affinity` keeps a conversation on one member.
    pub(super) fn new(name: &str, bases: Vec<Base>, affinity: bool, rules: Rules) -> Self {
        let ring = (affinity && bases.len() > 1).then(|| Ring::new(&bases));
        Self {
            name: name.to_owned(),
            members: bases.into_iter().map(Member::new).collect(),
            ring,
            rules,
            epoch: Instant::now(),
            dice: AtomicU64::new(0),
        }
    }

    /// The upstream's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How many members there are.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// The members' addresses, those that answered last first.
    pub(super) fn bases(&self) -> Vec<&Base> {
        let mut bases: Vec<_> = self.members.iter().collect();
        bases.sort_by_key(|member| member.failures.load(Ordering::Relaxed));
        bases.into_iter().map(|member| &member.base).collect()
    }

    /// The address of one member.
    pub(super) fn base(&self, index: usize) -> &Base {
        &self.members[index].base
    }

    /// A place at a member: the conversation's own or the less loaded of two, never `except`.
    /// Ejected members come last, for when nobody else is left the attempt costs nothing.
    /// `None` when all are full.
    pub(super) fn lease(
        self: &Arc<Self>,
        conversation: Option<u64>,
        except: Option<usize>,
    ) -> Option<Lease> {
        if self.members.len() == 1 {
            return except.is_none().then(|| self.place_at(0)).flatten();
        }
        let mut order = self.order(conversation);
        order.retain(|index| Some(*index) != except);
        let admitted = order.iter().find_map(|&index| {
            self.place_at(index)
                .filter(|lease| self.admits(lease.index))
        });
        admitted.or_else(|| order.iter().find_map(|&index| self.place_at(index)))
    }

    fn order(&self, conversation: Option<u64>) -> Vec<usize> {
        match (&self.ring, conversation) {
            (Some(ring), Some(conversation)) => ring.order(conversation),
            _ => self.order_by_load(),
        }
    }

    /// The lighter of two drawn members, the other, then the rest: close to the least loaded
    /// without all threads running to the same one. On a tie the first drawn wins.
    fn order_by_load(&self) -> Vec<usize> {
        let count = self.members.len();
        let mut order: Vec<_> = (0..count).collect();
        if count > 1 {
            order.rotate_left(self.roll(count));
            order[1..].rotate_left(self.roll(count - 1));
            if self.load(order[1]) < self.load(order[0]) {
                order.swap(0, 1);
            }
        }
        order
    }

    fn load(&self, index: usize) -> usize {
        self.members[index].in_flight.load(Ordering::Relaxed)
    }

    /// A number below `sides`: splitmix64 over a shared counter, so that threads draw apart without
    /// a lock.
    fn roll(&self, sides: usize) -> usize {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut drawn = self.dice.fetch_add(STEP, Ordering::Relaxed);
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((drawn ^ (drawn >> 31)) % sides as u64) as usize
    }

    /// Counted exactly, not by an estimating sketch: with a limit of one, one too many is twice the
    /// limit.
    fn place_at(self: &Arc<Self>, index: usize) -> Option<Lease> {
        let limit = match self.rules.max_in_flight {
            0 => usize::MAX,
            limit => limit,
        };
        let in_flight = &self.members[index].in_flight;
        let count_up = |count| (count < limit).then_some(count + 1);
        in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, count_up)
            .ok()?;
        Some(Lease {
            group: Arc::clone(self),
            index,
            failed: false,
        })
    }

    /// Whether a member may be used: not ejected, or this is the one request that tries it again.
    fn admits(&self, index: usize) -> bool {
        let ejected_until = &self.members[index].ejected_until;
        let until = ejected_until.load(Ordering::Relaxed);
        let next = self.eject_time();
        let is_over = until <= self.now();
        until == 0
            || is_over
                && ejected_until
                    .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
    }

    /// Whether a member is left out at present.
    pub(super) fn is_ejected(&self, index: usize) -> bool {
        self.members[index].ejected_until.load(Ordering::Relaxed) != 0
    }

    /// A member failed. The only member of its upstream is never ejected: there is nobody else to
    /// ask.
    pub(super) fn failed(&self, index: usize) {
        let member = &self.members[index];
        let failures = member
            .failures
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        let limit = self.rules.eject_failures;
        if limit == 0 || failures < limit || self.len() < 2 {
            return;
        }
        let before = member
            .ejected_until
            .swap(self.eject_time(), Ordering::Relaxed);
        if before == 0 {
            warn!(upstream = %self.name, member = index, "Upstream member ejected");
        }
    }

    /// A member answered to the end.
    pub(super) fn succeeded(&self, index: usize) {
        let member = &self.members[index];
        if member.failures.load(Ordering::Relaxed) == 0 {
            return;
        }
        member.failures.store(0, Ordering::Relaxed);
        if member.ejected_until.swap(0, Ordering::Relaxed) != 0 {
            info!(upstream = %self.name, member = index, "Upstream member is back");
        }
    }

    fn now(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64
    }

    fn eject_time(&self) -> u64 {
        self.now()
            .saturating_add(self.rules.eject.as_millis() as u64)
            .max(1)
    }
}

impl Member {
    fn new(base: Base) -> Self {
        Self {
            base,
            in_flight: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
        }
    }
}

/// A place at a member, held until the answer's body is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    group: Arc<Group>,
    index: usize,
    failed: bool,
}

impl Lease {
    /// Which member it is.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// The member's address.
    pub(super) fn base(&self) -> &Base {
        self.group.base(self.index)
    }

    /// The name of the upstream.
    pub(super) fn upstream_name(&self) -> &str {
        self.group.name()
    }

    /// The member failed this request; counts once.
    pub(super) fn fail(&mut self) {
        if !self.failed {
            self.failed = true;
            self.group.failed(self.index);
        }
    }

    /// The member answered to the end, unless it has failed already.
    pub(super) fn succeed(&mut self) {
        if !self.failed {
            self.group.succeeded(self.index);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.group.members[self.index]
            .in_flight
            .fetch_sub(1, Ordering::Relaxed);
    }
}

/// Consistent hashing of conversations, so that a member keeps the prompts it has cached when
/// others come or go.
struct Ring {
    continuum: Continuum,
    nodes: Vec<SocketAddr>,
}

impl Ring {
    fn new(bases: &[Base]) -> Self {
        let nodes: Vec<_> = bases.iter().map(node_of).collect();
        let buckets: Vec<_> = nodes.iter().map(|node| Bucket::new(*node, 1)).collect();
        Self {
            continuum: Continuum::new(&buckets),
            nodes,
        }
    }

    /// All members, the conversation's own first. Its iterator never ends, hence the bound.
    fn order(&self, conversation: u64) -> Vec<usize> {
        let count = self.nodes.len();
        let points = count * DEFAULT_POINT_MULTIPLE as usize;
        let mut order = Vec::with_capacity(count);
        for node in self
            .continuum
            .node_iter(&conversation.to_be_bytes())
            .take(points)
        {
            let index = self.nodes.iter().position(|known| known == node);
            order.extend(index.filter(|index| !order.contains(index)));
            if order.len() == count {
                break;
            }
        }
        order
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("nodes", &self.nodes).finish()
    }
}

/// The ring names its nodes by socket address, ours have URLs: the address is a hash of the URL,
/// the same in every process, whatever the order of the members.
fn node_of(base: &Base) -> SocketAddr {
    let digest = Sha256::digest(base.to_string().as_bytes());
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    SocketAddr::new(IpAddr::V6(Ipv6Addr::from(half)), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(count: usize, affinity: bool, max_in_flight: usize) -> Arc<Group> {
        let bases = (0..count)
            .map(|index| Base::parse(&format!("http://member-{index}.test/v1")).unwrap())
            .collect();
        let rules = Rules {
            max_in_flight,
            eject_failures: 2,
            eject: Duration::from_secs(10),
        };
        Arc::new(Group::new("pool", bases, affinity, rules))
    }

    fn eject(group: &Group, index: usize) {
        group.failed(index);
        group.failed(index);
    }

    #[test]
    fn a_full_group_gives_no_place_until_one_is_dropped() {
        let group = group(2, false, 1);
        let first = group.lease(None, None).unwrap();
        let second = group.lease(None, None).unwrap();
        assert_ne!(first.index(), second.index());
        assert!(group.lease(None, None).is_none());
        drop(first);
        assert!(group.lease(None, None).is_some());
        drop(second);
    }

    #[test]
    fn load_spreads_over_all_members() {
        let group = group(4, false, 0);
        let leases: Vec<_> = (0..400).map(|_| group.lease(None, None).unwrap()).collect();
        for index in 0..4 {
            let share = leases.iter().filter(|lease| lease.index() == index).count();
            assert!((80..=120).contains(&share), "member {index} has {share}");
        }
    }

    #[test]
    fn ties_do_not_always_go_to_the_same_member() {
        let group = group(3, false, 0);
        let mut seen = [0; 3];
        for _ in 0..300 {
            seen[group.lease(None, None).unwrap().index()] += 1;
        }
        assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
    }

    #[test]
    fn a_conversation_stays_on_its_member_and_moves_only_when_it_is_full() {
        let group = group(5, true, 1);
        let own = group.lease(Some(77), None).unwrap();
        let next = group.lease(Some(77), None).unwrap();
        let (home, fallback) = (own.index(), next.index());
        assert_ne!(home, fallback);
        drop((own, next));
        assert_eq!(group.lease(Some(77), None).unwrap().index(), home);
        assert_eq!(group.lease(Some(77), Some(home)).unwrap().index(), fallback);
    }

    #[test]
    fn few_conversations_move_when_a_member_is_added() {
        let (four, five) = (group(4, true, 0), group(5, true, 0));
        let moved = (0..1000).filter(|key| {
            let place = |group: &Arc<Group>| group.lease(Some(*key), None).unwrap().index();
            place(&four) != place(&five)
        });
        let moved = moved.count();
        assert!((100..350).contains(&moved), "{moved} of 1000 moved");
    }

    #[tokio::test(start_paused = true)]
    async fn an_ejected_member_is_tried_once_after_its_time_and_comes_back() {
        let group = group(2, false, 0);
        eject(&group, 0);
        for _ in 0..50 {
            assert_eq!(group.lease(None, None).unwrap().index(), 1);
        }
        tokio::time::advance(Duration::from_secs(11)).await;
        let mut trial = (0..50)
            .map(|_| group.lease(None, None).unwrap())
            .filter(|lease| lease.index() == 0)
            .collect::<Vec<_>>();
        assert_eq!(trial.len(), 1);
        trial[0].succeed();
        assert!(!group.is_ejected(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_trial_ejects_again() {
        let group = group(2, false, 0);
        eject(&group, 0);
        tokio::time::advance(Duration::from_secs(11)).await;
        let mut trial = (0..50)
            .map(|_| group.lease(None, None).unwrap())
            .find(|lease| lease.index() == 0)
            .unwrap();
        trial.fail();
        tokio::time::advance(Duration::from_secs(5)).await;
        for _ in 0..50 {
            assert_eq!(group.lease(None, None).unwrap().index(), 1);
        }
    }

    #[test]
    fn with_everybody_ejected_somebody_is_still_asked() {
        let group = group(2, false, 0);
        eject(&group, 0);
        eject(&group, 1);
        assert!(group.lease(None, None).is_some());
    }

    #[test]
    fn the_only_member_is_never_ejected() {
        let group = group(1, false, 0);
        eject(&group, 0);
        assert!(!group.is_ejected(0));
    }

    #[test]
    fn a_request_counts_one_failure_however_often_it_is_told() {
        let group = group(2, false, 0);
        let mut lease = group.lease(None, Some(1)).unwrap();
        lease.fail();
        lease.fail();
        lease.succeed();
        assert_eq!(group.members[0].failures.load(Ordering::Relaxed), 1);
    }
}
