//! Lines of JSON between two processes, with descriptors beside them.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// The longest line. What an error says is cut to fit.
const LINE_BYTES: usize = 16 * 1024;

/// How many descriptors go with a line.
const DESCRIPTORS: usize = 2;

/// One end of the conversation.
#[derive(Debug)]
pub(super) struct Channel {
    stream: UnixStream,
    /// What came after the last line that was read.
    received: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl Channel {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            received: Vec::new(),
            descriptors: Vec::new(),
        }
    }

    /// The user and the process at the other end.
    pub(super) fn peer(&self) -> io::Result<tokio::net::unix::UCred> {
        self.stream.peer_cred()
    }

    /// Sends a message, and with it copies of these descriptors, two at most.
    pub(super) async fn send(
        &self,
        message: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let mut line = serde_json::to_vec(message).map_err(io::Error::other)?;
        line.push(b'\n');
        let mut sent = self.send_some(&line, descriptors).await?;
        while sent < line.len() {
            sent += self.send_some(&line[sent..], &[]).await?;
        }
        Ok(())
    }

    async fn send_some(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
        let send = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty()
                && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors))
            {
                return Err(io::Error::other("too many descriptors for one message"));
            }
            let parts = [IoSlice::new(bytes)];
            let flags = SendFlags::NOSIGNAL;
            Ok(rustix::net::sendmsg(
                &self.stream,
                &parts,
                &mut ancillary,
                flags,
            )?)
        };
        self.stream.async_io(Interest::WRITABLE, send).await
    }

    /// The next message, `None` when the other end is closed. Cancel safe: what came of a line is kept.
    pub(super) async fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                return serde_json::from_slice(&line)
                    .map(Some)
                    .map_err(io::Error::other);
            }
            if self.received.len() > LINE_BYTES {
                return Err(io::Error::other("a message is too long"));
            }
            if !self.receive_some().await? {
                return Ok(None);
            }
        }
    }

    /// Takes what has come; false at the end.
    async fn receive_some(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        let mut descriptors = Vec::new();
        let receive = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let parts = &mut [IoSliceMut::new(&mut buffer)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            let received = rustix::net::recvmsg(&self.stream, parts, &mut ancillary, flags)?;
            descriptors.extend(ancillary.drain().flat_map(of_message));
            Ok(received.bytes)
        };
        let length = match self.stream.async_io(Interest::READABLE, receive).await {
            // It ended with something unread, which says no more than that it ended.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            received => received?,
        };
        self.received.extend_from_slice(&buffer[..length]);
        self.descriptors.append(&mut descriptors);
        Ok(length > 0)
    }

    /// The two descriptors that came with the messages so far.
    pub(super) fn take_descriptors(&mut self) -> Option<[OwnedFd; DESCRIPTORS]> {
        std::mem::take(&mut self.descriptors).try_into().ok()
    }
}

fn of_message(message: RecvAncillaryMessage<'_>) -> Vec<OwnedFd> {
    match message {
        RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;

    #[tokio::test]
    async fn messages_come_in_order_and_descriptors_with_them() {
        let (one, other) = UnixStream::pair().unwrap();
        let (one, mut other) = (Channel::new(one), Channel::new(other));
        let file = File::open("/dev/zero").unwrap();
        one.send(&"first", &[file.as_fd(), file.as_fd()])
            .await
            .unwrap();
        one.send(&"x".repeat(10_000), &[]).await.unwrap();
        drop(one);
        assert_eq!(other.receive().await.unwrap(), Some("first".to_owned()));
        let [first, _] = other.take_descriptors().unwrap();
        let mut byte = [1];
        File::from(first).read_exact(&mut byte).unwrap();
        assert_eq!(byte, [0]);
        assert_eq!(other.receive().await.unwrap(), Some("x".repeat(10_000)));
        assert_eq!(other.receive::<String>().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_line_without_end_is_an_error() {
        let (one, other) = UnixStream::pair().unwrap();
        let (one, mut other) = (Channel::new(one), Channel::new(other));
        let endless = tokio::spawn(async move { one.send(&"x".repeat(1 << 20), &[]).await });
        other.receive::<String>().await.unwrap_err();
        drop(other);
        endless.await.unwrap().unwrap_err();
    }
}
