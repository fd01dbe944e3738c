//! What an idle stream costs in memory: many streams have had their first event and wait for the next, and what the
//! peer's processes hold is compared with what they held before.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Options;
use crate::cpu::Family;
use crate::field::Field;
use crate::gateway::{PLAIN, STREAM};
use crate::generator::{Answers, Load};
use crate::measure::Side;
use crate::report::{Cell, Report, Table};
use crate::upstream::Wish;

/// What a stream is like: one event, and nothing for longer than the measuring takes.
const SILENT: Answers = Answers::Events(Wish::new(u64::MAX, 3_600_000_000));
/// Each stream has two descriptors here, the client's and the model server's, and two at the peer.
const DESCRIPTORS_BESIDE: u64 = 500;
/// How long memory may take to stand still.
const SETTLE: Duration = Duration::from_secs(2);

/// A peer's memory per idle stream.
#[derive(Debug)]
pub(crate) struct Idle<'a> {
    /// What is measured.
    pub(crate) title: &'static str,
    /// Which peer and model.
    pub(crate) side: Side<'a>,
    /// What is allowed, in KiB.
    pub(crate) budget_kib: Option<f64>,
}

impl Idle<'_> {
    /// KiB per stream of so many, in all processes of the peer.
    pub(crate) fn kib_per_stream(&self, streams: usize) -> Result<f64> {
        self.warm_up()?;
        let family = Family::of(self.side.peer.pid())?;
        let before = private_kib(&family)?;
        let load = Load {
            connections: streams,
            request_bytes: 1200,
            answers: SILENT,
            rate: None,
        };
        self.side.under(load, |_| {
            sleep(SETTLE);
            let now = private_kib(&family)?;
            Ok(now.saturating_sub(before) as f64 / streams as f64)
        })
    }

    /// What the first requests of a process need once is no part of a stream.
    fn warm_up(&self) -> Result<()> {
        let load = Load {
            connections: 16,
            request_bytes: 1200,
            answers: SILENT,
            rate: None,
        };
        self.side.under(load, |_| Ok(()))?;
        sleep(SETTLE);
        Ok(())
    }

    fn line(&self, streams: usize) -> Vec<Cell> {
        let budget = self.budget_kib.map_or(Cell::Nothing, Cell::AtMost);
        let kib = match self.kib_per_stream(streams) {
            Ok(kib) => Cell::Number(kib),
            Err(error) => Cell::Text(format!("{error:#}")),
        };
        vec![Cell::Number(streams as f64), kib, budget]
    }
}

/// Streams that wait, at everybody whose memory has a goal.
pub(crate) fn rows(field: &Field) -> Vec<Idle<'_>> {
    let of = |title, peer, model, budget_kib| Idle {
        title,
        side: Side { peer, model },
        budget_kib,
    };
    let mut rows = vec![
        of("idle stream of nginx", &field.nginx, PLAIN, None),
        of("idle stream of bare hyper", &field.bare, PLAIN, None),
        of("idle stream", &field.gateway, PLAIN, Some(36.0)),
    ];
    let python = field.python.as_ref();
    rows.extend(python.map(|peer| of("idle stream, Python stream", peer, STREAM, None)));
    rows
}

/// Measures all with as many streams as `options` name. One number at a time: what the allocator keeps of one load would be
/// taken for what the next one costs.
pub(crate) fn print(rows: &[Idle<'_>], options: &Options, report: &mut Report) {
    if rows.is_empty() {
        return;
    }
    let mut table = Table::new("KiB of memory per stream", &["streams", "KiB", "budget"]);
    for row in rows {
        table.add(row.title, row.line(options.streams));
    }
    report.add(table);
}

/// Lets this process and those that it starts open as much as `streams` need.
pub(crate) fn allow_descriptors(streams: usize) -> Result<()> {
    let needed = 2 * streams as u64 + DESCRIPTORS_BESIDE;
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        bail!("{streams} streams need {needed} descriptors: raise `ulimit -Hn`");
    }
    let raised = Rlimit {
        current: limit.maximum.or(Some(needed)),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).context("the limit on descriptors cannot be raised")
}

/// The anonymous memory of all processes, which they share with nobody but those that they were forked from.
fn private_kib(family: &Family) -> Result<u64> {
    family.pids().iter().map(|pid| private_kib_of(*pid)).sum()
}

fn private_kib_of(pid: u32) -> Result<u64> {
    let smaps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .with_context(|| format!("the memory of process {pid} cannot be read"))?;
    let of = |name: &str| {
        let line = smaps.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        number.with_context(|| format!("smaps_rollup has no `{name}`"))
    };
    Ok(of("Private_Dirty:")? + of("Private_Clean:")?)
}
