//! The process of one function version: started on first use, replaced when it dies, ended with the version.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use frames::{Handler, Kind};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Shared;
use super::call::Question;
use super::failure::Failure;
use super::group::Visible;
use super::isolation::{Bounds, Tenant};
use super::recycling::Leaving;
use super::wear::Wear;
use super::worker::Worker;
use crate::registry::frontmatter;
use crate::registry::function::{FunctionId, FunctionSettings, Valves};
use crate::telemetry::metrics::{self, WorkerEnd};

/// Crashes within [`CRASH_WINDOW`] after which a function is left alone for a while.
const CRASH_LIMIT: usize = 5;
const CRASH_WINDOW: Duration = Duration::from_secs(60);
const QUARANTINE: Duration = Duration::from_secs(10);

/// How long a worker has to answer a ping before it counts as hung.
const PONG_LIMIT: Duration = Duration::from_millis(200);

/// How long a killed process may take to end.
const END_LIMIT: Duration = Duration::from_secs(1);

/// How long a cancelled call has to end before its worker is replaced.
const CANCEL_LIMIT: Duration = Duration::from_millis(250);

/// How long a replaced worker may still serve the requests that have begun in it. The call that it is replaced for may be
/// using up a core all that time.
const RETIREMENT: Duration = Duration::from_secs(300);

/// The gateway's half of one function version. Lives in the version's pocket; dropping it ends the process.
pub(super) struct Runner {
    pub(super) shared: Arc<Shared>,
    pub(super) id: FunctionId,
    source: Arc<str>,
    /// What its frontmatter asks to have installed.
    requirements: Vec<String>,
    /// Read for every call, written when a process starts or is given up. Never held across an await.
    pub(super) seat: RwLock<Option<Arc<Seat>>>,
    /// Held while a process is started, so that one start serves everybody who waits.
    pub(super) starting: tokio::sync::Mutex<()>,
    /// When processes of this version died by themselves, the newest last.
    crashes: Mutex<VecDeque<Instant>>,
}

/// A version loaded in a worker.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) worker: Arc<Worker>,
    pub(super) slot: u32,
    /// What its process may.
    bounds: Bounds,
    /// What the loader said.
    pub(super) learnt: Bytes,
    /// The versions of valves that the worker has. Held while one is sent, so that no other thread opens a request
    /// with a version that is still on its way.
    valves: Mutex<BTreeMap<u64, Weak<Valves>>>,
    was_given_up: AtomicBool,
    /// How its process has worn.
    pub(super) wear: Wear,
    /// Whether another process is being made ready in its place.
    pub(super) leaving: watch::Sender<Leaving>,
    /// Whom the function finds beside it. Held to be read or replaced.
    pub(super) visible: Mutex<Option<Visible>>,
}

impl Runner {
    pub(super) fn new(shared: Arc<Shared>, id: FunctionId, source: Arc<str>) -> Self {
        Self {
            shared,
            id,
            requirements: frontmatter::requirements(&source),
            source,
            seat: RwLock::default(),
            starting: tokio::sync::Mutex::default(),
            crashes: Mutex::default(),
        }
    }

    /// What the code asks to have installed.
    pub(super) fn requirements(&self) -> &[String] {
        &self.requirements
    }

    /// The process to call, started if there is none; `valves` are the stored ones that code sees as it starts.
    pub(super) async fn seat(
        self: &Arc<Self>,
        settings: &FunctionSettings,
        valves: &[u8],
    ) -> Result<Arc<Seat>, Failure> {
        if let Some(seat) = self.trusted_seat().await
            && self.still_serves(&seat, settings)
        {
            return Ok(self.relieved(seat, settings, valves).await);
        }
        let _starting = self.starting.lock().await;
        if let Some(seat) = self.trusted_seat().await {
            if self.still_serves(&seat, settings) {
                return Ok(seat);
            }
            // Requests that have begun in it end there, and it with them.
            info!(function.id = %self.id, "its group or what a function may has changed, its process is replaced");
            self.give_up(&seat);
        }
        self.note_crash();
        self.check_quarantine()?;
        let seat = Arc::new(self.start(settings, valves).await?);
        self.take_seat(Arc::clone(&seat));
        Ok(seat)
    }

    /// New calls go to this seat.
    pub(super) fn take_seat(&self, seat: Arc<Seat>) {
        *self
            .seat
            .write()
            .expect("no code that holds this lock panics") = Some(seat);
        self.shared.groups.note_change();
    }

    /// Whether a process may what it should, and is its group's.
    fn still_serves(&self, seat: &Seat, settings: &FunctionSettings) -> bool {
        let group = &settings.group;
        let is_current = || self.shared.groups.is_current(group, &seat.worker);
        seat.bounds == Bounds::of(settings) && (group.is_empty() || is_current())
    }

    /// The seat whose process runs and does not hang, as soon as that is known.
    async fn trusted_seat(&self) -> Option<Arc<Seat>> {
        while let Some(seat) = self.live_seat() {
            if seat.is_trusted().await {
                return Some(seat);
            }
        }
        None
    }

