//! The end of a worker whose gateway is gone, even if its interpreter is stuck.

use std::ffi::CString;
use std::os::fd::RawFd;
use std::thread;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::socket;

/// What a worker may still do, such as closing generators, once the gateway is gone.
const GRACE: Duration = Duration::from_secs(2);

/// Ends this process two seconds after the other end of the socket `fd` is closed. Gives the number of its copy of `fd`.
///
/// The thread that waits never asks for the interpreter lock, so nothing the function does holds it up.
///
/// # Errors
///
/// If `fd` is no open descriptor or no thread can be started.
#[pyfunction]
pub(crate) fn watch(fd: RawFd) -> PyResult<RawFd> {
    // A descriptor of its own: a function that closes every number it can think of does not end the watch.
    let copy = socket::duplicate(fd)?;
    thread::Builder::new()
        .name("watch".to_owned())
        .stack_size(64 * 1024)
        .spawn(move || exit_after_hangup(copy))?;
    Ok(copy)
}

fn exit_after_hangup(fd: RawFd) {
    wait_for_hangup(fd);
    thread::sleep(GRACE);
    // SAFETY: _exit never returns and runs no destructors, which may need the interpreter lock.
    unsafe { libc::_exit(0) };
}

fn wait_for_hangup(fd: RawFd) {
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLRDHUP,
        revents: 0,
    };
    // POLLHUP, POLLERR and POLLNVAL are reported without being asked for. All end the wait.
    while poll.revents == 0 {
        // SAFETY: one valid pollfd, which lives on this stack.
        unsafe { libc::poll(&raw mut poll, 1, -1) };
    }
}

/// Sets the name under which `ps` and `top` show this process; the kernel keeps 15 bytes of it.
///
/// # Errors
///
/// If the name holds a zero byte.
#[pyfunction]
pub(crate) fn name_process(name: &str) -> PyResult<()> {
    let name = CString::new(name).map_err(|error| PyValueError::new_err(error.to_string()))?;
    // SAFETY: PR_SET_NAME reads a string that ends in a zero byte, which outlives the call.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    Ok(())
}
