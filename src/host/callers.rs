//! Who waits for what a worker answers, by the ids that were given out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

use frames::{Frame, INITIAL_CREDIT, Kind, chunk_cost};
use tokio::sync::{Notify, mpsc, oneshot};

use super::breach::{Breach, answers};

/// The callers of one worker.
#[derive(Debug)]
pub(super) struct Callers {
    /// Held for map operations only.
    waiting: Mutex<HashMap<u32, Waiter>>,
    next_id: AtomicU32,
    are_gone: AtomicBool,
    idle: Notify,
}

/// Who waits for the answers to a call.
#[derive(Debug)]
pub(super) enum Waiter {
    /// For one answer.
    One {
        /// The kind of frame that asked.
        asked: Kind,
        /// Where the answer goes.
        tell: oneshot::Sender<Frame>,
    },
    /// For a stream of them.
    Many {
        /// Where they go.
        tell: mpsc::UnboundedSender<Frame>,
        /// The credit that is left for what comes.
        window: i64,
    },
}

impl Waiter {
    /// One who waits for a stream that has just begun.
    pub(super) fn many(tell: mpsc::UnboundedSender<Frame>) -> Self {
        let window = i64::from(INITIAL_CREDIT);
        Self::Many { tell, window }
    }

    fn suits(&self, answer: Kind) -> bool {
        match self {
            Self::One { asked, .. } => answers(answer, *asked),
            Self::Many { .. } => answers(answer, Kind::Call),
        }
    }

    /// Hands over the last answer. Whoever waited may have just gone.
    fn finish(self, frame: Frame) {
        match self {
            Self::One { tell, .. } => drop(tell.send(frame)),
            Self::Many { tell, .. } => drop(tell.send(frame)),
        }
    }
}

impl Default for Callers {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            next_id: AtomicU32::new(1),
            are_gone: AtomicBool::new(false),
            idle: Notify::new(),
        }
    }
}

impl Callers {
    /// An id that no other has now.
    pub(super) fn next_id(&self) -> u32 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// How many wait.
    pub(super) fn count(&self) -> usize {
        self.waiting().len()
    }

    /// Whether nobody can be answered any more.
    pub(super) fn are_gone(&self) -> bool {
        self.are_gone.load(Ordering::Acquire)
    }

