//! The clients: a number of connections, each of which asks again as soon as it has its answer, or when its turn comes
//! at a fixed rate.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::http::{Head, LAST_CHUNK};
use crate::target::Target;
use crate::upstream::{EVENT_MARK, STAMP_BYTES, Wish, micros, read_stamp};

/// How many clients may wait for the first byte of their first answer at a time: fewer than may wait for one function.
const BEGINNERS: usize = 200;

/// What the answers are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answers {
    /// One JSON object each.
    Whole,
    /// Streams.
    Events(Wish),
}

/// What the clients do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// How many ask at a time.
    pub(crate) connections: usize,
    /// How long the body of a request is.
    pub(crate) request_bytes: usize,
    /// What they get.
    pub(crate) answers: Answers,
    /// Requests a second, of all clients together. Without it each asks again as soon as it can.
    pub(crate) rate: Option<u32>,
}

/// How long things took, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Delays(Vec<u64>);

impl Delays {
    /// The value that `share` of all do not pass.
    pub(crate) fn percentile(&mut self, share: f64) -> Option<u64> {
        self.0.sort_unstable();
        let last = self.0.len().checked_sub(1)?;
        self.0.get((last as f64 * share).round() as usize).copied()
    }
}

/// Clients at work; they stop when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    progress: Arc<Progress>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Progress {
    units: AtomicU64,
    begun: AtomicU64,
    /// Of whole answers: from the request to the last byte. Of streams: from an event's sending to its arrival.
    delays: Mutex<Delays>,
    /// From a stream's request to its first event.
    first_events: Mutex<Delays>,
    /// What went wrong first. Held for assignments only.
    failure: Mutex<Option<anyhow::Error>>,
}

