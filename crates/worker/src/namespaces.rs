//! Views of the machine that a worker has for itself: process numbers, `/proc`, network.
//!
//! Each raises `OSError` where the kernel or the container does not allow it; what is lost by that is the caller's to
//! tell.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use pyo3::prelude::*;

/// The process number that the first process has in a namespace after the one that guards it.
const WORKER: libc::pid_t = 2;

/// Lets the next processes that this one forks have numbers of their own: the first is number 1, whose end is the end
/// of all of them. `as_owner` makes a user namespace for it first, which those need who are not root.
#[pyfunction]
pub(crate) fn separate_processes(as_owner: bool) -> PyResult<()> {
    if as_owner {
        own_users(libc::CLONE_NEWPID)?;
    } else {
        unshare(libc::CLONE_NEWPID)?;
    }
    Ok(())
}

/// Takes [`separate_processes`] back for those that are forked from now on; `fd` is the namespace that this process is in.
#[pyfunction]
pub(crate) fn rejoin_processes(fd: RawFd) -> PyResult<()> {
    // SAFETY: takes a descriptor, which the kernel checks, and a flag.
    done(unsafe { libc::setns(fd, libc::CLONE_NEWPID) })?;
    Ok(())
}

/// Forks number 1, and gives its number out here. It takes in processes that lose their parents, and ends with the
/// worker, and all with it; the kernel clears up behind children of one who ignores their end.
///
/// `fd` says by a byte that the worker is there. The child runs no Python: it shares its pages with us for good. It can
/// make system calls only, as any child of a fork may.
#[pyfunction]
pub(crate) fn fork_guard(fd: RawFd) -> PyResult<libc::pid_t> {
    // SAFETY: the zygote, which calls this, has one thread, and the child calls nothing that may hold a lock.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        guard(fd);
    }
    done(pid)?;
    Ok(pid)
}

fn guard(fd: RawFd) -> ! {
    // SAFETY: the calls take integers, and a string, a byte and a structure that outlive them.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"sluicegate-init".as_ptr());
        for number in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGCHLD] {
            libc::signal(number, libc::SIG_IGN);
        }
        libc::dup2(fd, 0);
        close_from(1);
        let mut byte = 0_u8;
        if libc::read(0, (&raw mut byte).cast(), 1) == 1 {
            let worker = libc::syscall(libc::SYS_pidfd_open, WORKER, 0);
            let mut poll = libc::pollfd {
                fd: libc::c_int::try_from(worker).unwrap_or(-1),
                events: libc::POLLIN,
                revents: 0,
            };
            while poll.fd >= 0 && libc::poll(&raw mut poll, 1, -1) < 0 {}
        }
        libc::_exit(0)
    }
}

/// Closes descriptors by their numbers: all, or, before Linux 5.9, as many as a zygote can have.
fn close_from(lowest: libc::c_uint) {
    // SAFETY: the calls take integers; nothing in this process uses what they close.
    unsafe {
        if libc::syscall(libc::SYS_close_range, lowest, libc::c_uint::MAX, 0) != 0 {
            for fd in lowest..1024 {
                libc::close(fd.cast_signed());
            }
        }
    }
}

/// Puts a `/proc` in the place of the machine's, for this process and its descendants, that shows only them.
#[pyfunction]
pub(crate) fn show_own_processes() -> PyResult<()> {
    unshare(libc::CLONE_NEWNS)?;
    // What is mounted here stays here; what the machine mounts and unmounts is seen.
    mount(c"none", c"/", None, libc::MS_REC | libc::MS_SLAVE)?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    mount(c"proc", c"/proc", Some(c"proc"), flags)?;
    Ok(())
}

/// Leaves the machine's network for an empty one, in which there is nobody but this process.
#[pyfunction]
pub(crate) fn separate_network() -> PyResult<()> {
    if let Err(error) = unshare(libc::CLONE_NEWNET) {
        let is_root = effective_user() == 0;
        if is_root || error.raw_os_error() != Some(libc::EPERM) {
            return Err(error.into());
        }
        own_users(libc::CLONE_NEWNET)?;
    }
    raise_loopback()?;
    Ok(())
}

/// Makes a user namespace together with another one, and stays who it is in it.
fn own_users(with: libc::c_int) -> io::Result<()> {
    // SAFETY: the calls take and give integers.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    // A process that hides may not write its own maps.
    let was_shown = dumpable();
    set_dumpable(1);
    let mapped = unshare(libc::CLONE_NEWUSER | with).and_then(|()| {
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
        fs::write("/proc/self/uid_map", format!("{user} {user} 1"))
    });
    set_dumpable(was_shown);
    mapped
}

fn effective_user() -> libc::uid_t {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

fn dumpable() -> libc::c_int {
    // SAFETY: the option takes integers.
    unsafe { libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0) }
}

fn set_dumpable(value: libc::c_int) {
    // SAFETY: the option takes integers. What depends on it fails by itself.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, value, 0, 0, 0) };
}

fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: takes flags only.
    done(unsafe { libc::unshare(flags) })
}

fn mount(what: &CStr, place: &CStr, kind: Option<&CStr>, flags: libc::c_ulong) -> io::Result<()> {
    let kind = kind.map_or(ptr::null(), CStr::as_ptr);
    // SAFETY: the kernel reads the strings, which outlive the call, and no data.
    done(unsafe { libc::mount(what.as_ptr(), place.as_ptr(), kind, flags, ptr::null()) })
}

/// A new network has a loopback device that is down.
fn raise_loopback() -> io::Result<()> {
    // SAFETY: takes integers.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    done(fd)?;
    // SAFETY: the descriptor is new, and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all zeros is a valid value of the structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the kernel reads the structure, whose name ends in a zero.
    done(unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        )
    })
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
