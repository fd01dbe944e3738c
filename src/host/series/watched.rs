//! The call of a series while somebody waits for it: whose turn it is, and for how long it may go on.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use crate::host::board::Running;
use crate::host::call::Question;
use crate::host::failure::Failure;
use crate::host::session::Session;

/// How long to wait at least before the board is looked at again.
const SHORTEST_LOOK: Duration = Duration::from_millis(1);

/// A call of several functions. If it is dropped before its answer comes, it is abandoned.
pub(super) struct Watched<'a> {
    sessions: &'a [&'a mut Session],
    /// How long each of them may take.
    limits: &'a [Duration],
    asked: Instant,
    call: Option<Question>,
}

/// How a call ended.
pub(super) enum Answer {
    /// With a reply.
    Reply(Bytes),
    /// With the failure of a function that the worker describes so.
    Error(Failure, Bytes),
    /// Without a word: the function at this place ended the process, or ran longer than it may.
    Ended(usize, Failure),
}

impl<'a> Watched<'a> {
    /// Watches `call`, which goes to `sessions`.
    pub(super) fn new(
        sessions: &'a [&'a mut Session],
        limits: &'a [Duration],
        call: Question,
    ) -> Self {
        Self {
            sessions,
            limits,
            asked: Instant::now(),
            call: Some(call),
        }
    }

    /// The answer; waits as long as the function that runs may take.
    pub(super) async fn answer(mut self) -> Answer {
        // The board is memory of theirs: whatever stands there, together they have no more time than this.
        let most = total(self.limits);
        let mut running = Running {
            index: 0,
            time: Duration::ZERO,
        };
        while let Some(call) = &mut self.call
            && running.time < self.limits[running.index]
            && self.asked.elapsed() < most
        {
            let look = until_next_look(self.limits, running);
            match timeout(look, call.answer_raw()).await {
                Ok(answer) => return self.finish(answer),
                Err(_) => running = self.running(),
            }
        }
        self.overrun(running.index)
    }

    fn finish(&mut self, answer: Result<Bytes, (Failure, Option<Bytes>)>) -> Answer {
        let answer = match answer {
            Ok(reply) => Answer::Reply(reply),
            Err((failure, Some(described))) => Answer::Error(failure, described),
            Err((failure, None)) => Answer::Ended(self.running().index, failure),
        };
        self.call = None;
        answer
    }

    fn overrun(&mut self, place: usize) -> Answer {
        if let Some(call) = self.call.take() {
            self.sessions[place].overrun(call);
        }
        Answer::Ended(place, Failure::TimedOut(self.limits[place]))
    }

    /// The function that runs.
    fn running(&self) -> Running {
        let noted = self.call.as_ref().and_then(Question::running);
        let functions = self.limits.len();
        noted
            .filter(|running| running.index < functions)
            .unwrap_or_else(|| Running {
                index: 0,
                time: self.asked.elapsed(),
            })
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let place = self.running().index;
        if let Some(call) = self.call.take() {
            // Those behind it may be called before the worker reads that nobody waits.
            self.sessions[place].abandon_hook(call, total(&self.limits[place..]));
        }
    }
}

/// How long to wait until the board is looked at again: a function behind the one that runs may have less time, and may
/// begin at once.
fn until_next_look(limits: &[Duration], running: Running) -> Duration {
    let left = limits[running.index].saturating_sub(running.time);
    let behind = limits[running.index + 1..].iter().copied().min();
    let look = behind.map_or(left, |limit| limit.min(left));
    look.max(SHORTEST_LOOK)
}

fn total(limits: &[Duration]) -> Duration {
    let limits = limits.iter().copied();
    limits.fold(Duration::ZERO, Duration::saturating_add)
}