    pub(super) fn live_seat(&self) -> Option<Arc<Seat>> {
        let seat = self
            .seat
            .read()
            .expect("no code that holds this lock panics");
        seat.as_ref().filter(|seat| seat.worker.is_alive()).cloned()
    }

    /// Takes the seat of a process that died by itself away, and remembers that it did.
    fn note_crash(&self) {
        let dead = self
            .seat
            .write()
            .expect("no code that holds this lock panics")
            .take();
        let was_ended =
            |seat: &Seat| seat.was_given_up() || self.shared.groups.was_abandoned(&seat.worker);
        if dead.is_some_and(|seat| !was_ended(&seat)) {
            warn!(function.id = %self.id, "the process of a function died, starting another");
            metrics::worker_failed(WorkerEnd::Crashed);
            self.count_crash();
        }
    }

    fn count_crash(&self) {
        let mut crashes = self
            .crashes
            .lock()
            .expect("no code that holds this lock panics");
        crashes.push_back(Instant::now());
        while crashes.len() > CRASH_LIMIT {
            crashes.pop_front();
        }
    }

    /// A function that keeps crashing is left alone for a while.
    fn check_quarantine(&self) -> Result<(), Failure> {
        let crashes = self
            .crashes
            .lock()
            .expect("no code that holds this lock panics");
        let (Some(first), Some(last)) = (crashes.front(), crashes.back()) else {
            return Ok(());
        };
        let is_often = crashes.len() >= CRASH_LIMIT && last.duration_since(*first) < CRASH_WINDOW;
        if is_often && last.elapsed() < QUARANTINE {
            return Err(Failure::Unavailable(
                "quarantined after repeated crashes".to_owned(),
            ));
        }
        Ok(())
    }

    pub(super) async fn start(
        &self,
        settings: &FunctionSettings,
        valves: &[u8],
    ) -> Result<Seat, Failure> {
        let tenant = Tenant {
            id: &self.id,
            settings,
        };
        let worker = self.shared.worker_for(&self.requirements, tenant).await?;
        let slot = worker.next_id();
        let payload = json!({
            "function_id": self.id.as_str(),
            "source": self.source.as_ref(),
            "threads": settings.threads,
            "valves": serde_json::from_slice::<serde_json::Value>(valves).unwrap_or_default(),
        });
        worker.output().name(slot, &self.id);
        let mut loading = worker.ask_as(slot, Kind::Load, None, Bytes::from(payload.to_string()));
        let learnt = match tokio::time::timeout(settings.limits.load, loading.answer()).await {
            Ok(learnt) => learnt?,
            Err(_) => {
                worker.kill();
                return Err(Failure::TimedOut(settings.limits.load));
            }
        };
        info!(function.id = %self.id, pid = worker.pid(), "function is loaded");
        self.watch_programs(&worker, settings);
        Ok(Seat {
            worker,
            slot,
            bounds: Bounds::of(settings),
            learnt,
            valves: Mutex::default(),
            was_given_up: AtomicBool::new(false),
            wear: Wear::new(),
            leaving: watch::Sender::new(Leaving::No),
            visible: Mutex::default(),
        })
    }

    /// Asks a seat something that belongs to no request.
    pub(super) async fn call(
        self: &Arc<Self>,
        seat: &Arc<Seat>,
        handler: Handler,
        payload: Bytes,
        limit: Duration,
    ) -> Result<Bytes, Failure> {
        let mut question = seat.worker.ask(Kind::Call, Some(handler), payload);
        match tokio::time::timeout(limit, question.answer()).await {
            Ok(answer) => answer,
            Err(_) => {
                self.overrun(seat, question);
                Err(Failure::TimedOut(limit))
            }
        }
    }

    /// Keeps where an exception was raised, for admins. Refusals are no news.
    pub(super) fn note(&self, failure: &Failure) {
        let raised = failure
            .exception()
            .filter(|exception| exception.status.is_none());
        if let Some(traceback) = raised.and_then(|exception| exception.traceback.as_ref()) {
            self.shared
                .output
                .write(&self.id, frames::Source::Logging, traceback);
        }
    }

    /// Called when a call on `seat` has overrun its limit and its caller was answered. Cancels the call; replaces the
    /// worker if it does not let go of it, and kills it if it does not even answer.
    pub(super) fn overrun(self: &Arc<Self>, seat: &Arc<Seat>, call: Question) {
        // From here on: the next call must not be sent into a process that hangs.
        seat.suspect();
        let (runner, seat) = (Arc::clone(self), Arc::clone(seat));
        let task = async move { runner.deal_with_overrun(&seat, call).await };
        // Ends within the limits it waits for.
        self.spawn(task);
    }

