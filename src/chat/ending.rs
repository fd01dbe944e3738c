//! The end of the gateway, waited for beside something else.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::sync::watch;

/// Resolves when answers can be waited for no longer. For streams, which ask at every event: while the task is sure to
/// be woken, a look at one number is enough.
pub(super) struct Ending {
    phase: watch::Receiver<bool>,
    change: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Whom the change wakes.
    waker: Option<Waker>,
}

impl Ending {
    pub(super) fn new(phase: &watch::Receiver<bool>) -> Self {
        Self {
            change: Box::pin(until(phase.clone())),
            phase: phase.clone(),
            waker: None,
        }
    }
}

impl Future for Ending {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let known = this.waker.as_ref();
        let is_awaited = known.is_some_and(|waker| waker.will_wake(context.waker()));
        if is_awaited && matches!(this.phase.has_changed(), Ok(false)) {
            return Poll::Pending;
        }
        this.waker = Some(context.waker().clone());
        this.change.as_mut().poll(context)
    }
}

/// Resolves once the flag is up. Cancel safe.
pub(super) async fn until(mut flag: watch::Receiver<bool>) {
    if flag.wait_for(|is_up| *is_up).await.is_err() {
        // Nobody can raise it any more.
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn it_is_heard_of_by_whoever_asked_last() {
        let (sender, phase) = watch::channel(false);
        let mut ending = Ending::new(&phase);
        // Another waker first, then twice the task's own.
        assert!((&mut ending).now_or_never().is_none());
        for _ in 0..2 {
            tokio::select! {
                biased;
                () = &mut ending => unreachable!("it has not ended"),
                () = tokio::task::yield_now() => {}
            }
        }
        let waiting = tokio::spawn(ending);
        tokio::task::yield_now().await;
        sender.send_replace(true);
        waiting.await.unwrap();
    }
}
