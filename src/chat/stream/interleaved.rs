//! A stream with what functions tell of their work in between, for clients that asked to hear it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{self, Stream};

use super::Events;
use crate::chat::events::Events as Told;
use crate::error::Result;

/// Events of a stream and of functions, in the order in which they came.
pub(super) struct Interleaved {
    // A stream, because its own next event goes on being made while one of a function leaves.
    events: Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>,
    told: Arc<Told>,
    /// Came after what was told, and waits for it to leave.
    waiting: Option<Option<Result<Bytes>>>,
}

impl Interleaved {
    /// `events` with what is told in between.
    pub(super) fn new(events: Events, told: Arc<Told>) -> Self {
        let events = stream::unfold(events, |mut events| async move {
            let event = events.next().await?;
            Some((event, events))
        });
        Self {
            events: Box::pin(events),
            told,
            waiting: None,
        }
    }

    /// The next event. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        self.told.wake_on_arrival(context.waker());
        if self.waiting.is_none()
            && let Poll::Ready(event) = self.events.as_mut().poll_next(context)
        {
            self.waiting = Some(event);
        }
        match (self.told.next_unsent(), self.waiting.take()) {
            (Some(told), waiting) => {
                self.waiting = waiting;
                Poll::Ready(Some(Ok(told)))
            }
            (None, Some(event)) => Poll::Ready(event),
            (None, None) => Poll::Pending,
        }
    }
}

impl Drop for Interleaved {
    fn drop(&mut self) {
        self.told.hush();
    }
}
