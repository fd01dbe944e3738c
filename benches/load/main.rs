//! Load runs side by side: the gateway, a bare hyper pass-through and other proxies pass the same load to the same model
//! server, in turns. `cargo bench --bench load` runs them; `--quick` is a short look.
//!
//! What is compared is CPU time per unit: it comes from the scheduler, for all threads and worker processes of a peer,
//! and the rounds of the sides alternate. Time of day is told apart from it, under a load that leaves cores idle. Memory
//! is measured once, at the end.

mod bare;
mod changes;
mod conditions;
mod cpu;
mod field;
mod generator;
mod http;
mod idle;
mod latency;
mod measure;
mod peers;
mod proxies;
mod report;
mod rounds;
mod rows;
mod syscalls;
mod table;
mod upstream;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use field::Field;
use report::Report;

const USAGE: &str =
    "cargo bench --bench load -- [--quick] [--rounds N] [--streams N] [--only TEXT] [--out FOLDER]";

/// What the command line asks for.
#[derive(Debug)]
struct Options {
    rounds: usize,
    window: Duration,
    streams: usize,
    /// A part of the titles of the rows that are run.
    only: String,
    /// Two rounds, and neither other gateways nor what takes minutes.
    is_quick: bool,
    /// Where the tables and the numbers are kept.
    out: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [mode, addr, upstream] = arguments.as_slice()
        && mode == proxies::PASS
    {
        return bare::serve(addr.parse()?, upstream.parse()?);
    }
    let Some(options) = Options::read(arguments.into_iter()) else {
        println!("this is a benchmark: {USAGE}");
        return Ok(());
    };
    idle::allow_descriptors(options.streams)?;
    let field = Field::start(options.is_quick)?;
    let mut report = Report::begin(conditions::describe(&options, &field)?);
    measure_all(&options, &field, &mut report);
    match &options.out {
        Some(folder) => report.write(folder).context("the results cannot be kept"),
        None => Ok(()),
    }
}

fn measure_all(options: &Options, field: &Field, report: &mut Report) {
    let is_wanted = |title: &str| title.contains(&options.only);
    let mut rows = rows::passing(field);
    rows.extend(rows::filtering(field));
    rows.retain(|row| is_wanted(row.title));
    let outcomes = rounds::run(&rows, field, options);
    table::costs(&outcomes, report);
    table::connections(&outcomes, report);
    if syscalls::is_installed() {
        table::system_calls(&rows, report);
    }
    let mut timed = latency::rows(field);
    timed.retain(|row| is_wanted(row.title));
    latency::print(&timed, options, report);
    if is_wanted(changes::TITLE) {
        changes::print(field, options, report);
    }
    let mut idle = idle::rows(field);
    idle.retain(|idle| is_wanted(idle.title));
    idle::print(&idle, options, report);
}

impl Options {
    /// `None` when it was not `cargo bench` that started this.
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self {
            rounds: 5,
            window: Duration::from_secs(1),
            streams: 4000,
            only: String::new(),
            is_quick: false,
            out: None,
        };
        let mut is_bench = false;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => is_bench = true,
                "--quick" => options.hurry(),
                "--rounds" => options.rounds = arguments.next()?.parse().ok()?,
                "--streams" => options.streams = arguments.next()?.parse().ok()?,
                "--only" => options.only = arguments.next()?,
                "--out" => options.out = Some(PathBuf::from(arguments.next()?)),
                _ => return None,
            }
        }
        is_bench.then_some(options)
    }

    fn hurry(&mut self) {
        self.is_quick = true;
        self.rounds = 2;
        self.streams = 500;
    }
}
