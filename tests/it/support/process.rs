//! What the system knows of a process: its memory, its descriptors, its descendants.

use std::fs;
use std::io;

use super::say::say;

/// A process by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// Memory in use, in KiB.
    pub(crate) fn rss_kib(self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The part of it that belongs to no file.
    pub(crate) fn anonymous_kib(self) -> u64 {
        self.status_kib("RssAnon:")
    }

    fn status_kib(self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = status.lines().find(|line| line.starts_with(name));
        let line = line.expect("a running process has memory");
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// How many descriptors are open. A gateway hides them from processes of its own user: only root sees them.
    pub(crate) fn descriptors(self) -> usize {
        match fs::read_dir(format!("/proc/{}/fd", self.0)) {
            Ok(descriptors) => descriptors.count(),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                say("descriptors are not counted: only root sees those of a gateway");
                0
            }
            Err(error) => panic!("the descriptors of {} cannot be listed: {error}", self.0),
        }
    }

    /// How long it has worked, in hundredths of a second.
    pub(crate) fn cpu_ticks(self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap();
        let rest = stat[stat.rfind(')').unwrap() + 1..].split_whitespace();
        let ticks = rest
            .skip(11)
            .take(2)
            .map(|text| text.parse::<u64>().unwrap());
        ticks.sum()
    }

    /// Its name, empty if it is gone.
    pub(crate) fn name(self) -> String {
        let name = fs::read_to_string(format!("/proc/{}/comm", self.0));
        name.unwrap_or_default().trim().to_owned()
    }

    /// Whether it is number 1 of a worker's process numbers.
    pub(crate) fn is_guard(self) -> bool {
        self.name() == "sluicegate-init"
    }

    /// Its command line.
    pub(crate) fn command_line(self) -> String {
        let bytes = fs::read(format!("/proc/{}/cmdline", self.0)).unwrap();
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    }

    /// The environment that it was started with, empty if it is gone.
    pub(crate) fn environment(self) -> String {
        let bytes = fs::read(format!("/proc/{}/environ", self.0)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', "\n")
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(self) -> bool {
        parent_of(self.0).is_some()
    }

    /// Its children and theirs, as they are now.
    pub(crate) fn descendants(self) -> Vec<Self> {
        let parents: Vec<(Self, u32)> = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|id| Some((Self(id), parent_of(id)?)))
            .collect();
        let mut found = vec![self];
        let mut at = 0;
        while at < found.len() {
            let parent = found[at].0;
            found.extend(
                parents
                    .iter()
                    .filter(|(_, of)| *of == parent)
                    .map(|(child, _)| *child),
            );
            at += 1;
        }
        found.split_off(1)
    }
}

/// The parent of a process, unless it is gone or a zombie.
fn parent_of(id: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before it may hold anything but ends with the last parenthesis.
    let mut rest = stat[stat.rfind(')')? + 1..].split_whitespace();
    let state = rest.next()?;
    rest.next()?.parse().ok().filter(|_| state != "Z")
}
