//! What a thread has used so far, read exactly: the accounts in `getrusage` lag behind by up to a tick of the
//! scheduler, which would charge a piece of code with what ran before it.

use std::io;
use std::mem::MaybeUninit;

use pyo3::prelude::*;

/// The seconds this thread has computed, and how often it has waited, since it began.
///
/// # Errors
///
/// If the kernel does not tell.
#[pyfunction]
pub(crate) fn thread_usage() -> PyResult<(f64, i64)> {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: both calls write the whole of the structure that they are given, or fail.
    let (time, usage) = unsafe {
        if libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, time.as_mut_ptr()) != 0
            || libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) != 0
        {
            return Err(io::Error::last_os_error().into());
        }
        (time.assume_init(), usage.assume_init())
    };
    let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    Ok((seconds, usage.ru_nvcsw))
}
