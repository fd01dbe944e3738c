//! One timer for all deadlines of a connection, with a client or with a model server.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// Made when the first deadline is waited for, and set anew only when it fires too early or a
/// nearer deadline comes: a connection that never stalls costs the clock nothing.
#[derive(Debug, Default)]
pub(crate) struct Timer(Option<Armed>);

#[derive(Debug)]
struct Armed {
    sleep: Pin<Box<Sleep>>,
    /// Whom it wakes: who asks again need not be noted again.
    waker: Option<Waker>,
}

impl Timer {
    /// Ready at `deadline`. The task polled last is woken then, or earlier for nothing.
    pub(crate) fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let armed = self.0.get_or_insert_with(|| Armed {
            sleep: Box::pin(sleep_until(deadline)),
            waker: None,
        });
        if armed.sleep.deadline() > deadline {
            armed.set(deadline);
        }
        loop {
            ready!(armed.poll(cx));
            if armed.sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            armed.set(deadline);
        }
    }
}

impl Timer {
    /// Whether the task that asks is sure to be woken by `deadline`, which it set once.
    pub(crate) fn wakes(&self, cx: &Context<'_>, deadline: Instant) -> bool {
        let armed = self.0.as_ref();
        armed.is_some_and(|armed| armed.sleep.deadline() <= deadline && armed.wakes(cx))
    }
}

impl Armed {
    fn wakes(&self, cx: &Context<'_>) -> bool {
        let known = self.waker.as_ref();
        !self.sleep.is_elapsed() && known.is_some_and(|waker| waker.will_wake(cx.waker()))
    }

    fn set(&mut self, deadline: Instant) {
        self.sleep.as_mut().reset(deadline);
        self.waker = None;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.wakes(cx) {
            return Poll::Pending;
        }
        self.waker = Some(cx.waker().clone());
        self.sleep.as_mut().poll(cx)
    }
}
