//! What the processes of a peer hold of memory.

use std::fs;

use anyhow::{Context, Result};

use crate::cpu::Family;

/// All that is resident, in MiB. Workers are forks: of what they hold only that counts which they share with nobody.
pub(crate) fn resident_mib(family: &Family) -> Result<f64> {
    let mut sum = 0;
    for (pid, is_fork) in family.with_forks() {
        let members: &[&str] = match is_fork {
            true => &["Private_Dirty:", "Private_Clean:"],
            false => &["Rss:"],
        };
        sum += kib_of(pid, members)?;
    }
    Ok(sum as f64 / 1024.0)
}

fn kib_of(pid: u32, members: &[&str]) -> Result<u64> {
    let smaps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .with_context(|| format!("the memory of process {pid} cannot be read"))?;
    let of = |name: &str| {
        let line = smaps.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        number.with_context(|| format!("smaps_rollup has no `{name}`"))
    };
    members.iter().map(|name| of(name)).sum()
}
