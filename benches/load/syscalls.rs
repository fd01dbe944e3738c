//! System calls per unit, counted by strace where it is installed: free of the noise that time has.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;

use crate::cpu::Family;
use crate::generator::{Load, Running};
use crate::measure::Side;

const WINDOW: Duration = Duration::from_millis(1500);
/// Between strace's start and the moment when it counts every thread.
const ATTACH: Duration = Duration::from_millis(500);

/// Whether it is there.
pub fn is_installed() -> bool {
    let version = Command::new("strace").arg("-V").output();
    version.is_ok_and(|output| output.status.success())
}

/// How many there are per unit, and the most frequent ones.
pub fn per_unit(side: Side<'_>, load: Load) -> Result<String> {
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
    Ok(format!("{:.2} ({})", each(total), parts.join(", ")))
}

/// Units done while every thread was traced.
fn trace(side: Side<'_>, running: &Running, report: &NamedTempFile) -> Result<u64> {
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-o"]).arg(report.path());
    for pid in Family::of(side.peer.pid())?.pids() {
        command.arg("-p").arg(pid.to_string());
    }
    let mut strace = command.stderr(std::process::Stdio::null()).spawn()?;
    sleep(ATTACH);
    // What was counted while it attached is a small part of the window.
    let before = running.units();
    sleep(WINDOW);
    let units = running.units() - before;
    let pid = i32::try_from(strace.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.context("no process id")?, Signal::INT)?;
    strace.wait()?;
    Ok(units)
}

/// A line of the report: share, seconds, microseconds per call, calls, sometimes errors, name.
fn call_of(line: &str) -> Option<(u64, &str)> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let name = fields.last().filter(|name| **name != "total")?;
    Some((fields.get(3)?.parse().ok()?, name))
}
