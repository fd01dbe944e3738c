//! System calls per unit, counted by strace where it is installed: free of the noise that time has.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;
use tokio::time::Instant;

use crate::cpu::Family;
use crate::generator::{Load, Running};
use crate::measure::Side;

const WINDOW: Duration = Duration::from_millis(1500);
const ATTACH_LIMIT: Duration = Duration::from_secs(5);

/// Whether it is there.
pub(crate) fn is_installed() -> bool {
    let version = Command::new("strace").arg("-V").output();
    version.is_ok_and(|output| output.status.success())
}

/// What there is of them per unit.
#[derive(Debug)]
pub(crate) struct Counted {
    /// All together.
    pub(crate) total: f64,
    /// The most frequent ones by name.
    pub(crate) names: String,
}

/// How many there are per unit.
pub(crate) fn per_unit(side: Side<'_>, load: Load) -> Result<Counted> {
    let report = NamedTempFile::new()?;
    let units = side.under(load, |running| trace(side, running, &report))?;
    let text = fs::read_to_string(report.path())?;
    let mut calls: Vec<_> = text.lines().filter_map(call_of).collect();
    let total: u64 = calls.iter().map(|(count, _)| count).sum();
    calls.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let each = |count: u64| count as f64 / units as f64;
    let parts = calls
        .iter()
        .filter(|(count, _)| each(*count) >= 0.05)
        .map(|(count, name)| format!("{name} {:.2}", each(*count)));
    let parts: Vec<_> = parts.collect();
    Ok(Counted {
        total: each(total),
        names: parts.join(", "),
    })
}

/// Units done while every thread was traced.
fn trace(side: Side<'_>, running: &Running, report: &NamedTempFile) -> Result<u64> {
    let family = Family::of(side.peer.pid())?;
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-o"]).arg(report.path());
    for pid in family.pids() {
        command.arg("-p").arg(pid.to_string());
    }
    let mut strace = command.stderr(Stdio::null()).spawn()?;
    let units = count_traced(&family, running);
    // It lets go of the peer in any case, also when counting failed.
    let pid = i32::try_from(strace.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.context("no process id")?, Signal::INT)?;
    strace.wait()?;
    units
}

fn count_traced(family: &Family, running: &Running) -> Result<u64> {
    wait_until_traced(family)?;
    let before = running.units();
    sleep(WINDOW);
    Ok(running.units() - before)
}

/// What is counted before the last thread is attached is a small part of the window.
fn wait_until_traced(family: &Family) -> Result<()> {
    let begun = Instant::now();
    while !family.is_traced()? {
        if begun.elapsed() > ATTACH_LIMIT {
            bail!("strace may not attach");
        }
        sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// A line of the report: share, seconds, microseconds per call, calls, sometimes errors, name.
fn call_of(line: &str) -> Option<(u64, &str)> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let name = fields.last().filter(|name| **name != "total")?;
    Some((fields.get(3)?.parse().ok()?, name))
}
