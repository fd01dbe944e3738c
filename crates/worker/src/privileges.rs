//! Rights that a worker never needs: capabilities, set-user-id programs, the user it was started as.

use std::io;

use pyo3::prelude::*;

/// The version of the kernel's structures below: two words of capabilities.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// The highest capability that a kernel may know; dropping one that it does not know fails and does no harm.
const LAST_CAPABILITY: libc::c_ulong = 63;

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Becomes the user and group `id`, with no further groups.
pub(crate) fn become_user(id: u32) -> Result<String, String> {
    // SAFETY: the calls take integers, and no list where its length is 0.
    let done = unsafe {
        libc::setgroups(0, std::ptr::null()) == 0
            && libc::setresgid(id, id, id) == 0
            && libc::setresuid(id, id, id) == 0
    };
    if done {
        Ok("each function its own".to_owned())
    } else {
        Err(format!(
            "cannot become user {id}: {}",
            io::Error::last_os_error()
        ))
    }
}

/// Gives up the capabilities that programs could have. Needs one itself, so it comes before the change of user.
pub(crate) fn give_up_bounding_set() {
    for capability in 0..=LAST_CAPABILITY {
        // Fails for those that are not ours to drop; `give_up` holds without it.
        // SAFETY: the option takes one integer.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
}

/// Gives up all capabilities, and the chance to get some by starting a program.
pub(crate) fn give_up() -> Result<String, String> {
    // SAFETY: the option takes integers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(format!(
            "no_new_privs cannot be set: {}",
            io::Error::last_os_error()
        ));
    }
    let header = CapabilityHeader {
        version: CAPABILITY_VERSION,
        pid: 0,
    };
    let none = [CapabilityData::default(); 2];
    // SAFETY: the kernel reads a header and the two structures that its version promises; both outlive the call.
    if unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) } != 0 {
        return Err(format!(
            "capabilities cannot be dropped: {}",
            io::Error::last_os_error()
        ));
    }
    Ok("no capabilities, no_new_privs".to_owned())
}

/// Closes this process's memory and environment to others of its user, and to core dumps; children inherit it.
#[pyfunction]
pub(crate) fn hide_process() {
    // SAFETY: the option takes integers. It cannot fail with this value.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
}

/// Makes this process the parent of its descendants that lose theirs.
#[pyfunction]
pub(crate) fn adopt_orphans() {
    // SAFETY: the option takes integers. It cannot fail with this value.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
}

/// Lets this process read its own `/proc/self`, which the change of user or the gateway's secrecy has closed.
pub(crate) fn show_own_process() {
    // SAFETY: the option takes integers. Nothing depends on its success.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) };
}
