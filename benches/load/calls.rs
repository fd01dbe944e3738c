//! What a call of a function costs by itself, the gateway's half of it and the worker's: nothing of HTTP is in it, and what
//! calls is in the gateway's place. Budgets were set for this.

use std::time::Duration;

use anyhow::Result;

use crate::Options;
use crate::caller::Calls;
use crate::echo;
use crate::gateway::{ASYNC_INLET, INLET, STREAM};
use crate::report::{Cell, Report, Table};

/// How many callers there are where there is more than one.
const MANY: usize = 64;
/// Events that come in one batch.
const BATCH: usize = 32;
/// About as long as a body, and as an event.
const LENGTHS: [usize; 2] = [4096, 256];

/// Calls, and what one may cost.
#[derive(Debug)]
pub(crate) struct Row {
    /// What is called.
    pub(crate) title: &'static str,
    what: What,
}

#[derive(Debug)]
enum What {
    /// A function; a call, or an event, may cost so many microseconds.
    Function(Calls, f64),
    /// A process that sends back what it gets, so many bytes: what any call of another process costs here.
    Echo(usize),
}

/// What is called.
pub(crate) fn rows() -> Vec<Row> {
    let row = |title, function, at_once, events, limit| {
        let calls = Calls {
            function,
            at_once,
            events,
        };
        let what = What::Function(calls, limit);
        Row { title, what }
    };
    let inlet = |title, function, at_once, limit| row(title, function, at_once, None, limit);
    let stream = |title, at_once, events, limit| row(title, STREAM, at_once, Some(events), limit);
    let echo = |title, bytes| Row {
        title,
        what: What::Echo(bytes),
    };
    vec![
        echo("4 KB to a process that sends them back", LENGTHS[0]),
        inlet("call of inlet, 4 KB, one at a time", INLET, 1, 30.0),
        inlet("call of inlet, 4 KB, 64 at a time", INLET, MANY, 20.0),
        inlet(
            "call of async inlet, 4 KB, 64 at a time",
            ASYNC_INLET,
            MANY,
            20.0,
        ),
        echo("256 bytes to a process that sends them back", LENGTHS[1]),
        stream("call of stream, one at a time", 1, 1, 13.0),
        stream("call of stream, 64 at a time", MANY, 1, 4.0),
        stream("event of stream, 32 in each call", MANY, BATCH, 2.5),
    ]
}

/// Runs `rows` and prints what a call or an event costs.
pub(crate) fn print(rows: &[Row], options: &Options, report: &mut Report) {
    let columns = ["least", "median", "rounds"];
    let mut table = Table::new("CPU µs per call, both processes, without HTTP", &columns);
    let mut rounds: Vec<Rounds> = rows.iter().map(|_| Rounds::default()).collect();
    for _ in 0..options.rounds {
        for (row, rounds) in rows.iter().zip(&mut rounds) {
            rounds.add(row.title, row.what.measure(options.window));
        }
    }
    for (row, rounds) in rows.iter().zip(rounds) {
        table.add(row.title, rounds.cells(row.what.limit()));
    }
    report.add(table);
}

impl What {
    fn measure(&self, window: Duration) -> Result<f64> {
        match self {
            Self::Function(calls, _) => calls.measure(window),
            Self::Echo(bytes) => echo::measure(*bytes, window),
        }
    }

    fn limit(&self) -> Option<f64> {
        match self {
            Self::Function(_, limit) => Some(*limit),
            Self::Echo(_) => None,
        }
    }
}

/// What the rounds of a row have said.
#[derive(Default)]
struct Rounds {
    micros: Vec<f64>,
    failed: usize,
}

impl Rounds {
    fn add(&mut self, title: &str, measured: Result<f64>) {
        match measured {
            Ok(micros) => self.micros.push(micros),
            Err(error) => {
                eprintln!("{title}: {error:#}");
                self.failed += 1;
            }
        }
        self.micros.sort_by(f64::total_cmp);
    }

    fn cells(self, limit: Option<f64>) -> Vec<Cell> {
        let count = self.micros.len();
        let at = |place: usize| self.micros.get(place).copied().unwrap_or(f64::NAN);
        let median = f64::midpoint(at(count.saturating_sub(1) / 2), at(count / 2));
        let rounds = match self.failed {
            0 => count.to_string(),
            failed => format!("{count}, {failed} failed"),
        };
        vec![
            Cell::Number(at(0)),
            Cell::limited(median, limit),
            Cell::Text(rounds),
        ]
    }
}
