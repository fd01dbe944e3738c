//! The thread on which a worker's answers are read: that of whoever calls it, if one thread alone does. An answer that
//! is read on another thread than the one that waits for it costs a thread woken for nothing.

use std::thread::{self, ThreadId};

use tokio::runtime::Handle;

use super::flusher::is_of_one_thread;

/// Calls in a row from another thread after which the reader moves there. Threads that call by turns never get so far.
const MOVES_AFTER: u32 = 64;

/// Where the reader is, and who calls.
#[derive(Debug, Default)]
pub(super) struct Home {
    reader: Option<ThreadId>,
    caller: Option<ThreadId>,
    /// Calls in a row from the caller's thread.
    calls: u32,
    next: Option<Handle>,
}

impl Home {
    /// The reader is here.
    pub(super) fn settle(&mut self) {
        self.reader = Some(thread::current().id());
        self.calls = 0;
    }

    /// Notes a call from this thread; whether the reader is to move here.
    pub(super) fn note_call(&mut self) -> bool {
        let here = Some(thread::current().id());
        if self.caller != here {
            self.caller = here;
            self.calls = 0;
        }
        if self.reader == here {
            return false;
        }
        self.calls = self.calls.saturating_add(1);
        if self.calls == MOVES_AFTER {
            // On any other runtime a reader would come no nearer.
            self.next = Handle::try_current().ok().filter(is_of_one_thread);
        }
        self.calls == MOVES_AFTER && self.next.is_some()
    }

    /// The runtime to which the reader moves.
    pub(super) fn next(&mut self) -> Option<Handle> {
        self.next.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes so many calls on a thread with a runtime; how many of them said that the reader is to move.
    fn calls(home: &mut Home, count: u32) -> usize {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let _entered = runtime.enter();
        (0..count).filter(|_| home.note_call()).count()
    }

    fn elsewhere<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| scope.spawn(work).join().unwrap())
    }

    #[test]
    fn the_reader_moves_once_to_the_only_caller() {
        let mut home = Home::default();
        elsewhere(|| home.settle());
        assert_eq!(calls(&mut home, MOVES_AFTER - 1), 0);
        assert_eq!(calls(&mut home, MOVES_AFTER), 1);
        assert!(home.next().is_some());
        home.settle();
        assert_eq!(calls(&mut home, 2 * MOVES_AFTER), 0);
    }

    #[test]
    fn the_reader_stays_with_callers_that_take_turns() {
        let mut home = Home::default();
        home.settle();
        for _ in 0..MOVES_AFTER {
            assert_eq!(elsewhere(|| calls(&mut home, MOVES_AFTER - 1)), 0);
            assert_eq!(calls(&mut home, 1), 0);
        }
        assert!(home.next().is_none());
    }
}
