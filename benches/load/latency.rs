//! What a client waits, under a load that leaves time over: answers at a fixed rate, counted from when they were due, and
//! streams of events at the pace of reading. The floor is the model server without anybody in between.

use std::thread::sleep;

use anyhow::{Context, Result};

use crate::Options;
use crate::field::Field;
use crate::gateway::{HANG, PLAIN};
use crate::generator::{Answers, Delays, Load};
use crate::measure::begin;
use crate::report::{Cell, Report, Table};
use crate::rows::{load, paced};
use crate::target::Target;

/// Requests a second; a fifth of what the slowest of nginx, hyper and the gateway can on two cores.
const RATE: u32 = 1000;
/// Windows that are one: percentiles want many events.
const WINDOWS: u32 = 3;
/// Calls that hang while others are measured.
const HANGING: usize = 64;

/// One load on everybody.
#[derive(Debug)]
pub(crate) struct Timed {
    /// What is measured.
    pub(crate) title: &'static str,
    load: Load,
    targets: Vec<(&'static str, Target)>,
    /// Where calls hang meanwhile.
    hanging: Option<Target>,
}

/// Median and 99th percentile, in microseconds.
type Pair = (u64, u64);

/// Everybody, and the gateway once more while a filter hangs.
pub(crate) fn rows(field: &Field) -> Vec<Timed> {
    let floor = ("nobody", Target::open(field.upstream.addr, PLAIN));
    let peers = field.passers().map(|peer| (peer.name, peer.target(PLAIN)));
    let all: Vec<_> = [floor].into_iter().chain(peers).collect();
    let unary = Load {
        rate: Some(RATE),
        ..load(64, 1200, Answers::Whole)
    };
    let row = |title, load, targets, hanging| Timed {
        title,
        load,
        targets,
        hanging,
    };
    let mut rows = vec![
        row("unary, 1,000 a second", unary, all.clone(), None),
        row(
            "256 streams, 20 ms apart",
            load(256, 1200, paced()),
            all,
            None,
        ),
    ];
    if let Some(python) = &field.python {
        let target = vec![("sluicegate", python.target(PLAIN))];
        let streams = load(64, 1200, paced());
        rows.push(row("64 streams", streams, target.clone(), None));
        rows.push(row(
            "64 streams beside 64 calls that hang",
            streams,
            target,
            Some(python.target(HANG)),
        ));
    }
    rows
}

/// Runs `rows` and prints what they waited.
pub(crate) fn print(rows: &[Timed], options: &Options, report: &mut Report) {
    let columns = [
        "passed on by",
        "whole answer or event, µs",
        "first event, µs",
    ];
    let mut table = Table::new("waiting, median / 99th percentile", &columns);
    for row in rows {
        for (name, target) in &row.targets {
            let cells = match row.measure(target, options) {
                Ok((each, first)) => vec![pair(Some(each)), pair(first)],
                Err(error) => vec![Cell::Text(format!("{error:#}")), Cell::Nothing],
            };
            let name = Cell::Text((*name).to_owned());
            table.add(row.title, [name].into_iter().chain(cells).collect());
        }
    }
    report.add(table);
}

fn pair(pair: Option<Pair>) -> Cell {
    pair.map_or(Cell::Nothing, |(median, last)| {
        Cell::Text(format!("{median} / {last}"))
    })
}

impl Timed {
    fn measure(&self, target: &Target, options: &Options) -> Result<(Pair, Option<Pair>)> {
        let hanging = load(HANGING, 1200, Answers::Whole);
        let _hanging = self
            .hanging
            .as_ref()
            .map(|target| hanging.start(target))
            .transpose()?;
        let running = begin(self.load, target)?;
        let (_, mut first) = running.take_delays();
        sleep(options.window * WINDOWS);
        let (mut each, _) = running.take_delays();
        running.check()?;
        let percentiles =
            |delays: &mut Delays| Some((delays.percentile(0.5)?, delays.percentile(0.99)?));
        let each = percentiles(&mut each).context("nothing was answered")?;
        Ok((each, percentiles(&mut first)))
    }
}