impl Load {
    /// Lets the clients ask `target`, on a thread of their own.
    pub(crate) fn start(self, target: &Target) -> Result<Running> {
        let progress = Arc::new(Progress::default());
        let (stop, stopped) = oneshot::channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let request = target.request(&self);
        let clients = clients(self, target.addr, request, Arc::clone(&progress));
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = clients => {}
                    // Also when the other end is dropped.
                    _ = stopped => {}
                }
            });
        });
        Ok(Running {
            progress,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Running {
    /// Units done: answers, or events of streams.
    pub(crate) fn units(&self) -> u64 {
        self.progress.units.load(Ordering::Relaxed)
    }

    /// How many clients have had the first byte of an answer.
    pub(crate) fn begun(&self) -> u64 {
        self.progress.begun.load(Ordering::Relaxed)
    }

    /// Forgets what took how long so far.
    pub(crate) fn forget_delays(&self) {
        drop(self.take_delays());
    }

    /// How long units took, and the first events of streams.
    pub(crate) fn take_delays(&self) -> (Delays, Delays) {
        let take = |delays: &Mutex<Delays>| std::mem::take(&mut *lock(delays));
        (
            take(&self.progress.delays),
            take(&self.progress.first_events),
        )
    }

    /// What went wrong since the last time, if anything.
    pub(crate) fn check(&self) -> Result<()> {
        self.progress.failure().take().map_or(Ok(()), Err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed already.
            let _ = thread.join();
        }
    }
}

impl Progress {
    fn failure(&self) -> MutexGuard<'_, Option<anyhow::Error>> {
        lock(&self.failure)
    }

    /// A unit took so long.
    fn took(&self, micros: u64) {
        lock(&self.delays).0.push(micros);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When one client asks.
#[derive(Debug)]
struct Turns {
    next: Instant,
    /// `None` is at once.
    every: Option<Duration>,
}

impl Turns {
    fn of(load: Load, client: usize) -> Self {
        let every = load
            .rate
            .map(|rate| Duration::from_secs_f64(load.connections as f64 / f64::from(rate)));
        let share = client as f64 / load.connections as f64;
        Self {
            next: Instant::now() + every.unwrap_or_default().mul_f64(share),
            every,
        }
    }

    /// Waits for the next turn. A client that is late was held up by the last answer, and its next request counts from
    /// when it was due; one that slept counts from its waking, as timers are no finer than a millisecond.
    async fn wait(&mut self) -> u64 {
        let Some(every) = self.every else {
            return micros();
        };
        let late = self.next.elapsed();
        sleep_until(self.next).await;
        self.next += every;
        micros() - u64::try_from(late.as_micros()).unwrap_or(0)
    }
}

async fn clients(load: Load, addr: SocketAddr, request: Arc<[u8]>, progress: Arc<Progress>) {
    let mut clients = JoinSet::new();
    let beginners = Arc::new(Semaphore::new(BEGINNERS));
    for client in 0..load.connections {
        let turns = Turns::of(load, client);
        let (request, progress) = (Arc::clone(&request), Arc::clone(&progress));
        let beginners = Arc::clone(&beginners);
        clients.spawn(async move {
            let place = beginners.acquire_owned().await?;
            ask_for_ever(addr, load.answers, turns, &request, &progress, place).await
        });
    }
    while let Some(ended) = clients.join_next().await {
        let error = ended.map_or_else(|error| anyhow!(error), |Err(error)| error);
        progress.failure().get_or_insert(error);
    }
}

async fn ask_for_ever(
    addr: SocketAddr,
    answers: Answers,
    mut turns: Turns,
    request: &[u8],
    progress: &Progress,
    beginner: OwnedSemaphorePermit,
) -> Result<std::convert::Infallible> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let mut input = Vec::with_capacity(64 * 1024);
    let mut beginner = Some(beginner);
    loop {
        let asked = turns.wait().await;
        stream.write_all(request).await?;
        let head = read_head(&mut stream, &mut input).await?;
        if beginner.take().is_some() {
            progress.begun.fetch_add(1, Ordering::Relaxed);
        }
        match answers {
            Answers::Whole => {
                read_whole(&mut stream, &mut input, &head).await?;
                progress.units.fetch_add(1, Ordering::Relaxed);
                progress.took(micros() - asked);
            }
            Answers::Events(wish) => {
                input.drain(..head.length_bytes);
                let seen = read_events(&mut stream, &mut input, asked, progress).await?;
                if seen != wish.events {
                    bail!("a stream of {} events had {seen}", wish.events);
                }
            }
        }
    }
}

async fn read_head(stream: &mut TcpStream, input: &mut Vec<u8>) -> Result<Head> {
    input.clear();
    loop {
        read_more(stream, input).await?;
        let Some(head) = Head::parse(input) else {
            continue;
        };
        if !head.is_success() {
            bail!("answered `{}`", head.first_line());
        }
        return Ok(head);
    }
}

async fn read_whole(stream: &mut TcpStream, input: &mut Vec<u8>, head: &Head) -> Result<()> {
    while input.len() < head.length_bytes {
        read_more(stream, input).await?;
    }
    Ok(())
}

/// How many events there are until the chunked body ends.
async fn read_events(
    stream: &mut TcpStream,
    input: &mut Vec<u8>,
    asked: u64,
    progress: &Progress,
) -> Result<u64> {
    let mut seen = 0;
    loop {
        let whole = count_events(input, seen == 0, asked, progress);
        seen += whole.events;
        if input.ends_with(LAST_CHUNK) {
            return Ok(seen);
        }
        // The end of the body may be cut anywhere.
        let tail = input.len().saturating_sub(LAST_CHUNK.len() - 1);
        input.drain(..tail.min(whole.read_bytes));
        read_more(stream, input).await?;
    }
}

/// What is there of events.
struct Whole {
    events: u64,
    /// All that no stamp reaches over.
    read_bytes: usize,
}

fn count_events(input: &[u8], is_first: bool, asked: u64, progress: &Progress) -> Whole {
    let mut events = 0;
    let now = micros();
    for mark in memchr::memchr_iter(EVENT_MARK, input) {
        let Some(stamp) = input[mark + 1..].get(..STAMP_BYTES) else {
            return Whole {
                events,
                read_bytes: mark,
            };
        };
        if is_first && events == 0 {
            lock(&progress.first_events).0.push(now - asked);
        }
        events += 1;
        progress.units.fetch_add(1, Ordering::Relaxed);
        // A proxy may cut the body into chunks anywhere; a stamp that is cut says nothing.
        if let Some(sent) = read_stamp(stamp) {
            progress.took(now.saturating_sub(sent));
        }
    }
    Whole {
        events,
        read_bytes: input.len(),
    }
}

async fn read_more(stream: &mut TcpStream, input: &mut Vec<u8>) -> Result<()> {
    let count = stream
        .read_buf(input)
        .await
        .context("the connection broke")?;
    if count == 0 {
        bail!("the connection was closed");
    }
    Ok(())
}
