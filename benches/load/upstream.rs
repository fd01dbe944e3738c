//! A model server that costs next to nothing: canned answers over raw sockets. The question itself says which answer it
//! wants, since not every peer passes headers on.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::http::{self, Head};

/// Stands in every event exactly once, whoever cuts the stream into whatever pieces; the stamp follows it.
pub(crate) const EVENT_MARK: u8 = b'~';
/// How long a stamp is: when an event was sent, in microseconds since [`micros`] began.
pub(crate) const STAMP_BYTES: usize = 12;
/// Begins what a question says of the stream that it wants.
const WISH: &str = "events=";

const THREADS: usize = 2;
const ANSWER_BYTES: usize = 1126;
const EVENT_BYTES: usize = 262;
const FAILED: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
    cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

/// The stream that a question wants, in words of its text; a question without them gets one JSON object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    /// How many.
    pub(crate) events: u64,
    pause_micros: u64,
    /// Whether all streams with this pause get their events at the same moments, as from a server that runs its model once
    /// for all of them.
    in_step: bool,
}

/// Stands behind the pause of streams in step.
const STEP: char = '=';

impl Wish {
    /// So many events, and microseconds between two of them; 0 sends them one after the other.
    pub(crate) const fn new(events: u64, pause_micros: u64) -> Self {
        Self {
            events,
            pause_micros,
            in_step: false,
        }
    }

    /// The same at the same moments as others.
    pub(crate) const fn in_step(self) -> Self {
        Self {
            in_step: true,
            ..self
        }
    }

    fn of(body: &[u8]) -> Option<Self> {
        let start = memmem::find(body, WISH.as_bytes())? + WISH.len();
        let length = memchr::memchr(b' ', &body[start..])?;
        let numbers = std::str::from_utf8(&body[start..start + length]).ok()?;
        let (events, pause) = numbers.split_once('/')?;
        let in_step = pause.ends_with(STEP);
        let pause = pause.trim_end_matches(STEP).parse().ok()?;
        let wish = Self::new(events.parse().ok()?, pause);
        Some(Self { in_step, ..wish })
    }
}

impl Wish {
    fn pause(self) -> Duration {
        Duration::from_micros(self.pause_micros.max(1))
    }

    /// When its first event is due.
    fn begin(self) -> Instant {
        let missing = match self.in_step && self.pause_micros > 0 {
            true => self.pause_micros - micros() % self.pause_micros,
            false => 0,
        };
        Instant::now() + Duration::from_micros(missing)
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = self.in_step.then(|| STEP.to_string());
        let step = step.unwrap_or_default();
        write!(f, "{WISH}{}/{}{step} ", self.events, self.pause_micros)
    }
}

/// A running model server; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    served: Arc<Served>,
    _runtime: Runtime,
}

/// In a pause as long as this it is seen to that somebody still waits; in a shorter one the next event tells.
const LONG_PAUSE_MICROS: u64 = 1_000_000;
/// How long nobody is accepted after the system had no descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(10);

/// What it answers, and how much of it there was.
#[derive(Debug)]
struct Served {
    answer: Vec<u8>,
    event: Vec<u8>,
    models: Vec<u8>,
    /// One question of so many fails.
    failing: Option<u64>,
    accepted: AtomicU64,
    asked: AtomicU64,
}

impl Upstream {
    /// Starts it on `addr` with these models; one question of `failing` fails.
    pub(crate) fn start(addr: SocketAddr, models: &[&str], failing: Option<u64>) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind(addr))?;
        let served = Arc::new(Served {
            answer: answer(),
            event: event(),
            models: list(models),
            failing,
            accepted: AtomicU64::default(),
            asked: AtomicU64::default(),
        });
        runtime.spawn(accept(listener, Arc::clone(&served)));
        Ok(Self {
            addr,
            served,
            _runtime: runtime,
        })
    }

    /// How many connections were opened to it so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.served.accepted.load(Ordering::Relaxed)
    }
}

