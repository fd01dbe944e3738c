//! The way to the end: from the first signal to the last connection.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::lookout::LookOut;

/// How long streams have to write their error event before their connections are dropped.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How far the shutdown has come; later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// No signal has come.
    Running,
    /// No new connection is accepted; requests in flight finish.
    Draining,
    /// The drain limit has passed: streams write an error event and end.
    Ending,
    /// Connections are dropped as they are.
    Cut,
}

/// Tells every part of the gateway that it is to end; clones belong together.
#[derive(Clone, Debug)]
pub struct Shutdown {
    phase: Arc<watch::Sender<Phase>>,
    last_call: LastCall,
    handover: Arc<Handover>,
}

/// Whether requests are the last of their connections. For those who ask at every answer: a look at one number, which
/// shows the first signal before anybody is woken by it.
#[derive(Clone, Debug, Default)]
pub(super) struct LastCall(Arc<AtomicBool>);

impl LastCall {
    /// Whether they are.
    pub(super) fn has_come(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// That another process serves in place of this one.
#[derive(Debug, Default)]
struct Handover {
    is_done: AtomicBool,
    keeps_listener: AtomicBool,
    /// Whether the signal after it is still to come: it is the first one.
    awaits_signal: AtomicBool,
    /// Becomes true when nothing is accepted here any more.
    is_closed: watch::Sender<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A gateway that runs.
    #[must_use]
    pub fn new() -> Self {
        Self {
            phase: Arc::new(watch::Sender::new(Phase::Running)),
            last_call: LastCall::default(),
            handover: Arc::default(),
        }
    }

    /// Begins to drain because another process serves in place of this one, on the same listening socket or on another:
    /// those who are connected get to send their request.
    pub fn hand_over(&self, keeps_listener: bool) {
        let Handover {
            is_done,
            keeps_listener: keeps,
            awaits_signal,
            ..
        } = &*self.handover;
        keeps.store(keeps_listener, Ordering::Release);
        awaits_signal.store(self.phase() == Phase::Running, Ordering::Release);
        is_done.store(true, Ordering::Release);
        self.advance(Phase::Draining);
    }

    /// Whether another process serves in place of this one.
    #[must_use]
    pub fn is_handed_over(&self) -> bool {
        self.handover.is_done.load(Ordering::Acquire)
    }

    /// Whether another process accepts on the same listening socket.
    #[must_use]
    pub fn is_listener_kept(&self) -> bool {
        self.handover.keeps_listener.load(Ordering::Acquire)
    }

    /// Notes that nothing is accepted any more.
    pub(super) fn note_closed(&self) {
        self.handover.is_closed.send_replace(true);
    }

    /// Waits until nothing is accepted any more. Cancel safe.
    pub async fn closed(&self) {
        let mut is_closed = self.handover.is_closed.subscribe();
        // Fails only without a sender, and `self` holds it.
        let _ = is_closed.wait_for(|is_closed| *is_closed).await;
    }

    /// Takes a signal: the first begins to drain, a second one ends at once.
    pub fn signal(&self) {
        if self.handover.awaits_signal.swap(false, Ordering::AcqRel) {
            return;
        }
        self.last_call.0.store(true, Ordering::Relaxed);
        self.phase.send_modify(|phase| {
            *phase = match *phase {
                Phase::Running => Phase::Draining,
                _ => Phase::Cut,
            }
        });
    }

    /// Whether requests are the last of their connections, now and later.
    pub(super) fn last_call(&self) -> LastCall {
        self.last_call.clone()
    }

    /// How far the shutdown has come.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Waits for the first signal. Cancel safe.
    pub async fn draining(&self) {
        self.reached(Phase::Draining).await;
    }

    /// The same for whoever asks again and again: `signal` is [`Shutdown::draining`].
    pub(super) fn look_out<F>(&self, signal: Pin<F>) -> LookOut<Phase, F> {
        LookOut::new(self.phase.subscribe(), signal)
    }

    /// Waits until streams are to write their error event. Cancel safe.
    pub async fn ending(&self) {
        self.reached(Phase::Ending).await;
    }

    /// Waits until connections are dropped. Cancel safe.
    pub async fn cut(&self) {
        self.reached(Phase::Cut).await;
    }

    /// Once the first signal has come, gives requests `limit` to finish, then ends step by step.
    pub(super) async fn count_down(&self, limit: Duration) {
        self.draining().await;
        sleep(limit).await;
        self.advance(Phase::Ending);
        sleep(LAST_WORDS).await;
        self.advance(Phase::Cut);
    }

    /// Never goes back: a second signal may have come in between.
    fn advance(&self, to: Phase) {
        self.last_call.0.store(true, Ordering::Relaxed);
        self.phase
            .send_if_modified(|phase| std::mem::replace(phase, to.max(*phase)) < to);
    }

    async fn reached(&self, wanted: Phase) {
        let mut phase = self.phase.subscribe();
        phase
            .wait_for(|phase| *phase >= wanted)
            .await
            .expect("the sender lives as long as `self`");
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_count_down_goes_through_every_phase() {
        let shutdown = Shutdown::new();
        let counting = shutdown.clone();
        let count_down =
            tokio::spawn(async move { counting.count_down(Duration::from_secs(60)).await });
        let start = Instant::now();
        shutdown.signal();
        shutdown.draining().await;
        assert_eq!(shutdown.phase(), Phase::Draining);
        shutdown.ending().await;
        assert!(start.elapsed() >= Duration::from_secs(60));
        shutdown.cut().await;
        assert!(start.elapsed() >= Duration::from_secs(60) + LAST_WORDS);
        count_down.await.expect("counted down");
    }

    #[tokio::test]
    async fn whoever_asks_again_and_again_hears_of_the_signal() {
        let shutdown = Shutdown::new();
        let watched = shutdown.clone();
        let (asked, mut asking) = tokio::sync::mpsc::unbounded_channel();
        let waiting = tokio::spawn(async move {
            let signal = pin!(watched.draining());
            let mut signal = watched.look_out(signal);
            // Another waker first, then twice the task's own.
            assert!((&mut signal).now_or_never().is_none());
            for _ in 0..2 {
                tokio::select! {
                    biased;
                    () = &mut signal => unreachable!("there was none"),
                    () = tokio::task::yield_now() => {}
                }
            }
            asked.send(()).expect("the test listens");
            signal.await;
        });
        asking.recv().await.expect("the task asks");
        shutdown.signal();
        waiting.await.expect("it was heard");
    }

    #[tokio::test]
    async fn the_first_signal_after_a_hand_over_lets_requests_finish() {
        let shutdown = Shutdown::new();
        shutdown.hand_over(true);
        shutdown.draining().await;
        shutdown.signal();
        assert_eq!(shutdown.phase(), Phase::Draining);
        shutdown.signal();
        assert_eq!(shutdown.phase(), Phase::Cut);
    }

    #[tokio::test]
    async fn a_second_signal_ends_at_once_and_nothing_goes_back() {
        let shutdown = Shutdown::new();
        shutdown.signal();
        shutdown.clone().signal();
        shutdown.cut().await;
        shutdown.advance(Phase::Ending);
        shutdown.signal();
        assert_eq!(shutdown.phase(), Phase::Cut);
    }
}
