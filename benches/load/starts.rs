//! How long the gateway takes from its start to the first byte that it passes on, and how large it is: when nothing has
//! happened yet, and some time after a load has gone.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

use crate::Options;
use crate::cpu::Family;
use crate::field::Field;
use crate::gateway::{Gateway, INLET, PLAIN, STREAM};
use crate::generator::Answers;
use crate::measure::begin;
use crate::memory;
use crate::peers::Peer;
use crate::report::{Cell, Report, Table};
use crate::rows::{load, paced};
use crate::stored;

/// Between two attempts to be let in.
const STEP: Duration = Duration::from_millis(1);
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// What a first request needs once, the freeing of memory included, has been done by then.
const SETTLE: Duration = Duration::from_secs(1);
/// From the end of the load to the second look at the memory.
const LONG: Duration = Duration::from_secs(60);
/// Longer than the gateway keeps what it does not need.
const SHORT: Duration = Duration::from_secs(8);
/// Windows that the load lasts, twice: once whole answers, once streams.
const WINDOWS: u32 = 3;

/// A gateway that is started.
#[derive(Debug)]
pub(crate) struct Start {
    /// What is started.
    pub(crate) title: &'static str,
    set_up: fn(SocketAddr) -> Result<Gateway>,
    /// Models of the first request, and of the streams later.
    models: [&'static str; 2],
    limit_ms: f64,
    limit_mib: Option<f64>,
}

/// One that has been started for the last time, and runs.
struct Started {
    peer: Peer,
    first_ms: f64,
    later_ms: Vec<f64>,
    idle_mib: f64,
}

/// The gateways that are started.
pub(crate) fn rows() -> Vec<Start> {
    let row = |title, set_up, models, limit_ms, limit_mib| Start {
        title,
        set_up,
        models,
        limit_ms,
        limit_mib,
    };
    let plain = [PLAIN, PLAIN];
    vec![
        row(
            "start, no functions",
            Gateway::plain,
            plain,
            100.0,
            Some(30.0),
        ),
        row(
            "start, functions in Python",
            Gateway::with_python,
            [INLET, STREAM],
            1000.0,
            None,
        ),
        row(
            "start, 10,000 functions stored",
            stored::set_up,
            plain,
            5000.0,
            None,
        ),
    ]
}

/// Starts all, and prints how long that took and how large they are.
pub(crate) fn print(rows: &[Start], field: &Field, options: &Options, report: &mut Report) {
    let wait = if options.is_quick { SHORT } else { LONG };
    let after = format!("{} s after a load", wait.as_secs());
    let columns = [
        "first start, ms to the first byte",
        "later starts, median",
        "MiB idle",
        &after,
    ];
    let mut table = Table::new("start and size", &columns);
    let begun = rows.iter().map(|row| row.begin(field, options));
    let begun: Vec<_> = begun.collect();
    if begun.iter().any(Result::is_ok) {
        sleep(wait);
    }
    for (row, started) in rows.iter().zip(begun) {
        let cells = started.and_then(|started| row.cells(&started));
        table.add(
            row.title,
            cells.unwrap_or_else(|error| vec![Cell::Text(format!("{error:#}"))]),
        );
    }
    report.add(table);
}

impl Start {
    /// Starts it as often as there are rounds, and once more before; the last one has had a load when this returns.
    fn begin(&self, field: &Field, options: &Options) -> Result<Started> {
        let gateway = (self.set_up)(field.upstream.addr)?;
        let (mut peer, first_ms) = self.first_byte(&gateway)?;
        let mut later_ms = Vec::new();
        for _ in 0..options.rounds {
            drop(peer);
            let (again, took_ms) = self.first_byte(&gateway)?;
            peer = again;
            later_ms.push(took_ms);
        }
        later_ms.sort_by(f64::total_cmp);
        sleep(SETTLE);
        let idle_mib = memory::resident_mib(&Family::of(peer.pid())?)?;
        self.put_under_load(&peer, options)?;
        Ok(Started {
            peer,
            first_ms,
            later_ms,
            idle_mib,
        })
    }

    /// Milliseconds from its start to the first byte of an answer.
    fn first_byte(&self, gateway: &Gateway) -> Result<(Peer, f64)> {
        let begun = Instant::now();
        let mut peer = gateway.spawn()?;
        let target = peer.target(self.models[0]);
        let request = target.request(&load(1, 1200, Answers::Whole));
        let mut stream = loop {
            match TcpStream::connect(peer.addr) {
                Ok(stream) => break stream,
                Err(_) => peer.ensure_it_runs(begun)?,
            }
            sleep(STEP);
        };
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.write_all(&request)?;
        let mut answer = [0; 512];
        let length = stream.read(&mut answer)?;
        let took = begun.elapsed();
        if !answer[..length].starts_with(b"HTTP/1.1 200 ") {
            let answer = String::from_utf8_lossy(&answer[..length]);
            bail!("the first answer was {answer}");
        }
        Ok((peer, took.as_secs_f64() * 1000.0))
    }

    fn put_under_load(&self, peer: &Peer, options: &Options) -> Result<()> {
        let loads = [load(64, 4096, Answers::Whole), load(256, 4096, paced())];
        for (load, model) in loads.into_iter().zip(self.models) {
            let running = begin(load, &peer.target(model))?;
            sleep(options.window * WINDOWS);
            running.check()?;
        }
        Ok(())
    }

    fn cells(&self, started: &Started) -> Result<Vec<Cell>> {
        let later = started.later_ms.get(started.later_ms.len() / 2);
        let later = later.copied().unwrap_or(f64::NAN);
        let after = memory::resident_mib(&Family::of(started.peer.pid())?)?;
        Ok(vec![
            Cell::Within(started.first_ms, self.limit_ms),
            Cell::Within(later, self.limit_ms),
            Cell::limited(started.idle_mib, self.limit_mib),
            Cell::Number(after),
        ])
    }
}
