//! One window of one load on one peer, and what many of them say.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

use crate::cpu::Family;
use crate::generator::{Load, Running};
use crate::peers::Peer;

/// How long clients may take until each has had the first byte.
const BEGIN_LIMIT: Duration = Duration::from_secs(10);
const WARM_UP: Duration = Duration::from_millis(200);

/// A peer, and the model that is asked of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side<'a> {
    /// The peer.
    pub(crate) peer: &'a Peer,
    /// The model.
    pub(crate) model: &'static str,
}

/// CPU microseconds per unit, one for each round that counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Side<'_> {
    /// Puts `load` on it and, when all clients are at work, calls `work` beside them.
    pub(crate) fn under<T>(
        &self,
        load: Load,
        work: impl FnOnce(&Running) -> Result<T>,
    ) -> Result<T> {
        let running = load.start(self.peer.addr, self.model)?;
        wait_until_begun(&running, load)?;
        sleep(WARM_UP);
        let result = work(&running)?;
        running.check()?;
        Ok(result)
    }

    /// CPU microseconds per unit in one window.
    pub(crate) fn sample(&self, load: Load, window: Duration) -> Result<f64> {
        self.under(load, |running| {
            let family = Family::of(self.peer.pid())?;
            let (units, cpu) = (running.units(), family.nanoseconds()?);
            sleep(window);
            let (units_after, cpu_after) = (running.units(), family.nanoseconds()?);
            let (units, cpu) = (units_after - units, cpu_after - cpu);
            if units == 0 {
                bail!("nothing was answered");
            }
            Ok(cpu as f64 / units as f64 / 1000.0)
        })
    }
}

fn wait_until_begun(running: &Running, load: Load) -> Result<()> {
    let begun = Instant::now();
    while running.begun() < load.connections as u64 {
        running.check()?;
        if begun.elapsed() > BEGIN_LIMIT {
            bail!(
                "only {} of {} clients got an answer",
                running.begun(),
                load.connections
            );
        }
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

impl Samples {
    /// Adds a round.
    pub(crate) fn push(&mut self, micros: f64) {
        self.0.push(micros);
        self.0.sort_by(f64::total_cmp);
    }

    /// How many rounds counted.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The least, which noise from beside has touched least.
    pub(crate) fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        let (low, high) = (self.0.len().saturating_sub(1) / 2, self.0.len() / 2);
        let at = |index: usize| self.0.get(index).copied().unwrap_or(f64::NAN);
        f64::midpoint(at(low), at(high))
    }
}
