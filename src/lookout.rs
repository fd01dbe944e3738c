//! A change that is awaited beside something busy.

use std::future::Future;
use std::ops::DerefMut;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::sync::watch;

/// Resolves with `signal`, which comes of a change of what is watched. For tasks that ask at every event or piece: while the
/// task is sure to be woken, a look at one number is enough.
#[derive(Debug)]
pub(crate) struct LookOut<T, F> {
    watched: watch::Receiver<T>,
    signal: Pin<F>,
    /// Whom the signal wakes.
    waker: Option<Waker>,
}

impl<T, F> LookOut<T, F> {
    /// Waits for `signal`, which waits for changes of `watched`.
    pub(crate) fn new(watched: watch::Receiver<T>, signal: Pin<F>) -> Self {
        Self {
            watched,
            signal,
            waker: None,
        }
    }
}

impl<T, F> Future for LookOut<T, F>
where
    F: Unpin + DerefMut<Target: Future<Output = ()>>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let known = this.waker.as_ref();
        let is_awaited = known.is_some_and(|waker| waker.will_wake(context.waker()));
        if is_awaited && matches!(this.watched.has_changed(), Ok(false)) {
            return Poll::Pending;
        }
        this.waker = Some(context.waker().clone());
        this.signal.as_mut().poll(context)
    }
}
