//! Load runs side by side: the gateway, a bare hyper pass-through and other proxies pass the same load to the same model
//! server, in turns. `cargo bench --bench load` runs them; `--quick` is a short look.
//!
//! What is compared is CPU time per unit: it comes from the scheduler, for all threads and worker processes of a peer,
//! and the rounds of the sides alternate. Time of day is told apart from it, under a load that leaves cores idle. Memory
//! and starts are measured at the end.

mod bare;
mod caller;
mod calls;
mod changes;
mod conditions;
mod cpu;
mod echo;
mod field;
mod gateway;
mod generator;
mod http;
mod idle;
mod latency;
mod management;
mod measure;
mod memory;
mod peers;
mod proxies;
mod report;
mod rounds;
mod rows;
mod starts;
mod stored;
mod syscalls;
mod table;
mod target;
mod upstream;
mod webui;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use field::Field;
use report::Report;

const USAGE: &str = "cargo bench --bench load -- [OPTION]...

  --quick         two short rounds, without the other gateways and what takes minutes
  --only WORDS    the rows with WORDS in their titles; more than once for more
  --rounds N      rounds of each row; 5
  --seconds S     how long a round measures each side; 1
  --streams N     idle streams; 4000
  --out FOLDER    where load.md and load.json are kept
  --fail-every N  lets each Nth question to the model server fail, to see that such rounds do not count";

/// What the command line asks for.
#[derive(Debug)]
struct Options {
    rounds: usize,
    window: Duration,
    streams: usize,
    /// Parts of the titles of the rows that are run; all are without any.
    only: Vec<String>,
    /// Two rounds, and neither other gateways nor what takes minutes.
    is_quick: bool,
    /// Where the tables and the numbers are kept.
    out: Option<PathBuf>,
    /// One question of so many fails.
    failing: Option<u64>,
}

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [mode, addr, upstream] = arguments.as_slice()
        && mode == proxies::PASS
    {
        return bare::serve(addr.parse()?, upstream.parse()?);
    }
    match arguments.split_first() {
        Some((mode, rest)) if mode == caller::CALL => return caller::run(rest),
        Some((mode, rest)) if mode == echo::ECHO => return echo::run(rest),
        _ => {}
    }
    let Some(options) = Options::read(arguments.into_iter()) else {
        println!("{USAGE}");
        return Ok(());
    };
    idle::allow_descriptors(options.streams)?;
    let field = Field::start(&options)?;
    let mut report = Report::begin(conditions::describe(&options, &field)?);
    measure_all(&options, &field, &mut report);
    match &options.out {
        Some(folder) => report.write(folder).context("the results cannot be kept"),
        None => Ok(()),
    }
}

fn measure_all(options: &Options, field: &Field, report: &mut Report) {
    let mut rows = rows::all(field);
    rows.retain(|row| options.wants(row.title));
    let outcomes = rounds::run(&rows, field, options);
    table::costs(&outcomes, report);
    table::connections(&outcomes, report);
    if syscalls::is_installed() {
        table::system_calls(&rows, report);
    }
    let mut calls = calls::rows();
    calls.retain(|row| options.wants(row.title));
    calls::print(&calls, options, report);
    let mut timed = latency::rows(field);
    timed.retain(|row| options.wants(row.title));
    latency::print(&timed, options, report);
    if options.wants(changes::TITLE) {
        changes::print(field, options, report);
    }
    let mut idle = idle::rows(field);
    idle.retain(|idle| options.wants(idle.title));
    idle::print(&idle, options, report);
    let mut starts = starts::rows();
    starts.retain(|start| options.wants(start.title));
    starts::print(&starts, field, options, report);
}

impl Options {
    /// `None` when it was not `cargo bench` that started this.
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self {
            rounds: 5,
            window: Duration::from_secs(1),
            streams: 4000,
            only: Vec::new(),
            is_quick: false,
            out: None,
            failing: None,
        };
        let mut is_bench = false;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => is_bench = true,
                "--quick" => options.hurry(),
                "--rounds" => options.rounds = arguments.next()?.parse().ok()?,
                "--seconds" => {
                    let seconds = arguments.next()?.parse().ok()?;
                    options.window = Duration::try_from_secs_f64(seconds).ok()?;
                }
                "--streams" => options.streams = arguments.next()?.parse().ok()?,
                "--only" => options.only.push(arguments.next()?.to_lowercase()),
                "--out" => options.out = Some(PathBuf::from(arguments.next()?)),
                "--fail-every" => options.failing = Some(arguments.next()?.parse().ok()?),
                _ => return None,
            }
        }
        is_bench.then_some(options)
    }

    fn hurry(&mut self) {
        self.is_quick = true;
        self.rounds = 2;
        self.window = Duration::from_millis(250);
        self.streams = 500;
    }

    /// Whether the row of this title is run.
    fn wants(&self, title: &str) -> bool {
        let title = title.to_lowercase();
        self.only.is_empty() || self.only.iter().any(|words| title.contains(words))
    }
}
