//! The clients: a number of connections, each of which asks again as soon as it has its answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::http::{Head, LAST_CHUNK};
use crate::upstream::{EVENT_MARK, EVENTS_HEADER, PAUSE_HEADER};

/// What the answers are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answers {
    /// One JSON object each.
    Whole,
    /// Streams of so many events with so many microseconds between two of them.
    Events {
        /// How many.
        count: u64,
        /// How far apart; 0 is as fast as they go.
        pause_micros: u64,
    },
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
    /// What went wrong first. Held for assignments only.
    failure: Mutex<Option<anyhow::Error>>,
}

impl Load {
    /// Lets the clients ask `addr` for `model`, on a thread of their own.
    pub(crate) fn start(self, addr: SocketAddr, model: &str) -> Result<Running> {
        let progress = Arc::new(Progress::default());
        let (stop, stopped) = oneshot::channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let clients = clients(self, addr, self.request(addr, model), Arc::clone(&progress));
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

    fn request(&self, addr: SocketAddr, model: &str) -> Arc<[u8]> {
        let (stream, headers) = match self.answers {
            Answers::Whole => (false, String::new()),
            Answers::Events {
                count,
                pause_micros,
            } => (
                true,
                format!("{EVENTS_HEADER}: {count}\r\n{PAUSE_HEADER}: {pause_micros}\r\n"),
            ),
        };
        let before = format!(
            r#"{{"model":"{model}","stream":{stream},"temperature":0.7,"messages":[{{"role":"user","content":""#
        );
        let filler = "a word ".repeat(self.request_bytes.saturating_sub(before.len() + 4) / 7);
        let body = format!("{before}{filler}\"}}]}}");
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {addr}\r\ncontent-type: application/json\r\n\
             accept: */*\r\nuser-agent: bench\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        Arc::from([head, body].concat().into_bytes())
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
    fn failure(&self) -> std::sync::MutexGuard<'_, Option<anyhow::Error>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn clients(load: Load, addr: SocketAddr, request: Arc<[u8]>, progress: Arc<Progress>) {
    let mut clients = JoinSet::new();
    for _ in 0..load.connections {
        let (request, progress) = (Arc::clone(&request), Arc::clone(&progress));
        clients.spawn(async move { ask_for_ever(addr, load.answers, &request, &progress).await });
    }
    while let Some(ended) = clients.join_next().await {
        let error = ended.map_or_else(|error| anyhow!(error), |Err(error)| error);
        progress.failure().get_or_insert(error);
    }
}

async fn ask_for_ever(
    addr: SocketAddr,
    answers: Answers,
    request: &[u8],
    progress: &Progress,
) -> Result<std::convert::Infallible> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let mut input = Vec::with_capacity(64 * 1024);
    let mut has_begun = false;
    loop {
        stream.write_all(request).await?;
        let head = read_head(&mut stream, &mut input).await?;
        if !std::mem::replace(&mut has_begun, true) {
            progress.begun.fetch_add(1, Ordering::Relaxed);
        }
        match answers {
            Answers::Whole => {
                read_whole(&mut stream, &mut input, &head).await?;
                progress.units.fetch_add(1, Ordering::Relaxed);
            }
            Answers::Events { count, .. } => {
                read_events(&mut stream, &mut input, &head, count, progress).await?;
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

/// Counts marks until the chunked body ends.
async fn read_events(
    stream: &mut TcpStream,
    input: &mut Vec<u8>,
    head: &Head,
    expected: u64,
    progress: &Progress,
) -> Result<()> {
    let mut seen = 0;
    input.drain(..head.length_bytes);
    loop {
        let marks = memchr::memchr_iter(EVENT_MARK, input).count() as u64;
        seen += marks;
        progress.units.fetch_add(marks, Ordering::Relaxed);
        if input.ends_with(LAST_CHUNK) {
            break;
        }
        // The end of the body may be cut anywhere.
        let tail = input.len().saturating_sub(LAST_CHUNK.len() - 1);
        input.drain(..tail);
        input.iter_mut().for_each(unmark);
        read_more(stream, input).await?;
    }
    if seen == expected {
        return Ok(());
    }
    bail!("a stream of {expected} events had {seen}")
}

/// What stays for the next look has been counted.
fn unmark(byte: &mut u8) {
    if *byte == EVENT_MARK {
        *byte = b' ';
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
