//! CPU time of a process and everything below it, from the scheduler's own nanoseconds.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result};

/// The processes of one peer. Found once per window, so that reading the time itself is quick.
#[derive(Debug)]
pub(crate) struct Family {
    pids: Vec<u32>,
    /// So many at the front are the program itself and its children; those of children are forks.
    started: usize,
}

impl Family {
    /// `root` and its descendants as of now.
    pub(crate) fn of(root: u32) -> Result<Self> {
        let parents = parents()?;
        let mut pids = vec![root];
        let (mut at, mut started) = (0, 1);
        while let Some(&parent) = pids.get(at) {
            let children = parents.iter().filter(|(_, of)| **of == parent);
            pids.extend(children.map(|(child, _)| *child));
            if at == 0 {
                started = pids.len();
            }
            at += 1;
        }
        Ok(Self { pids, started })
    }

    /// Their process ids.
    pub(crate) fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// Their process ids, and whether each was forked by a program that the peer has started.
    pub(crate) fn with_forks(&self) -> impl Iterator<Item = (u32, bool)> {
        let pids = self.pids.iter().enumerate();
        pids.map(|(place, pid)| (*pid, place >= self.started))
    }

    /// Whether every thread is being traced.
    pub(crate) fn is_traced(&self) -> Result<bool> {
        for pid in &self.pids {
            for task in fs::read_dir(format!("/proc/{pid}/task"))? {
                let status = fs::read_to_string(task?.path().join("status"))?;
                if status.lines().any(|line| line == "TracerPid:\t0") {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// What their threads have run for so far. A thread that ends takes its time with it, so a window must not span
    /// the end of one that worked.
    pub(crate) fn nanoseconds(&self) -> Result<u64> {
        self.pids.iter().map(|pid| of_process(*pid)).sum()
    }
}

fn of_process(pid: u32) -> Result<u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .with_context(|| format!("process {pid} has ended"))?;
    let mut sum = 0;
    for task in tasks {
        // A thread that has just ended is no failure: idle ones do.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
            continue;
        };
        sum += run_time(&text)?;
    }
    Ok(sum)
}

/// What the thread that asks has run for so far.
pub(crate) fn of_this_thread() -> Result<u64> {
    run_time(&fs::read_to_string("/proc/thread-self/schedstat")?)
}

fn run_time(schedstat: &str) -> Result<u64> {
    let run = schedstat.split(' ').next().unwrap_or_default();
    run.parse().context("schedstat cannot be read")
}

/// The parent of every process.
fn parents() -> Result<HashMap<u32, u32>> {
    let processes = fs::read_dir("/proc")?.flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name before the last bracket may hold anything.
        let (_, fields) = stat.rsplit_once(')')?;
        let parent = fields.split_whitespace().nth(1)?.parse().ok()?;
        Some((pid, parent))
    });
    Ok(processes.collect())
}
