//! Load runs side by side: the gateway and nginx pass the same load to the same model server, in turns, and the CPU
//! time that each needs per unit is compared. `cargo bench --bench load` runs them.
//!
//! Time of day says little on a shared machine, so none is reported: CPU time comes from the scheduler, for all
//! threads and worker processes of a peer, and the rounds of the two sides alternate.

mod cpu;
mod generator;
mod http;
mod measure;
mod peers;
mod syscalls;
mod table;
mod upstream;

use std::time::Duration;

use anyhow::Result;

use generator::{Answers, Load};
use measure::{Samples, Side};
use peers::{INLET, PLAIN, Peer, STREAM, free_address};
use table::{Budget, Outcome};
use upstream::Upstream;

const ROUNDS: usize = 5;
const WINDOW: Duration = Duration::from_secs(1);
const USAGE: &str = "cargo bench --bench load [-- --rounds N] [--only TEXT]";
/// Long enough that no paced stream ends in a window.
const ENDLESS: u64 = 1_000_000;

/// Two sides under one load.
#[derive(Debug)]
struct Comparison<'a> {
    title: &'static str,
    load: Load,
    budget: Budget,
    sides: [Side<'a>; 2],
}

/// What the command line asks for.
#[derive(Debug)]
struct Options {
    rounds: usize,
    only: String,
}

fn main() -> Result<()> {
    let Some(options) = Options::read(std::env::args().skip(1)) else {
        println!("this is a benchmark: {USAGE}");
        return Ok(());
    };
    let upstream = Upstream::start(free_address()?)?;
    let nginx = Peer::nginx(upstream.addr)?;
    let gateway = Peer::gateway(upstream.addr)?;
    let python = Peer::gateway_with_python(upstream.addr);
    let mut comparisons = passing(&nginx, &gateway);
    match &python {
        Ok(python) => comparisons.extend(filtering(python)),
        Err(error) => eprintln!("functions in Python are left out: {error:#}"),
    }
    comparisons.retain(|comparison| comparison.title.contains(&options.only));
    print_conditions(&options)?;
    table::print(&run(&comparisons, options.rounds));
    if syscalls::is_installed() {
        print_syscalls(&comparisons);
    }
    Ok(())
}

impl Options {
    /// `None` when it was not `cargo bench` that started this.
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self {
            rounds: ROUNDS,
            only: String::new(),
        };
        let mut is_bench = false;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => is_bench = true,
                "--rounds" => options.rounds = arguments.next()?.parse().ok()?,
                "--only" => options.only = arguments.next()?,
                _ => return None,
            }
        }
        is_bench.then_some(options)
    }
}

/// What is passed on as it is, against nginx.
fn passing<'a>(nginx: &'a Peer, gateway: &'a Peer) -> Vec<Comparison<'a>> {
    let against_nginx = |title, times, connections, answers| Comparison {
        title,
        load: Load {
            connections,
            request_bytes: 1200,
            answers,
        },
        budget: Budget::Times(times),
        sides: [nginx, gateway].map(|peer| Side { peer, model: PLAIN }),
    };
    vec![
        against_nginx("unary, 64 clients", 1.5, 64, Answers::Whole),
        against_nginx("event, 256 streams, 20 ms apart", 1.3, 256, paced()),
        against_nginx("event, 64 streams in bursts of 200", 3.0, 64, burst()),
    ]
}

/// What functions in Python add, against the same gateway without them.
fn filtering(python: &Peer) -> Vec<Comparison<'_>> {
    let added = |title, micros, connections, answers, model| Comparison {
        title,
        load: Load {
            connections,
            request_bytes: 4096,
            answers,
        },
        budget: Budget::Added(micros),
        sides: [PLAIN, model].map(|model| Side {
            peer: python,
            model,
        }),
    };
    vec![
        added(
            "Python inlet of 4 KB, 1 client",
            30.0,
            1,
            Answers::Whole,
            INLET,
        ),
        added(
            "Python inlet of 4 KB, 64 clients",
            20.0,
            64,
            Answers::Whole,
            INLET,
        ),
        added(
            "Python stream, 64 streams, 20 ms apart",
            4.0,
            64,
            paced(),
            STREAM,
        ),
        added(
            "Python stream, 64 streams in bursts of 200",
            2.5,
            64,
            burst(),
            STREAM,
        ),
    ]
}

fn paced() -> Answers {
    Answers::Events {
        count: ENDLESS,
        pause_micros: 20_000,
    }
}

fn burst() -> Answers {
    Answers::Events {
        count: 200,
        pause_micros: 0,
    }
}

fn run(comparisons: &[Comparison<'_>], rounds: usize) -> Vec<Outcome> {
    let new = |comparison: &Comparison<'_>| Outcome {
        title: comparison.title,
        budget: comparison.budget,
        samples: [Samples::default(), Samples::default()],
        failed: 0,
    };
    let mut outcomes: Vec<_> = comparisons.iter().map(new).collect();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for (comparison, outcome) in comparisons.iter().zip(&mut outcomes) {
            match comparison.round(round % 2 == 1) {
                Ok(micros) => {
                    let sides = outcome.samples.iter_mut().zip(micros);
                    sides.for_each(|(samples, micros)| samples.push(micros));
                }
                Err(error) => {
                    eprintln!("{}: {error:#}", comparison.title);
                    outcome.failed += 1;
                }
            }
        }
    }
    outcomes
}

impl Comparison<'_> {
    /// Both sides once. A round in which either fails does not count.
    fn round(&self, is_reversed: bool) -> Result<[f64; 2]> {
        let [first, second] = &self.sides;
        let sample = |side: &Side<'_>| side.sample(self.load, WINDOW);
        if is_reversed {
            let second = sample(second)?;
            return Ok([sample(first)?, second]);
        }
        Ok([sample(first)?, sample(second)?])
    }
}

/// Only what is compared with nginx: Python's own calls say nothing about the gateway.
fn print_syscalls(comparisons: &[Comparison<'_>]) {
    println!("\n| system calls per unit | nginx | sluicegate |\n|---|---|---|");
    let compared = comparisons
        .iter()
        .filter(|comparison| matches!(comparison.budget, Budget::Times(_)));
    for comparison in compared {
        let per_unit = |side: Side<'_>| {
            let counted = syscalls::per_unit(side, comparison.load);
            counted.unwrap_or_else(|error| format!("not counted: {error:#}"))
        };
        let [nginx, gateway] = comparison.sides.map(per_unit);
        println!("| {} | {nginx} | {gateway} |", comparison.title);
    }
}

fn print_conditions(options: &Options) -> Result<()> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let cores = std::thread::available_parallelism()?;
    println!(
        "sluicegate {}, {}, Linux {}, {cores} cores, {} rounds of {} s, load before {}",
        env!("CARGO_PKG_VERSION"),
        peers::nginx_version()?,
        kernel.trim(),
        options.rounds,
        WINDOW.as_secs(),
        std::fs::read_to_string("/proc/loadavg")?
            .split(' ')
            .next()
            .unwrap_or_default(),
    );
    Ok(())
}
