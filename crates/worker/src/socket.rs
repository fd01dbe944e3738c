//! The system calls on the worker's socket, which never block.

use std::io;
use std::os::fd::RawFd;

use bytes::{Buf, BytesMut};

/// Bytes asked for by one read.
const READ_BYTES: usize = 64 * 1024;

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// This many bytes were appended; `all` if they did not fill the room there was, so none are left.
    Bytes { count: usize, all: bool },
    /// Nothing is there now.
    Nothing,
    /// The gateway closed its end.
    End,
}

/// A second descriptor of the same socket, which the function's code does not know.
///
/// # Errors
///
/// If `fd` is no open descriptor or there are too many.
pub(crate) fn duplicate(fd: RawFd) -> io::Result<RawFd> {
    // SAFETY: fcntl with F_DUPFD_CLOEXEC takes integers only.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(copy)
}

/// Makes reads and writes of the socket return instead of waiting.
///
/// # Errors
///
/// If `fd` is no open descriptor.
pub(crate) fn set_nonblocking(fd: RawFd) -> io::Result<()> {
    // SAFETY: fcntl with F_GETFL and F_SETFL takes integers only.
    let done = unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        flags >= 0 && libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) >= 0
    };
    if done {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Appends what one read brings to `buffer`.
///
/// # Errors
///
/// If the socket is broken; a reset by the gateway counts as [`Received::End`].
pub(crate) fn receive(fd: RawFd, buffer: &mut BytesMut) -> io::Result<Received> {
    buffer.reserve(READ_BYTES);
    let spare = buffer.spare_capacity_mut();
    let room = spare.len();
    // SAFETY: the kernel writes at most `room` bytes into memory that `buffer` owns.
    let count = unsafe { libc::recv(fd, spare.as_mut_ptr().cast(), room, 0) };
    let Ok(count) = usize::try_from(count) else {
        return no_bytes(&io::Error::last_os_error());
    };
    // SAFETY: the kernel has just initialised the first `count` bytes of the spare capacity.
    unsafe { buffer.set_len(buffer.len() + count) };
    Ok(if count == 0 {
        Received::End
    } else {
        let all = count < room;
        Received::Bytes { count, all }
    })
}

fn no_bytes(error: &io::Error) -> io::Result<Received> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(Received::Nothing),
        io::ErrorKind::ConnectionReset => Ok(Received::End),
        kind => Err(kind.into()),
    }
}

/// Sends `buffer` until it is empty or the socket full; true if it is empty.
///
/// # Errors
///
/// If the gateway no longer reads.
pub(crate) fn transmit(fd: RawFd, buffer: &mut BytesMut) -> io::Result<bool> {
    while buffer.has_remaining() {
        // SAFETY: the kernel reads at most `buffer.len()` bytes from memory that `buffer` owns.
        let count =
            unsafe { libc::send(fd, buffer.as_ptr().cast(), buffer.len(), libc::MSG_NOSIGNAL) };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(false),
                io::ErrorKind::Interrupted => continue,
                _ => return Err(error),
            }
        };
        buffer.advance(count);
    }
    Ok(true)
}
