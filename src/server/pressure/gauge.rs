//! How much memory the process uses, and how much more it may take.

use std::fs;
use std::io;
use std::path::Path;

use rustix::param::page_size;
use rustix::process::{Resource, getrlimit};

use super::group::Group;

/// All request bodies together may take the whole divided by this.
const PART_FOR_BODIES: u64 = 4;

/// What bounds the memory of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// What the machine has left, and the limits of its control group and its address space.
    System,
    /// All of these, and so many bytes for the gateway itself.
    Bytes(u64),
    /// Nothing: memory is measured, and nothing is done about it.
    None,
}

/// Reads what the kernel says.
#[derive(Debug)]
pub(super) struct Gauge {
    bound: Bound,
    group: Option<Group>,
}

/// Memory at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// What the process has for itself.
    pub(super) used_bytes: u64,
    /// What it may take beside, by the narrowest of its bounds.
    pub(super) left_bytes: u64,
    /// What it has in memory, files that it shares with others included.
    pub(super) resident_bytes: u64,
}

/// The process's own line of `/proc/self/statm`, in bytes.
#[derive(Clone, Copy, Debug)]
struct Size {
    mapped: u64,
    resident: u64,
    shared: u64,
}

impl Bound {
    /// What all bodies together may take of it, where `configured_bytes` is not less. They come in faster than anybody
    /// looks at memory, and are copied once when they are whole.
    #[must_use]
    pub fn bodies_bytes(self, configured_bytes: usize) -> usize {
        // Where the kernel does not say, nothing is watched either.
        let Ok(reading) = Gauge::new(self).read() else {
            return configured_bytes;
        };
        let whole = reading.used_bytes.saturating_add(reading.left_bytes);
        let part = usize::try_from(whole / PART_FOR_BODIES).unwrap_or(usize::MAX);
        configured_bytes.min(part)
    }
}

impl Gauge {
    pub(super) fn new(bound: Bound) -> Self {
        let group = match bound {
            Bound::None => None,
            _ => Group::of_this_process(),
        };
        Self { bound, group }
    }

    /// What is so now.
    ///
    /// # Errors
    ///
    /// If there is no `/proc`.
    pub(super) fn read(&self) -> io::Result<Reading> {
        let size = Size::read(Path::new("/proc/self/statm"))?;
        let used_bytes = size.resident.saturating_sub(size.shared);
        Ok(Reading {
            used_bytes,
            left_bytes: self.left(used_bytes, size.mapped),
            resident_bytes: size.resident,
        })
    }

    fn left(&self, used: u64, mapped: u64) -> u64 {
        let own = match self.bound {
            Bound::None => return u64::MAX,
            Bound::System => None,
            Bound::Bytes(limit) => Some(limit.saturating_sub(used)),
        };
        let group = self.group.as_ref().and_then(Group::left_bytes);
        let space = getrlimit(Resource::As).current;
        let space = space.map(|limit| limit.saturating_sub(mapped));
        let machine = fs::read_to_string("/proc/meminfo");
        let machine = machine.ok().and_then(|text| available(&text));
        let bounds = [own, group, space, machine].into_iter().flatten();
        bounds.min().unwrap_or(u64::MAX)
    }
}

impl Reading {
    /// How many thousandths of what the process could have are used. What others have is none of them: giving up the
    /// little that we hold would not help.
    pub(super) fn thousandths(&self) -> u64 {
        let whole = u128::from(self.used_bytes) + u128::from(self.left_bytes);
        let share = u128::from(self.used_bytes) * 1000 / whole.max(1);
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    /// How much must go until this many thousandths are used.
    pub(super) fn excess_bytes(&self, thousandths: u64) -> u64 {
        let whole = self.used_bytes.saturating_add(self.left_bytes);
        self.used_bytes.saturating_sub(whole / 1000 * thousandths)
    }
}

impl Size {
    fn read(file: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(file)?;
        let mut pages = text.split_whitespace().map(str::parse::<u64>);
        let mut bytes = || {
            let pages = pages.next().and_then(Result::ok);
            let pages =
                pages.ok_or_else(|| io::Error::other("`/proc/self/statm` has no numbers"))?;
            Ok::<_, io::Error>(pages * page_size() as u64)
        };
        Ok(Self {
            mapped: bytes()?,
            resident: bytes()?,
            shared: bytes()?,
        })
    }
}

/// What the machine can give without swapping.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib << 10)
}
