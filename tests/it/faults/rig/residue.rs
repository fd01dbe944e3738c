//! What a gateway holds: after a fault it must be what it was before.

use std::time::Duration;

use tokio::time::timeout;

use crate::support::{TestGateway, eventually};

/// How much more memory the allocator may keep after a fault.
pub(in crate::faults) const SLACK_KIB: u64 = 16 * 1024;
/// How long what is left over may take to go.
const SETTLED_WITHIN: Duration = Duration::from_secs(15);
/// Descriptors that come and go by themselves: timers, looks at files.
const SLACK_DESCRIPTORS: usize = 2;

/// What a gateway holds at one moment, the connections to model servers aside: those are kept for the next requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Residue {
    pub(super) descriptors: usize,
    pub(super) processes: usize,
    pub(super) files: usize,
    pub(super) rss_kib: u64,
}

impl Residue {
    /// What `gateway` holds now, with so many connections to model servers.
    pub(super) fn of(gateway: &TestGateway, connections: usize) -> Self {
        let process = gateway.process();
        Self {
            descriptors: process.descriptors().saturating_sub(connections),
            processes: process.descendants().len(),
            files: std::fs::read_dir(gateway.data_dir()).unwrap().count(),
            rss_kib: process.rss_kib(),
        }
    }

    /// Waits until `gateway` holds what it did, or fails with the difference.
    pub(super) async fn comes_back(
        self,
        row: &str,
        gateway: &TestGateway,
        connections: impl Fn() -> usize,
        slack_kib: u64,
    ) {
        let mut last = self;
        let look = async || {
            last = Self::of(gateway, connections());
            last.is_near(self, slack_kib).then_some(())
        };
        let _ = timeout(SETTLED_WITHIN, eventually(2 * SETTLED_WITHIN, row, look)).await;
        assert!(
            last.is_near(self, slack_kib),
            "{row}: {self:?} before, {last:?} after"
        );
    }

    fn is_near(self, before: Self, slack_kib: u64) -> bool {
        self.descriptors <= before.descriptors + SLACK_DESCRIPTORS
            && self.processes <= before.processes
            && self.files <= before.files
            && self.rss_kib <= before.rss_kib + slack_kib
    }
}
