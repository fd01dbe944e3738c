//! Who is woken for a connection that is driven by whoever waits for its answer.
//!
//! The connection knows one waker for all its life, the bell's, and drivers come and go behind it. Two things follow. A
//! connection for which nobody has rung needs no look, which would cost about a thousand instructions each time. And what
//! its driver's own look at an answer rings for, that there is room for the next piece, wakes nobody: the driver is there.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use futures_util::task::AtomicWaker;

/// Wakes the driver of one connection.
pub(super) struct Bell {
    ring: Arc<Ring>,
    /// Rings it.
    waker: Waker,
}

#[derive(Default)]
struct Ring {
    driver: AtomicWaker,
    has_rung: AtomicBool,
    /// The same while it was muted.
    has_rung_softly: AtomicBool,
    is_muted: AtomicBool,
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_muted.load(Ordering::Relaxed) {
            self.has_rung_softly.store(true, Ordering::Release);
        } else {
            self.has_rung.store(true, Ordering::Release);
            self.driver.wake();
        }
    }
}

impl Bell {
    /// The bell of a connection that was not looked at yet.
    pub(super) fn new() -> Self {
        let ring = Arc::new(Ring {
            has_rung: AtomicBool::new(true),
            ..Ring::default()
        });
        Self {
            waker: Waker::from(Arc::clone(&ring)),
            ring,
        }
    }

    /// What rings it.
    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Whether it has rung since the last time; from now on it wakes `driver`.
    pub(super) fn has_rung(&self, driver: &Waker) -> bool {
        // First, so that what rings right after the look wakes somebody.
        self.ring.driver.register(driver);
        // A look is less than a change, and most find nothing.
        let take =
            |flag: &AtomicBool| flag.load(Ordering::Acquire) && flag.swap(false, Ordering::AcqRel);
        take(&self.ring.has_rung) | take(&self.ring.has_rung_softly)
    }

    /// Does what may ring, and wakes nobody for it: the driver looks itself before it waits again.
    pub(super) fn muted<T>(&self, action: impl FnOnce() -> T) -> T {
        self.ring.is_muted.store(true, Ordering::Relaxed);
        let done = action();
        self.ring.is_muted.store(false, Ordering::Relaxed);
        done
    }

    /// Has no driver for now, since the last answer has ended: room for more of it is of no interest any more.
    pub(super) fn rest(&self) {
        drop(self.ring.driver.take());
        self.ring.has_rung_softly.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell")
            .field("has_rung", &self.ring.has_rung)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn it_tells_once_what_has_rung_and_wakes_the_last_driver() {
        let (first, last) = (Arc::<Woken>::default(), Arc::<Woken>::default());
        let [first_waker, last_waker] = [&first, &last].map(|woken| Waker::from(Arc::clone(woken)));
        let bell = Bell::new();
        assert!(bell.has_rung(&first_waker), "nobody has looked yet");
        assert!(!bell.has_rung(&last_waker));
        bell.waker().wake_by_ref();
        assert!(bell.has_rung(&last_waker));
        assert!(!bell.has_rung(&last_waker));
        bell.rest();
        bell.waker().wake_by_ref();
        let count = |woken: &Woken| woken.0.load(Ordering::Relaxed);
        assert_eq!((count(&first), count(&last)), (0, 1));
    }

    #[test]
    fn what_rings_while_it_is_muted_is_known_and_wakes_nobody() {
        let woken = Arc::<Woken>::default();
        let waker = Waker::from(Arc::clone(&woken));
        let bell = Bell::new();
        assert!(bell.has_rung(&waker));
        bell.muted(|| bell.waker().wake_by_ref());
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        assert!(bell.has_rung(&waker));
        bell.muted(|| bell.waker().wake_by_ref());
        bell.rest();
        assert!(!bell.has_rung(&waker), "that was about the last answer");
        bell.waker().wake_by_ref();
        bell.rest();
        assert!(bell.has_rung(&waker), "a server may have closed it");
    }
}
