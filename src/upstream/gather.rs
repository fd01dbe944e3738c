//! Joins the pieces of a stream that are there at the same time, so that a burst costs one write and not one for each
//! event. Nothing is waited for, and where pieces come one at a time nothing is looked for behind them.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;

use crate::error::Result;

/// The most that is joined.
const JOINED_BYTES: usize = 16 << 10;

/// What a poll of the inner stream brought that has to wait for the joined bytes to go first.
type Next = Option<Result<Bytes>>;

/// How the pieces come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// Several at a time, or it is not known yet: more is looked for behind each.
    Together,
    /// The last one came alone, so the next is given at once: to look behind it costs as much as to read it.
    Alone,
    /// One was given at once. What the reader finds when it asks again shows whether it was alone.
    Given,
}

/// A stream whose ready pieces come as one.
#[derive(Debug)]
pub(super) struct Gather<S> {
    pieces: S,
    first: Bytes,
    joined: BytesMut,
    /// The end, or an error, that follows what was joined.
    after: Option<Next>,
    pace: Pace,
}

impl<S> Gather<S> {
    /// Gathers the pieces of `pieces`.
    pub(super) fn new(pieces: S) -> Self {
        Self {
            pieces,
            first: Bytes::new(),
            joined: BytesMut::new(),
            after: None,
            pace: Pace::Together,
        }
    }

    /// Notes that a piece was there; whether it is given at once.
    fn came(&mut self) -> bool {
        let was_alone = self.pace == Pace::Alone;
        self.pace = match was_alone {
            true => Pace::Given,
            false => Pace::Together,
        };
        was_alone
    }

    /// Notes that nothing is there, after what was gathered or given.
    fn ran_dry(&mut self) {
        let one_came = !self.first.is_empty() && self.joined.is_empty();
        if one_came || self.pace == Pace::Given {
            self.pace = Pace::Alone;
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
                Poll::Ready(Some(Ok(piece))) => {
                    this.add(piece);
                    if this.came() {
                        break;
                    }
                }
                Poll::Ready(next) if this.first.is_empty() => return Poll::Ready(next),
                Poll::Ready(next) => {
                    this.after = Some(next);
                    break;
                }
                Poll::Pending => {
                    this.ran_dry();
                    if this.first.is_empty() {
                        return Poll::Pending;
                    }
                    break;
                }
            }
        }
        Poll::Ready(Some(Ok(this.take())))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::VecDeque;

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
    async fn nothing_is_looked_for_behind_pieces_that_come_alone_until_two_come() {
        let polls = Cell::new(0);
        let mut script = VecDeque::from(vec!["a", "", "", "b", "", "c", "", "d", "e", "f", ""]);
        let pieces = stream::poll_fn(|_| {
            polls.set(polls.get() + 1);
            match script.pop_front() {
                Some("") => Poll::Pending,
                piece => Poll::Ready(piece.map(|piece| Ok(Bytes::from_static(piece.as_bytes())))),
            }
        });
        let mut gather = Gather::new(pieces);
        let mut next = || {
            let before = polls.get();
            let piece = gather
                .next()
                .now_or_never()
                .map(|piece| piece.map(Result::unwrap));
            (piece.flatten().unwrap_or_default(), polls.get() - before)
        };
        // Alone, as was seen by a look behind it; then given at once, one after the other.
        assert_eq!(next(), ("a".into(), 2));
        assert_eq!(next(), ("".into(), 1));
        assert_eq!(next(), ("b".into(), 1));
        assert_eq!(next(), ("".into(), 1));
        assert_eq!(next(), ("c".into(), 1));
        assert_eq!(next(), ("".into(), 1));
        // Two at a time: those behind the first are joined again.
        assert_eq!(next(), ("d".into(), 1));
        assert_eq!(next(), ("ef".into(), 3));
        assert_eq!(next(), ("".into(), 1));
    }

    #[tokio::test]
    async fn a_burst_is_cut_at_the_limit() {
        let piece = Bytes::from(vec![b'x'; JOINED_BYTES / 2]);
        let mut gather = ready((0..3).map(|_| Ok(piece.clone())).collect());
        assert_eq!(gather.next().await.unwrap().unwrap().len(), JOINED_BYTES);
        assert_eq!(gather.next().await.unwrap().unwrap().len(), piece.len());
    }
}
