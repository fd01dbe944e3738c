//! Joins the pieces of a stream that are there at the same time, so that a burst costs one write and not one for each
//! event. Nothing is waited for.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;

use crate::error::Result;

/// The most that is joined.
const JOINED_BYTES: usize = 16 << 10;

/// What a poll of the inner stream brought that has to wait for the joined bytes to go first.
type Next = Option<Result<Bytes>>;

/// A stream whose ready pieces come as one.
#[derive(Debug)]
pub(super) struct Gather<S> {
    pieces: S,
    first: Bytes,
    joined: BytesMut,
    /// The end, or an error, that follows what was joined.
    after: Option<Next>,
}

impl<S> Gather<S> {
    /// Gathers the pieces of `pieces`.
    pub(super) fn new(pieces: S) -> Self {
        Self {
            pieces,
            first: Bytes::new(),
            joined: BytesMut::new(),
            after: None,
        }
    }

    fn add(&mut self, piece: Bytes) {
        if self.first.is_empty() {
            self.first = piece;
            return;
        }
        if self.joined.is_empty() {
            self.joined.extend_from_slice(&self.first);
        }
        self.joined.extend_from_slice(&piece);
    }

    /// What was gathered; a piece that came alone is not copied.
    fn take(&mut self) -> Bytes {
        let first = std::mem::take(&mut self.first);
        if self.joined.is_empty() {
            first
        } else {
            self.joined.split().freeze()
        }
    }
}

impl<S: Stream<Item = Result<Bytes>> + Unpin> Stream for Gather<S> {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Next> {
        let this = self.get_mut();
        if let Some(after) = this.after.take() {
            return Poll::Ready(after);
        }
        while this.first.len().max(this.joined.len()) < JOINED_BYTES {
            match Pin::new(&mut this.pieces).poll_next(context) {
                Poll::Ready(Some(Ok(piece))) => this.add(piece),
                Poll::Ready(next) if this.first.is_empty() => return Poll::Ready(next),
                Poll::Ready(next) => {
                    this.after = Some(next);
                    break;
                }
                Poll::Pending if this.first.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Some(Ok(this.take())))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt, stream};

    use super::*;
    use crate::error::{Error, Kind};

    fn ready(pieces: Vec<Result<Bytes>>) -> Gather<impl Stream<Item = Result<Bytes>> + Unpin> {
        Gather::new(stream::iter(pieces))
    }

    #[tokio::test]
    async fn what_is_ready_comes_as_one_and_the_error_behind_it_after() {
        let error = Error::new(Kind::UpstreamCut, "cut");
        let mut gather = ready(vec![Ok("a".into()), Ok("bc".into()), Err(error)]);
        assert_eq!(gather.next().await.unwrap().unwrap(), "abc");
        assert!(gather.next().await.unwrap().is_err());
        assert!(gather.next().await.is_none());
    }

    #[tokio::test]
    async fn a_piece_alone_is_not_copied_and_waits_for_nothing() {
        let piece = Bytes::from_static(b"alone");
        let rest = stream::pending();
        let pieces = stream::iter([Ok(piece.clone())]).chain(rest);
        let mut gather = Gather::new(pieces);
        let gathered = gather.next().await.unwrap().unwrap();
        assert_eq!(gathered.as_ptr(), piece.as_ptr());
        assert!(gather.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_burst_is_cut_at_the_limit() {
        let piece = Bytes::from(vec![b'x'; JOINED_BYTES / 2]);
        let mut gather = ready((0..3).map(|_| Ok(piece.clone())).collect());
        assert_eq!(gather.next().await.unwrap().unwrap().len(), JOINED_BYTES);
        assert_eq!(gather.next().await.unwrap().unwrap().len(), piece.len());
    }
}
