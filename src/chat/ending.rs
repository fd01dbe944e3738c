//! The end of the gateway, waited for beside something else.

use std::pin::Pin;

use tokio::sync::watch;

use crate::lookout::LookOut;

/// Resolves when answers can be waited for no longer. For streams, which ask at every event.
pub(super) type Ending = LookOut<bool, Box<dyn Future<Output = ()> + Send>>;

/// The end that `phase` tells of.
pub(super) fn ending(phase: &watch::Receiver<bool>) -> Ending {
    let change: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(until(phase.clone()));
    LookOut::new(phase.clone(), change)
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
        let mut ending = super::ending(&phase);
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
