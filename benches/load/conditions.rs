//! What the numbers depend on.

use std::fs;

use anyhow::Result;

use crate::Options;
use crate::field::Field;
use crate::proxies;

/// Versions, machine, command and date, in a line each.
pub(crate) fn describe(options: &Options, field: &Field) -> Result<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = fs::read_to_string("/proc/loadavg")?;
    let names: Vec<_> = field
        .everybody()
        .map(|peer| peer.version.as_str())
        .collect();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    Ok(format!(
        "- {}\n- {} cores ({}), Linux {}, load before {}\n- `cargo bench --bench load -- {}`, {} rounds of {} s, {}",
        names.join(", "),
        std::thread::available_parallelism()?,
        processor()?,
        kernel.trim(),
        load.split(' ').next().unwrap_or_default(),
        arguments.join(" ").replace("--bench", "").trim(),
        options.rounds,
        options.window.as_secs_f64(),
        proxies::said(
            std::process::Command::new("date").arg("-u").arg("+%F"),
            "20"
        )?,
    ))
}

fn processor() -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.and_then(|line| line.split(':').nth(1));
    Ok(model.unwrap_or("unknown").trim().to_owned())
}
