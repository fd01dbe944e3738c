//! The body of an answer: pulled by whoever writes it, so that dropping it stops everything behind it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body::{Frame, SizeHint};

use crate::error::{Error, Result};

/// A stream of pieces, boxed once per answer.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// The body of an answer.
pub enum Body {
    /// Nothing, or all of it at once; `None` once it was taken.
    Whole(Option<Bytes>),
    /// Piece by piece. An error aborts the framing after what came before it is flushed.
    Stream(Pieces),
}

impl Body {
    /// A body without bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::Whole(None)
    }

    /// A body that is there at once.
    #[must_use]
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()))
    }

    /// A body that is made while it is read.
    pub fn stream(pieces: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Self {
        Self::Stream(Box::pin(pieces))
    }

    /// The next piece, `None` at the end. Cancel safe: a piece is either returned or still there.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        match self {
            Self::Whole(bytes) => bytes.take().map(Ok),
            Self::Stream(pieces) => pieces.next().await,
        }
    }

    /// All pieces joined.
    ///
    /// # Errors
    ///
    /// The stream's own, or `too_long` once more than `limit_bytes` have come.
    pub async fn collect(
        self,
        limit_bytes: usize,
        too_long: impl FnOnce() -> Error,
    ) -> Result<Bytes> {
        match self {
            Self::Whole(bytes) => {
                let bytes = bytes.unwrap_or_default();
                (bytes.len() <= limit_bytes)
                    .then_some(bytes)
                    .ok_or_else(too_long)
            }
            Self::Stream(pieces) => collect(pieces, limit_bytes, |_| too_long()).await,
        }
    }
}

/// All pieces joined.
///
/// # Errors
///
/// The stream's own, or `too_long` once more than `limit_bytes` have come.
pub async fn collect<S>(
    mut pieces: S,
    limit_bytes: usize,
    too_long: impl FnOnce(&S) -> Error,
) -> Result<Bytes>
where
    S: Stream<Item = Result<Bytes>> + Unpin,
{
    let Some(first) = pieces.next().await.transpose()? else {
        return Ok(Bytes::new());
    };
    let mut joined = None;
    let mut length = first.len();
    while length <= limit_bytes {
        let Some(piece) = pieces.next().await.transpose()? else {
            return Ok(joined.map_or(first, Bytes::from));
        };
        length += piece.len();
        joined
            .get_or_insert_with(|| Vec::from(first.as_ref()))
            .extend_from_slice(&piece);
    }
    Err(too_long(&pieces))
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Error>>> {
        let piece = match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(Ok)),
            Self::Stream(pieces) => pieces.as_mut().poll_next(context),
        };
        piece.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(
                f,
                "Body::Whole({} bytes)",
                bytes.as_ref().map_or(0, Bytes::len)
            ),
            Self::Stream(_) => f.write_str("Body::Stream"),
        }
    }
}
