//! Looks at memory again and again, and takes the steps.

use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::gauge::{Bound, Gauge, Reading};
use super::slack::Slack;
use super::{Level, Pressure};
use crate::telemetry::metrics;

/// How often memory is looked at while there is enough.
const CALM: Duration = Duration::from_millis(100);
/// How often when half of it is used: bodies come in at a gigabyte a second.
const ALERT: Duration = Duration::from_millis(20);
const ALERT_THOUSANDTHS: u64 = 500;
/// What the allocator holds is asked for again after this time.
const BETWEEN_TRIMS: Duration = Duration::from_secs(1);
/// How long letting readers go takes to show.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(100);

/// A reader that took something within this time is not slow.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same when next to nothing is left.
const LAST_PATIENCE: Duration = Duration::from_millis(50);
const LAST_THOUSANDTHS: u64 = 950;

/// What the watch remembers from one look to the next.
#[derive(Debug)]
struct Watch {
    pressure: Pressure,
    gauge: Gauge,
    slack: Slack,
    level: Level,
    trimmed: Option<Instant>,
    trimming: Option<JoinHandle<()>>,
    let_go: Option<Instant>,
    /// How many readers were let go since the level was critical.
    gone: u64,
}

impl Pressure {
    /// Watches memory for ever, by this bound. Ends where the kernel does not say what is used.
    pub async fn watch(self, bound: Bound) {
        let mut watch = Watch {
            pressure: self,
            gauge: Gauge::new(bound),
            slack: Slack::default(),
            level: Level::default(),
            trimmed: None,
            trimming: None,
            let_go: None,
            gone: 0,
        };
        loop {
            match watch.look() {
                Ok(reading) => sleep(pause_after(&reading)).await,
                Err(error) => return warn!(%error, "memory is not watched"),
            }
        }
    }
}

fn pause_after(reading: &Reading) -> Duration {
    if reading.thousandths() < ALERT_THOUSANDTHS {
        CALM
    } else {
        ALERT
    }
}

impl Watch {
    fn look(&mut self) -> std::io::Result<Reading> {
        let reading = self.gauge.read()?;
        self.slack.look();
        let next = self.level.next(reading.thousandths());
        if next >= Level::Tight && !self.is_trimming() && is_due(&mut self.trimmed, BETWEEN_TRIMS) {
            // Not waited for: it takes the allocator's locks one by one, and memory fills meanwhile.
            self.trimming = Some(spawn_blocking(heap::trim));
        }
        metrics::set_memory(reading.used_bytes, reading.resident_bytes);
        self.step(next, &reading);
        if self.level == Level::Critical
            && self.shows_last_round()
            && is_due(&mut self.let_go, BETWEEN_ROUNDS)
        {
            self.let_readers_go(&reading);
        }
        Ok(reading)
    }

    fn is_trimming(&self) -> bool {
        let trimming = self.trimming.as_ref();
        trimming.is_some_and(|trimming| !trimming.is_finished())
    }

    /// Whether what those held who were let go last is used no longer: they have left, and it was given back. Until then
    /// as many again would go for nothing.
    fn shows_last_round(&mut self) -> bool {
        if self.pressure.readers.are_leaving() {
            self.trimmed = None;
            return false;
        }
        !self.is_trimming()
    }

    fn step(&mut self, level: Level, reading: &Reading) {
        if level == self.level {
            return;
        }
        let used_mib = reading.used_bytes >> 20;
        let left_mib = reading.left_bytes >> 20;
        match level {
            Level::Ample => info!(used_mib, left_mib, "memory is ample again"),
            Level::Tight if self.level > level => {
                info!(
                    used_mib,
                    left_mib, "memory is tight, new chats are taken again"
                );
            }
            Level::Tight => info!(
                used_mib,
                left_mib, "memory is tight, unused memory is given back"
            ),
            Level::Short if self.level > level => {
                info!(
                    used_mib,
                    left_mib, "memory is short, readers are kept again"
                );
            }
            Level::Short => warn!(used_mib, left_mib, "memory is short, new chats are refused"),
            Level::Critical => {
                warn!(
                    used_mib,
                    left_mib, "memory is critical, the slowest readers are let go"
                );
            }
        }
        if self.level == Level::Critical {
            warn!(
                readers = std::mem::take(&mut self.gone),
                "slow readers were let go"
            );
        }
        self.level = level;
        metrics::set_memory_level(level as i64);
        self.pressure.set_level(level);
    }

    fn let_readers_go(&mut self, reading: &Reading) {
        let excess = reading.excess_bytes(Level::Critical.ends_below());
        let patience = if reading.thousandths() < LAST_THOUSANDTHS {
            PATIENCE
        } else {
            LAST_PATIENCE
        };
        let count = self.pressure.readers.let_go(excess, patience);
        if count > 0 {
            // What they held is free then, and is used as far as anybody can see until it is given back.
            self.trimmed = None;
        }
        self.gone += count;
        metrics::readers_let_go(count);
    }
}

/// Whether something was not done for this long; then it is now.
pub(super) fn is_due(last: &mut Option<Instant>, pause: Duration) -> bool {
    let is_due = last.is_none_or(|last| last.elapsed() >= pause);
    if is_due {
        *last = Some(Instant::now());
    }
    is_due
}
