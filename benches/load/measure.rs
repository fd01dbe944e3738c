//! One window of one load on one peer, and what many of them say.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

use crate::cpu::Family;
use crate::generator::{Load, Running};
use crate::peers::Peer;
use crate::target::Target;
use crate::upstream::Upstream;

/// How long clients may take until each has had the first byte.
const BEGIN_LIMIT: Duration = Duration::from_secs(60);
/// What is not measured at the start of a load.
pub(crate) const WARM_UP: Duration = Duration::from_millis(200);

/// A peer, and the model that is asked of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side<'a> {
    /// The peer.
    pub(crate) peer: &'a Peer,
    /// The model.
    pub(crate) model: &'static str,
}

/// What one window says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// CPU microseconds per unit.
    micros: f64,
    /// Connections that were opened to the model server, per thousand units.
    connections: f64,
}

/// One sample for each round that counted, in order of CPU time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<Sample>);

impl Side<'_> {
    /// Puts `load` on it and, when all clients are at work, calls `work` beside them.
    pub(crate) fn under<T>(
        &self,
        load: Load,
        work: impl FnOnce(&Running) -> Result<T>,
    ) -> Result<T> {
        let running = begin(load, &self.peer.target(self.model))?;
        running.forget_delays();
        let result = work(&running)?;
        running.check()?;
        Ok(result)
    }

    /// What a unit costs in one window.
    pub(crate) fn sample(
        &self,
        load: Load,
        window: Duration,
        upstream: &Upstream,
    ) -> Result<Sample> {
        self.under(load, |running| {
            let family = Family::of(self.peer.pid())?;
            let opened = upstream.accepted();
            let (units, cpu) = (running.units(), family.nanoseconds()?);
            sleep(window);
            let (units_after, cpu_after) = (running.units(), family.nanoseconds()?);
            let (units, cpu) = (units_after - units, cpu_after - cpu);
            let opened = upstream.accepted() - opened;
            if units == 0 {
                bail!("nothing was answered");
            }
            Ok(Sample {
                micros: cpu as f64 / units as f64 / 1000.0,
                connections: opened as f64 * 1000.0 / units as f64,
            })
        })
    }
}

/// Puts `load` on `target` and waits until all clients are at work.
pub(crate) fn begin(load: Load, target: &Target) -> Result<Running> {
    let running = load.start(target)?;
    wait_until_begun(&running, load)?;
    sleep(WARM_UP);
    Ok(running)
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
    pub(crate) fn push(&mut self, sample: Sample) {
        self.0.push(sample);
        self.0
            .sort_by(|one, other| one.micros.total_cmp(&other.micros));
    }

    /// How many rounds counted.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The least, which noise from beside has touched least.
    pub(crate) fn min(&self) -> f64 {
        self.at(0)
    }

    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        let (low, high) = (self.0.len().saturating_sub(1) / 2, self.0.len() / 2);
        f64::midpoint(self.at(low), self.at(high))
    }

    /// Connections opened per thousand units, at most.
    pub(crate) fn connections(&self) -> f64 {
        let opened = self.0.iter().map(|sample| sample.connections);
        opened.fold(f64::NAN, f64::max)
    }

    fn at(&self, index: usize) -> f64 {
        self.0.get(index).map_or(f64::NAN, |sample| sample.micros)
    }
}
