//! Gives memory that the allocator keeps back to the system. A crate of its own, since it takes a call that Rust cannot
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