    /// Resolves once nobody waits, or can be answered. Cancel safe.
    pub(super) async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.count() == 0 || self.are_gone() {
                return;
            }
            idle.await;
        }
    }

    /// Resolves once nobody can be answered any more. Cancel safe.
    pub(super) async fn gone(&self) {
        loop {
            let idle = self.idle.notified();
            if self.are_gone() {
                return;
            }
            idle.await;
        }
    }

    /// Notes who waits for `id`. If nobody can be answered he is dropped at once, which tells him.
    pub(super) fn enlist(&self, id: u32, waiter: Waiter) {
        let mut waiting = self.waiting();
        if !self.are_gone() {
            waiting.insert(id, waiter);
        }
    }

    /// Puts another in the place of the one who waits for `id`; false if the last answer has come.
    pub(super) fn relist(&self, id: u32, waiter: Waiter) -> bool {
        let mut waiting = self.waiting();
        let place = waiting.get_mut(&id);
        place.map(|place| *place = waiter).is_some()
    }

    /// Takes who waits for `id` off the list.
    pub(super) fn delist(&self, id: u32) -> Option<Waiter> {
        let mut waiting = self.waiting();
        let waiter = waiting.remove(&id);
        if waiter.is_some() && waiting.is_empty() {
            self.idle.notify_waiters();
        }
        waiter
    }

    /// Lets more of a stream come, for so much credit, of which the worker is told next.
    pub(super) fn widen(&self, id: u32, credit: u32) {
        if let Some(Waiter::Many { window, .. }) = self.waiting().get_mut(&id) {
            *window += i64::from(credit);
        }
    }

    /// Hands the last answer to who waits for it; one to a call that was given up is dropped.
    ///
    /// # Errors
    ///
    /// If nobody can have asked for it.
    pub(super) fn deliver(&self, frame: Frame) -> Result<(), Breach> {
        self.check_was_asked(frame.id)?;
        match self.delist(frame.id) {
            Some(waiter) if !waiter.suits(frame.kind) => Err(Breach::WrongAnswer),
            Some(waiter) => {
                waiter.finish(frame);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Hands a piece of a stream to who waits for it; of a stream that was given up it is dropped.
    ///
    /// # Errors
    ///
    /// If there was no credit for it, or nobody can have asked.
    pub(super) fn deliver_chunk(&self, frame: Frame) -> Result<(), Breach> {
        self.check_was_asked(frame.id)?;
        if let Some(Waiter::Many { tell, window }) = self.waiting().get_mut(&frame.id) {
            if *window <= 0 {
                return Err(Breach::NoCredit);
            }
            *window -= i64::from(chunk_cost(frame.payload.len()));
            // Fails if the one who waited has just gone.
            let _ = tell.send(frame);
        }
        Ok(())
    }

    /// Sends everybody away: what they wait for does not come.
    pub(super) fn dismiss(&self) {
        let mut waiting = self.waiting();
        self.are_gone.store(true, Ordering::Release);
        let calls = std::mem::take(&mut *waiting);
        drop(waiting);
        drop(calls);
        self.idle.notify_waiters();
    }

    /// Ids begin anew after four billion, so those of the past are in the lower half of all, counted back from the
    /// next.
    fn check_was_asked(&self, id: u32) -> Result<(), Breach> {
        let age = self.next_id.load(Ordering::Relaxed).wrapping_sub(id);
        match age > 0 && age <= u32::MAX / 2 {
            true => Ok(()),
            false => Err(Breach::NeverAsked),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u32, Waiter>> {
        self.waiting
            .lock()
            .expect("no code that holds this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn chunk(id: u32, length: usize) -> Frame {
        Frame::new(Kind::Chunk, id, vec![b'x'; length].into())
    }

    #[test]
    fn a_stream_may_use_up_its_credit_and_no_more() {
        let callers = Callers::default();
        let id = callers.next_id();
        let (tell, mut frames) = mpsc::unbounded_channel();
        callers.enlist(id, Waiter::many(tell));
        for _ in 0..INITIAL_CREDIT - 1 {
            assert_eq!(callers.deliver_chunk(chunk(id, 1)), Ok(()));
        }
        // The last may be as long as it likes.
        assert_eq!(callers.deliver_chunk(chunk(id, 1 << 20)), Ok(()));
        assert_eq!(callers.deliver_chunk(chunk(id, 1)), Err(Breach::NoCredit));
        callers.widen(id, chunk_cost(1 << 20));
        assert_eq!(callers.deliver_chunk(chunk(id, 1)), Ok(()));
        assert_eq!(std::iter::from_fn(|| frames.try_recv().ok()).count(), 65);
    }

    #[test]
    fn only_what_was_asked_is_answered_with_what_suits_it() {
        let callers = Callers::default();
        let frame = |kind, id| Frame::new(kind, id, Bytes::new());
        assert_eq!(
            callers.deliver(frame(Kind::Reply, 1)),
            Err(Breach::NeverAsked)
        );
        for (asked, answer, verdict) in [
            (Kind::Call, Kind::Reply, Ok(())),
            (Kind::Call, Kind::Pong, Err(Breach::WrongAnswer)),
            (Kind::Load, Kind::Failed, Ok(())),
            (Kind::Ping, Kind::Reply, Err(Breach::WrongAnswer)),
        ] {
            let id = callers.next_id();
            let (tell, _answer) = oneshot::channel();
            callers.enlist(id, Waiter::One { asked, tell });
            assert_eq!(callers.deliver(frame(answer, id)), verdict, "{asked:?}");
            // A second answer is to a call that is over.
            assert_eq!(callers.deliver(frame(Kind::Reply, id)), Ok(()));
        }
    }

    #[test]
    fn ids_that_begin_anew_are_still_known() {
        let callers = Callers::default();
        callers.next_id.store(5, Ordering::Relaxed);
        assert_eq!(callers.check_was_asked(u32::MAX), Ok(()));
        assert_eq!(callers.check_was_asked(4), Ok(()));
        assert_eq!(callers.check_was_asked(5), Err(Breach::NeverAsked));
    }
}
