//! A model server that costs next to nothing: canned answers over raw sockets. The request says what it wants in two
//! headers, so that every peer passes the same bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::http::{self, Head};

/// How many events a stream has; without it the answer is one JSON object.
pub(crate) const EVENTS_HEADER: &str = "x-bench-events";
/// Microseconds between two events; 0 sends them one after the other.
pub(crate) const PAUSE_HEADER: &str = "x-bench-pause";
/// Stands in every event exactly once, whoever cuts the stream into whatever pieces; the stamp follows it.
pub(crate) const EVENT_MARK: u8 = b'~';
/// When an event was sent, in decimal microseconds since [`micros`] began.
pub(crate) const STAMP_BYTES: usize = 12;

const THREADS: usize = 2;
const ANSWER_BYTES: usize = 1126;
const EVENT_BYTES: usize = 262;
const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
    cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

/// A running model server; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    accepted: Arc<AtomicU64>,
    _runtime: Runtime,
}

impl Upstream {
    /// Starts it on `addr`.
    pub(crate) fn start(addr: SocketAddr) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind(addr))?;
        let accepted = Arc::<AtomicU64>::default();
        runtime.spawn(accept(listener, Arc::clone(&accepted)));
        Ok(Self {
            addr,
            accepted,
            _runtime: runtime,
        })
    }

    /// How many connections were opened to it so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }
}

/// Microseconds on the clock that stamps are of. Model server and clients share it, being one process.
pub(crate) fn micros() -> u64 {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGUN.elapsed().as_micros()).unwrap_or(u64::MAX)
}

async fn accept(listener: TcpListener, accepted: Arc<AtomicU64>) {
    let (answer, event) = (answer(), event());
    while let Ok((stream, _)) = listener.accept().await {
        accepted.fetch_add(1, Ordering::Relaxed);
        let (answer, event) = (answer.clone(), event.clone());
        // A peer that closes its connection ends the task.
        tokio::spawn(async move { serve(stream, &answer, &event).await });
    }
}

async fn serve(mut stream: TcpStream, answer: &[u8], event: &[u8]) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::with_capacity(16 * 1024);
    loop {
        let Some(head) = next_head(&mut stream, &mut input).await? else {
            return Ok(());
        };
        let wants = (head.number(EVENTS_HEADER), head.number(PAUSE_HEADER));
        let length = head.length_bytes;
        input.drain(..length);
        match wants {
            (Some(events), pause) => {
                send_events(&mut stream, event, events, pause.unwrap_or(0)).await?;
            }
            (None, _) => stream.write_all(answer).await?,
        }
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
async fn send_events(stream: &mut TcpStream, event: &[u8], events: u64, pause: u64) -> Result<()> {
    stream.write_all(STREAM_HEAD).await?;
    let mut ticks = interval(Duration::from_micros(pause.max(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut event = event.to_vec();
    let mark = memchr::memchr(EVENT_MARK, &event).context("the event has no mark")? + 1;
    for _ in 0..events {
        if pause > 0 {
            ticks.tick().await;
        }
        let stamp = format!("{:0STAMP_BYTES$}", micros());
        event[mark..][..STAMP_BYTES].copy_from_slice(stamp.as_bytes());
        stream.write_all(&event).await?;
    }
    stream.write_all(&http::chunk(b"data: [DONE]\n\n")).await?;
    stream.write_all(http::LAST_CHUNK).await?;
    Ok(())
}

fn answer() -> Vec<u8> {
    let before = r#"{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"plain","choices":[{"index":0,"message":{"role":"assistant","content":""#;
    let after = r#""},"finish_reason":"stop"}],"usage":{"prompt_tokens":200,"completion_tokens":180,"total_tokens":380}}"#;
    let body = padded(before, after, ANSWER_BYTES);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head, body].concat().into_bytes()
}

fn event() -> Vec<u8> {
    let before = r#"data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"plain","system_fingerprint":"fp_bench","choices":[{"index":0,"delta":{"content":"~"#;
    let after = "\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
    http::chunk(padded(before, after, EVENT_BYTES).as_bytes())
}

/// Text of a length, with letters between `before` and `after`.
fn padded(before: &str, after: &str, length: usize) -> String {
    let filler = "a".repeat(length.saturating_sub(before.len() + after.len()));
    [before, &filler, after].concat()
}
