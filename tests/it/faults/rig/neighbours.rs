//! Streams beside a fault: each measures the pauses between its events and says whatever is wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::BESIDE;
use crate::support::{
    Client, Events, FakeUpstream, Step, TestGateway, answer_of, chat, event, events_of,
    head_of_stream, say, streamed_chat, tail_of_stream,
};

/// How many streams are open beside each fault.
const STREAMS: usize = 64;
/// How often each gets an event.
const PACE: Duration = Duration::from_millis(100);
/// The longest pause that counts as none. The promise is a few milliseconds, and the figure is printed; the rest is
/// for a busy machine.
const LONGEST: Duration = Duration::from_secs(5);

/// The streams, and the healthy model server behind them.
pub(super) struct Neighbours {
    healthy: FakeUpstream,
    is_over: Arc<AtomicBool>,
    streams: JoinSet<Vec<Duration>>,
    callers: JoinSet<usize>,
    backlog: Backlog,
}

/// How far the streams are behind their model server, which a busy machine holds up just as it does them.
#[derive(Clone, Debug)]
pub(super) struct Backlog {
    sent: Arc<AtomicUsize>,
    received: Arc<AtomicUsize>,
}

impl Backlog {
    /// How many events of each stream have been sent and not been received.
    pub(super) fn events(&self) -> usize {
        let received = self.received.load(Ordering::Relaxed);
        let sent = self.sent.load(Ordering::Relaxed);
        sent.saturating_sub(received) / STREAMS
    }
}

impl Neighbours {
    /// The healthy server: its streams go on until [`Neighbours::end`].
    pub(super) async fn model_server() -> Healthy {
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_over);
        let server = FakeUpstream::start(move |request| {
            if !request.is_streamed() {
                return answer_of("beside");
            }
            let mut events = events_of(&["x"]).into_iter().map(event);
            let piece = Step::Repeat(bytes_of(events.next()), PACE, Arc::clone(&flag));
            let mut script = vec![head_of_stream(), piece];
            script.extend(events);
            script.push(tail_of_stream());
            script
        });
        Healthy {
            server: server.await,
            is_over,
        }
    }

    /// Begins all streams; each has had its first event.
    pub(super) async fn start(gateway: &TestGateway, healthy: Healthy) -> Self {
        let Healthy { server, is_over } = healthy;
        let mut opening = JoinSet::new();
        for _ in 0..STREAMS {
            let client = gateway.user();
            opening.spawn(async move { client.stream(&streamed_chat(BESIDE, "hi")).await });
        }
        let backlog = Backlog {
            sent: server.repeated(),
            received: Arc::default(),
        };
        let mut streams = JoinSet::new();
        for stream in opening.join_all().await {
            assert_eq!(stream.status, 200);
            streams.spawn(measure(stream, Arc::clone(&backlog.received)));
        }
        let mut callers = JoinSet::new();
        callers.spawn(call_on(gateway.user(), Arc::clone(&is_over)));
        Self {
            healthy: server,
            is_over,
            streams,
            callers,
            backlog,
        }
    }

    pub(super) fn backlog(&self) -> Backlog {
        self.backlog.clone()
    }

    /// Ends the one that calls all the time: new requests are refused next.
    pub(super) async fn stop_calling(&mut self) {
        self.callers.shutdown().await;
    }

    /// Drops the streams as they are.
    pub(super) fn give_up(self) -> FakeUpstream {
        self.healthy
    }

    /// Lets the streams finish. Everything must have been as if there were no fault.
    pub(super) async fn end(self, row: &str, gateway: &TestGateway) -> FakeUpstream {
        gateway.stranger().get("/healthz").await.expect(200);
        self.is_over.store(true, Ordering::Relaxed);
        let calls: usize = self.callers.join_all().await.into_iter().sum();
        let pauses = self.streams.join_all().await;
        assert_eq!(pauses.len(), STREAMS);
        let mut pauses = pauses.concat();
        pauses.sort_unstable();
        let longest = pauses.last().copied().unwrap_or_default();
        let most = pauses[pauses.len() * 99 / 100];
        say(&format!(
            "faults: {row}: {STREAMS} streams and {calls} calls beside it, p99 {most:?}, longest pause {longest:?} at a pace of {PACE:?}"
        ));
        assert!(longest < LONGEST, "{row}: a pause of {longest:?}");
        self.healthy
    }
}

/// A healthy server whose streams have not begun.
pub(super) struct Healthy {
    server: FakeUpstream,
    is_over: Arc<AtomicBool>,
}

impl Healthy {
    pub(super) fn base_url(&self) -> String {
        self.server.base_url()
    }

    /// How many connections there are to it.
    pub(super) fn connections(&self) -> usize {
        self.server.open_connection_count()
    }
}

/// Reads a stream to its end: the pauses between its events.
async fn measure(mut stream: Events, received: Arc<AtomicUsize>) -> Vec<Duration> {
    let (mut pauses, mut last) = (Vec::new(), Instant::now());
    let mut final_event = None;
    while let Some(data) = stream.next().await {
        received.fetch_add(1, Ordering::Relaxed);
        pauses.push(last.elapsed());
        last = Instant::now();
        final_event = Some(data);
    }
    assert_eq!(final_event.as_deref(), Some("[DONE]"), "a neighbour's end");
    assert!(!stream.is_broken, "a neighbour broke off");
    pauses
}

/// New requests go through too.
async fn call_on(client: Client, is_over: Arc<AtomicBool>) -> usize {
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        let answer = client.chat(&chat(BESIDE, "hi")).await.expect(200);
        assert_eq!(answer.content().to_lowercase(), "beside");
        count += 1;
        tokio::time::sleep(PACE / 4).await;
    }
    count
}

fn bytes_of(step: Option<Step>) -> Vec<u8> {
    match step {
        Some(Step::Send(bytes)) => bytes,
        _ => unreachable!("events are sent"),
    }
}