/// Microseconds on the clock that stamps are of. Model server and clients share it, being one process.
pub(crate) fn micros() -> u64 {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGUN.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// When the event was sent that bears this stamp. Its digits are letters, `a` for 0, so that no filter takes them for a
/// number; one may have made capitals of them.
pub(crate) fn read_stamp(stamp: &[u8]) -> Option<u64> {
    stamp.iter().try_fold(0, |number: u64, letter| {
        let digit = letter.to_ascii_lowercase().checked_sub(b'a');
        let digit = digit.filter(|digit| *digit < 10)?;
        Some(number * 10 + u64::from(digit))
    })
}

fn stamp(micros: u64) -> Vec<u8> {
    let digits = format!("{micros:0STAMP_BYTES$}").into_bytes();
    digits.iter().map(|digit| digit - b'0' + b'a').collect()
}

async fn accept(listener: TcpListener, served: Arc<Served>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Without descriptors for now.
            tokio::time::sleep(EXHAUSTED_PAUSE).await;
            continue;
        };
        served.accepted.fetch_add(1, Ordering::Relaxed);
        let served = Arc::clone(&served);
        // A peer that closes its connection ends the task.
        tokio::spawn(async move { serve(stream, &served).await });
    }
}

async fn serve(mut stream: TcpStream, served: &Served) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::with_capacity(16 * 1024);
    loop {
        let Some(head) = next_head(&mut stream, &mut input).await? else {
            return Ok(());
        };
        let wish = Wish::of(&input[..head.length_bytes]);
        input.drain(..head.length_bytes);
        match wish {
            _ if head.first_line().starts_with("get ") => stream.write_all(&served.models).await?,
            _ if served.is_to_fail() => stream.write_all(FAILED).await?,
            Some(wish) => send_events(&mut stream, &served.event, wish).await?,
            None => stream.write_all(&served.answer).await?,
        }
    }
}

impl Served {
    /// Counts a question; whether it is one of those that fail.
    fn is_to_fail(&self) -> bool {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        self.failing
            .is_some_and(|every| asked.is_multiple_of(every))
    }
}

/// Reads until a whole request is there.
async fn next_head(stream: &mut TcpStream, input: &mut Vec<u8>) -> Result<Option<Head>> {
    loop {
        if let Some(head) = Head::parse(input).filter(|head| head.length_bytes <= input.len()) {
            return Ok(Some(head));
        }
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
    }
}

/// One write per event, as model servers do it.
async fn send_events(stream: &mut TcpStream, event: &[u8], wish: Wish) -> Result<()> {
    stream.write_all(STREAM_HEAD).await?;
    let mut ticks = interval_at(wish.begin(), wish.pause());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut event = event.to_vec();
    let mark = memchr::memchr(EVENT_MARK, &event).context("the event has no mark")? + 1;
    let mut unread = [0];
    for _ in 0..wish.events {
        if wish.pause_micros >= LONG_PAUSE_MICROS {
            tokio::select! {
                _ = ticks.tick() => {}
                // Nothing is asked before the end of an answer: whoever is heard of has left.
                left = stream.peek(&mut unread) => return left.map(drop).map_err(Into::into),
            }
        } else if wish.pause_micros > 0 {
            ticks.tick().await;
        }
        event[mark..][..STAMP_BYTES].copy_from_slice(&stamp(micros()));
        stream.write_all(&event).await?;
    }
    stream.write_all(&http::chunk(b"data: [DONE]\n\n")).await?;
    stream.write_all(http::LAST_CHUNK).await?;
    Ok(())
}

fn answer() -> Vec<u8> {
    let before = r#"{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"plain","choices":[{"index":0,"message":{"role":"assistant","content":""#;
    let after = r#""},"finish_reason":"stop"}],"usage":{"prompt_tokens":200,"completion_tokens":180,"total_tokens":380}}"#;
    json(&padded(before, after, ANSWER_BYTES))
}

fn list(models: &[&str]) -> Vec<u8> {
    let entries = models.iter().map(|id| {
        format!(r#"{{"id":"{id}","object":"model","created":1700000000,"owned_by":"bench"}}"#)
    });
    let entries: Vec<_> = entries.collect();
    json(&format!(
        r#"{{"object":"list","data":[{}]}}"#,
        entries.join(",")
    ))
}

fn json(body: &str) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [&head, body].concat().into_bytes()
}

fn event() -> Vec<u8> {
    http::chunk(format!("data: {}\n\n", event_data()).as_bytes())
}

/// What an event says. The stamp's place is at the mark; a word behind it is there to be replaced.
pub(crate) fn event_data() -> String {
    let before = r#"{"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"plain","system_fingerprint":"fp_bench","choices":[{"index":0,"delta":{"content":"~............ word "#;
    let after = " \"},\"logprobs\":null,\"finish_reason\":null}]}";
    padded(before, after, EVENT_BYTES - "data: \n\n".len())
}

/// Text of a length, with letters between `before` and `after`.
fn padded(before: &str, after: &str, length: usize) -> String {
    let filler = "a".repeat(length.saturating_sub(before.len() + after.len()));
    [before, &filler, after].concat()
}
