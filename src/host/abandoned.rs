//! Calls whose caller has left: they are cancelled, and a process that does not let go of one is replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout, timeout_at};

use super::call::Question;
use super::failure::Failure;
use super::runner::{Runner, Seat};

/// How long a pipe may take to end once nobody listens to it.
const LETTING_GO: Duration = Duration::from_secs(1);

/// The pipes in one process that nobody listens to and that have not let go in time: they may be all that keeps it.
#[derive(Debug, Default)]
pub(super) struct Lingering(AtomicUsize);

impl Lingering {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    fn add(&self) -> Lingers<'_> {
        self.0.fetch_add(1, Ordering::AcqRel);
        Lingers(self)
    }
}

/// One of [`Lingering`], as long as it lives.
struct Lingers<'a>(&'a Lingering);

impl Drop for Lingers<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

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
        if timeout(LETTING_GO, call.answer()).await.is_ok() {
            return;
        }
        let lingering = seat.worker.lingering();
        let lingers = lingering.add();
        let is_shared = || seat.worker.waiting() > lingering.count() && Instant::now() < deadline;
        while is_shared() {
            if timeout(LETTING_GO, call.answer()).await.is_ok() {
                return;
            }
        }
        drop(lingers);
        seat.suspect();
        self.deal_with_overrun(seat, call).await;
    }
}
