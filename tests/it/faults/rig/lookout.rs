//! Somebody who looks on during a fault: how much memory the gateway has for itself, how far the streams beside it are
//! behind, and whether an operator gets through.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::neighbours::Backlog;
use crate::support::{Client, Process, TestGateway};

const LOOK: Duration = Duration::from_millis(10);
/// How often an operator asks.
const ROUND: Duration = Duration::from_millis(100);

/// Looks on until it is dropped.
#[derive(Debug)]
pub(crate) struct Lookout {
    most: Arc<Most>,
    is_over: Arc<AtomicBool>,
    /// How often each was answered.
    operators: JoinSet<usize>,
}

#[derive(Debug, Default)]
struct Most {
    kib: AtomicU64,
    behind: AtomicUsize,
}

impl Lookout {
    pub(super) fn over(gateway: &TestGateway, backlog: Backlog) -> Self {
        let mut lookout = Self {
            most: Arc::default(),
            is_over: Arc::default(),
            operators: JoinSet::new(),
        };
        let (most, is_over) = (Arc::clone(&lookout.most), Arc::clone(&lookout.is_over));
        let process = gateway.process();
        // A thread of its own: the runtime of a test is as busy as its flood.
        std::thread::spawn(move || look(process, &backlog, &most, &is_over));
        for (client, path) in [
            (gateway.stranger(), "/healthz"),
            (gateway.admin(), "/api/v1/functions/list"),
        ] {
            let is_over = Arc::clone(&lookout.is_over);
            lookout.operators.spawn(ask(client, path, is_over));
        }
        lookout
    }

    /// The most memory that was seen.
    pub(crate) fn most_mib(&self) -> u64 {
        self.most.kib.load(Ordering::Relaxed) >> 10
    }

    /// The most events by which the streams beside the fault were behind.
    pub(crate) fn most_behind(&self) -> usize {
        self.most.behind.load(Ordering::Relaxed)
    }

    /// Ends it: health and management have answered each time, and so often.
    pub(crate) async fn end(mut self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        let operators = std::mem::take(&mut self.operators);
        operators.join_all().await.into_iter().sum()
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn look(process: Process, backlog: &Backlog, most: &Most, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        most.kib
            .fetch_max(process.anonymous_kib(), Ordering::Relaxed);
        most.behind.fetch_max(backlog.events(), Ordering::Relaxed);
        std::thread::sleep(LOOK);
    }
}

async fn ask(client: Client, path: &'static str, is_over: Arc<AtomicBool>) -> usize {
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        client.get(path).await.expect(200);
        count += 1;
        sleep(ROUND).await;
    }
    count
}
