//! A worker's socket. It is written without asking for room first, and watched for bytes only: whoever watched it for
//! room as well would be woken each time the worker takes a frame out.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use bytes::BytesMut;
use rustix::buffer::spare_capacity;
use rustix::net::{SendFlags, Shutdown, send, shutdown};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Room for one read, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// Our end of the socket to a worker, which does not block.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Arc<UnixStream>,
    /// The same socket by another descriptor, for who reads: a runtime watches each descriptor but once. It is made at
    /// the start, so that nothing fails later for want of one.
    read: Arc<UnixStream>,
}

/// The task that reads it, on the runtime in which it was made.
#[derive(Debug)]
pub(super) struct Reader {
    watched: AsyncFd<Arc<UnixStream>>,
    /// Read into, and copied from: what is handed on then has memory of just its length.
    arrived: Vec<u8>,
}

impl Socket {
    /// Takes a socket over.
    ///
    /// # Errors
    ///
    /// If there are no descriptors left.
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            read: Arc::new(stream.try_clone()?),
            stream: Arc::new(stream),
        })
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if there is none, another if the worker is gone.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(&self.stream, bytes, SendFlags::NOSIGNAL)?)
    }

    /// Resolves once there is room, or nobody who makes any. Cancel safe.
    ///
    /// # Errors
    ///
    /// If the runtime cannot watch it.
    pub(super) async fn writable(&self) -> io::Result<()> {
        let watched = watch(&self.stream, Interest::WRITABLE)?;
        let ready = watched.writable().await?;
        drop(ready);
        Ok(())
    }

    /// A reader on the runtime of whoever calls; there is one at a time.
    ///
    /// # Errors
    ///
    /// If the runtime cannot watch it.
    pub(super) fn reader(&self) -> io::Result<Reader> {
        Ok(Reader {
            watched: watch(&self.read, Interest::READABLE)?,
            arrived: Vec::with_capacity(READ_BYTES),
        })
    }

    /// Closes it for good, whoever reads it.
    pub(super) fn shut(&self) {
        // Fails only if it is shut already.
        let _ = shutdown(&self.stream, Shutdown::Both);
    }
}

impl Reader {
    /// Waits for bytes and appends them to `buffer`; gives their number, 0 at the end. Cancel safe.
    ///
    /// # Errors
    ///
    /// If the socket is broken.
    pub(super) async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        self.arrived.clear();
        loop {
            let mut ready = self.watched.readable().await?;
            let arrived = spare_capacity(&mut self.arrived);
            let read = ready.try_io(|socket| Ok(rustix::io::read(socket, arrived)?));
            if let Ok(count) = read {
                // Nothing is left, so there is no need to ask whether there is.
                if self.arrived.len() < self.arrived.capacity() {
                    ready.clear_ready();
                }
                buffer.extend_from_slice(&self.arrived);
                return count;
            }
        }
    }
}

/// Has the runtime of whoever calls watch a socket.
#[expect(
    deprecated,
    reason = "what replaces it is unsafe, for the sake of types whose descriptor may change; these are std's"
)]
fn watch(socket: &Arc<UnixStream>, interest: Interest) -> io::Result<AsyncFd<Arc<UnixStream>>> {
    AsyncFd::with_interest(Arc::clone(socket), interest)
}
