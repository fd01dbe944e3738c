//! Gives memory that the allocator keeps back to the system. A crate of its own, since it takes calls that Rust cannot
//! check, and the gateway has none.

/// Returns the free pages of all of the allocator's arenas, which takes time that grows with them. Does nothing where the
/// C library is not glibc, whose `free` keeps what lies below a block in use.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the C library's only way to give memory back")]
pub fn trim() {
    // SAFETY: takes no pointer, touches only what the allocator holds free, and takes its locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Nothing to be done for other C libraries.
#[cfg(not(target_env = "gnu"))]
pub fn trim() {}

/// How many bytes the program holds, in all of the allocator's arenas and beside them. Takes time that grows with the
/// number of free blocks. `None` where the C library is not glibc.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the C library's only way to tell")]
#[must_use]
pub fn held_bytes() -> Option<u64> {
    // SAFETY: takes no pointer, reads the allocator's own counts, and takes its locks.
    let told = unsafe { libc::mallinfo2() };
    u64::try_from(told.uordblks.saturating_add(told.hblkhd)).ok()
}

/// Other C libraries do not tell.
#[cfg(not(target_env = "gnu"))]
#[must_use]
pub fn held_bytes() -> Option<u64> {
    None
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_counted_until_it_is_dropped() {
        let before = held_bytes().unwrap();
        let blocks: Vec<Vec<u8>> = (0..5_000).map(|_| vec![1; 4_000]).collect();
        let held = held_bytes().unwrap();
        assert!(held >= before + 20_000_000, "{before}, then {held}");
        drop(blocks);
        let after = held_bytes().unwrap();
        assert!(after < held - 19_000_000, "{held}, then {after}");
    }
}
