//! What happens when memory runs short, step by step: what is held for later is given back, new chats are refused, the
//! readers that hold the most for the longest are let go, and streams that are being held back end. Management, health and what is under way go on.

mod gauge;
mod group;
mod readers;
mod slack;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch as channel;

pub use self::gauge::Bound;
pub(super) use self::readers::{Place, Readers};
use crate::error::{Error, Kind};

/// When a client whose chat was refused may come back.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// How short memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// There is enough.
    #[default]
    Ample,
    /// What is held for later is given back.
    Tight,
    /// New chats are refused as well.
    Short,
    /// The slowest readers are let go as well.
    Critical,
}

/// The state of memory, which requests and connections look at. Clones share it; one that nobody watches is ample.
#[derive(Clone, Debug, Default)]
pub struct Pressure {
    level: Arc<channel::Sender<Level>>,
    is_critical: Arc<channel::Sender<bool>>,
    readers: Readers,
}

impl Level {
    const RISING: [Self; 3] = [Self::Tight, Self::Short, Self::Critical];

    /// The thousandths of the bound from which it is this level.
    const fn begins_at(self) -> u64 {
        match self {
            Self::Ample => 0,
            Self::Tight => 700,
            Self::Short => 800,
            Self::Critical => 900,
        }
    }

    /// The thousandths below which it is this level no longer: lower, so that one step is not taken again and again.
    const fn ends_below(self) -> u64 {
        self.begins_at().saturating_sub(100)
    }

    /// The level after this one, when so many thousandths of the bound are used.
    fn next(self, used: u64) -> Self {
        let holds = |level: &Self| {
            let from = if *level <= self {
                level.ends_below()
            } else {
                level.begins_at()
            };
            used >= from
        };
        let reached = Self::RISING.into_iter().take_while(holds).last();
        reached.unwrap_or_default()
    }
}

impl Pressure {
    pub(super) fn readers(&self) -> &Readers {
        &self.readers
    }

    /// Whether no new chat may come in.
    pub(super) fn is_short(&self) -> bool {
        *self.level.borrow() >= Level::Short
    }

    /// Resolves when no new chat may come in. Cancel safe: nothing is taken.
    pub(super) async fn shortage(&self) {
        let mut level = self.level.subscribe();
        if level
            .wait_for(|level| *level >= Level::Short)
            .await
            .is_err()
        {
            // The sender is in `self`.
            std::future::pending::<()>().await;
        }
    }

    /// True while memory is critical.
    #[must_use]
    pub fn crisis(&self) -> channel::Receiver<bool> {
        self.is_critical.subscribe()
    }

    fn set_level(&self, level: Level) {
        self.level.send_replace(level);
        self.is_critical.send_replace(level == Level::Critical);
    }

    /// The refusal of a chat.
    pub(super) fn refusal() -> Error {
        let message = "the gateway is short of memory; try again";
        Error::new(Kind::Overloaded, message).with_retry_after(RETRY_AFTER)
    }
}