    /// As [`Runner::overrun`], once `seat` is suspected.
    pub(super) async fn deal_with_overrun(&self, seat: &Arc<Seat>, mut call: Question) {
        call.cancel();
        let is_alive = answers_ping(&seat.worker).await;
        // A call that lets go leaves the process as it was; behind one that does not, the next would be stuck too, as this
        // one may have been behind a pipe that was left.
        let is_well = is_alive && lets_go(&mut call).await && seat.worker.lingering().count() == 0;
        if !is_well {
            self.give_up(seat);
            self.shared.groups.abandon(&seat.worker);
        }
        if !is_alive {
            warn!(function.id = %self.id, pid = seat.worker.pid(), "function hangs, its process is killed");
            self.count_crash();
            metrics::worker_failed(WorkerEnd::Killed);
            seat.worker.kill();
            // Functions that share the process must not be called in it any more.
            let _ = tokio::time::timeout(END_LIMIT, call.answer()).await;
        }
        seat.clear();
        if is_alive && !is_well {
            drop(call);
            self.replace(seat).await;
        }
    }

    /// Lets a process that a call does not let go of finish its other requests, and ends it.
    pub(super) async fn replace(&self, seat: &Arc<Seat>) {
        warn!(function.id = %self.id, pid = seat.worker.pid(), "a call cannot be cancelled, its process is replaced");
        metrics::worker_failed(WorkerEnd::Replaced);
        self.give_up(seat);
        self.shared.groups.abandon(&seat.worker);
        seat.retire().await;
    }

    /// Runs a task that ends by itself, on a runtime of ours.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.runtime().spawn(task);
    }

    /// New calls no longer go to this seat.
    pub(super) fn give_up(&self, seat: &Arc<Seat>) {
        seat.was_given_up.store(true, Ordering::Release);
        let mut current = self
            .seat
            .write()
            .expect("no code that holds this lock panics");
        if current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, seat))
        {
            *current = None;
            self.shared.groups.note_change();
        }
    }
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Whether a cancelled call ends in time.
async fn lets_go(call: &mut Question) -> bool {
    let end = tokio::time::timeout(CANCEL_LIMIT, call.answer());
    end.await.is_ok()
}

/// Whether the worker's loop is alive. If our own timer was late, it gets another chance.
async fn answers_ping(worker: &Worker) -> bool {
    loop {
        let asked = Instant::now();
        let mut ping = worker.ask(Kind::Ping, None, Bytes::new());
        if tokio::time::timeout(PONG_LIMIT, ping.answer())
            .await
            .is_ok()
        {
            return worker.is_alive();
        }
        if asked.elapsed() < PONG_LIMIT * 2 {
            return false;
        }
    }
}

impl Seat {
    pub(super) fn suspect(&self) {
        let suspicions = self.worker.suspicions();
        suspicions.send_modify(|suspicions| *suspicions += 1);
    }

    fn clear(&self) {
        let suspicions = self.worker.suspicions();
        suspicions.send_modify(|suspicions| *suspicions -= 1);
    }

    /// Whether calls may be sent to it: at once if nothing speaks against it, else once that is known. False says to
    /// look again.
    async fn is_trusted(&self) -> bool {
        let suspicions = self.worker.suspicions();
        if *suspicions.borrow() == 0 {
            return true;
        }
        // Fails only if the sender is gone, and we hold it.
        let _ = suspicions
            .subscribe()
            .wait_for(|suspicions| *suspicions == 0)
            .await;
        false
    }

    fn was_given_up(&self) -> bool {
        self.was_given_up.load(Ordering::Acquire)
    }

    /// Makes sure that the worker has these valves, and lets it forget those that nobody uses any more.
    pub(super) fn send_valves(&self, valves: &Arc<Valves>) {
        let mut known = self
            .valves
            .lock()
            .expect("no code that holds this lock panics");
        if known.contains_key(&valves.version) {
            return;
        }
        let mut payload = format!("{{\"version\":{},\"values\":", valves.version).into_bytes();
        payload.extend_from_slice(&valves.stored);
        payload.push(b'}');
        self.worker.tell(Kind::Valves, self.slot, &payload);
        known.insert(valves.version, Arc::downgrade(valves));
        let unused: Vec<u64> = known
            .iter()
            .filter(|(_, valves)| valves.strong_count() == 0)
            .map(|(v, _)| *v)
            .collect();
        if !unused.is_empty() {
            known.retain(|_, valves| valves.strong_count() > 0);
            self.worker.tell(
                Kind::Forget,
                self.slot,
                json!({"versions": unused}).to_string().as_bytes(),
            );
        }
    }

    /// Asks the function something, unless too many calls wait for it already.
    pub(super) fn ask(
        &self,
        kind: Kind,
        handler: Handler,
        payload: Bytes,
        queue: usize,
    ) -> Result<Question, Failure> {
        self.check_queue(queue)?;
        Ok(self.worker.ask(kind, Some(handler), payload))
    }

    /// Checks that no more than `queue` calls wait.
    pub(super) fn check_queue(&self, queue: usize) -> Result<(), Failure> {
        if self.worker.waiting() < queue {
            return Ok(());
        }
        Err(Failure::Unavailable(format!(
            "{queue} calls wait for it already"
        )))
    }

    /// Lets the requests that have begun in it finish, those that call nothing just now too, then ends the process.
    async fn retire(&self) {
        let _ = tokio::time::timeout(RETIREMENT, self.worker.idle()).await;
        self.worker.kill();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.worker.tell(Kind::Unload, self.slot, &[]);
    }
}
