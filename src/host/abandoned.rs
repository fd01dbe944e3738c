//! Calls whose caller has left: they are cancelled, and a process that does not let go of one is replaced.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout, timeout_at};

use super::call::Question;
use super::failure::Failure;
use super::runner::{Runner, Seat};

/// How long a call may take to end once nobody waits for it.
const LETTING_GO: Duration = Duration::from_secs(1);

/// A call that somebody waits for. If it is dropped before its answer comes, the call is abandoned.
#[derive(Debug)]
pub(super) struct Watched<'a> {
    runner: &'a Arc<Runner>,
    seat: &'a Arc<Seat>,
    call: Option<Question>,
    limit: Duration,
}

impl<'a> Watched<'a> {
    /// Watches `call`, which may take until `limit`.
    pub(super) fn new(
        runner: &'a Arc<Runner>,
        seat: &'a Arc<Seat>,
        call: Question,
        limit: Duration,
    ) -> Self {
        Self {
            runner,
            seat,
            call: Some(call),
            limit,
        }
    }

    /// The answer, as [`Question::answer_raw`]; there is one only.
    pub(super) async fn answer(&mut self) -> Result<Bytes, (Failure, Option<Bytes>)> {
        let Some(call) = &mut self.call else {
            return Err((Failure::Garbled, None));
        };
        let answer = call.answer_raw().await;
        self.call = None;
        answer
    }

    /// The call has overrun its limit.
    pub(super) fn overrun(mut self) {
        if let Some(call) = self.call.take() {
            self.runner.overrun(self.seat, call);
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.runner.abandon(self.seat, call, self.limit, false);
        }
    }
}

impl Runner {
    /// Cancels a call that nobody waits for any more. If it does not end, its process is dealt with as if it had overrun:
    /// a hook once the call has used up its limit, because its instance may hold what no other has; a pipe
    /// (`is_pipe`) after [`LETTING_GO`], because its generator may never end, unless other calls are in its process.
    pub(super) fn abandon(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        call: Question,
        limit: Duration,
        is_pipe: bool,
    ) {
        call.cancel();
        let (runner, seat) = (Arc::clone(self), Arc::clone(seat));
        let deadline = Instant::now() + limit;
        // Ends after the deadline at the latest.
        self.spawn(async move {
            match is_pipe {
                true => runner.see_pipe_end(&seat, call, deadline).await,
                false => runner.see_hook_end(&seat, call, deadline).await,
            }
        });
    }

    async fn see_hook_end(&self, seat: &Arc<Seat>, mut call: Question, deadline: Instant) {
        if timeout_at(deadline, call.answer()).await.is_err() {
            seat.suspect();
            self.deal_with_overrun(seat, call).await;
        }
    }

    async fn see_pipe_end(&self, seat: &Arc<Seat>, mut call: Question, deadline: Instant) {
        loop {
            let is_shared = || seat.worker.waiting() > 1 && Instant::now() < deadline;
            match timeout(LETTING_GO, call.answer()).await {
                Ok(Err(Failure::Raised(exception))) if exception.left_running => {
                    // Calls beside it wait behind it, and have limits of their own.
                    if seat.worker.waiting() == 0 {
                        self.replace(seat).await;
                    }
                    return;
                }
                Ok(_) => return,
                Err(_) if is_shared() => {}
                Err(_) => break,
            }
        }
        seat.suspect();
        self.deal_with_overrun(seat, call).await;
    }
}
