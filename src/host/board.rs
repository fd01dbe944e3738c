//! Memory in which a worker notes which function of a series runs, read when one hangs or has ended the process.
//!
//! It costs the worker no system call, and is there when the worker can say nothing any more. But it is memory of the
//! functions themselves: whatever stands in it is believed only within the call that it is about.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::time::{ClockId, clock_gettime};

/// Calls that have a place of their own at one time; `series.py` has the same number.
const PLACES: u32 = 4096;

/// A place: since when a function runs, in nanoseconds, the call's id, and which of its functions it is.
const PLACE_BYTES: usize = 16;

/// The memory that one worker shares with us.
#[derive(Debug)]
pub(super) struct Board(File);

/// The function of a series that began last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Running {
    /// Its place in the series.
    pub(super) index: usize,
    /// For how long it has run.
    pub(super) time: Duration,
}

impl Board {
    /// Memory of a length that nobody can change.
    pub(super) fn new() -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = File::from(memfd_create("sluicegate-board", flags)?);
        memory.set_len(u64::from(PLACES) * PLACE_BYTES as u64)?;
        fcntl_add_seals(
            &memory,
            SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
        )?;
        Ok(Self(memory))
    }

    /// Which function of `call` runs; `None` as long as it is the first.
    pub(super) fn running(&self, call: u32) -> Option<Running> {
        let mut place = [0; PLACE_BYTES];
        let offset = u64::from(call % PLACES) * PLACE_BYTES as u64;
        self.0.read_exact_at(&mut place, offset).ok()?;
        let (since, ids) = place.split_at(8);
        let (id, index) = ids.split_at(4);
        let number = |bytes: &[u8]| bytes.try_into().map(u32::from_ne_bytes).ok();
        if number(id)? != call {
            return None;
        }
        let since = Duration::from_nanos(since.try_into().map(u64::from_ne_bytes).ok()?);
        Some(Running {
            index: number(index)? as usize,
            time: monotonic().saturating_sub(since),
        })
    }
}

impl AsFd for Board {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The clock that workers read too.
fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_place_of_the_call_itself_counts() {
        let board = Board::new().unwrap();
        assert_eq!(board.running(5), None);
        let place = [0u32, 0, 5, 2].map(u32::to_ne_bytes).concat();
        board
            .0
            .write_all_at(&place, 5 * PLACE_BYTES as u64)
            .unwrap();
        assert_eq!(board.running(5).unwrap().index, 2);
        assert_eq!(board.running(5 + PLACES), None);
    }

    #[test]
    fn its_length_stays() {
        let board = Board::new().unwrap();
        assert!(board.0.set_len(0).is_err());
        assert!(board.0.set_len(1 << 30).is_err());
    }
}
