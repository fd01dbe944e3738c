//! One worker process as the gateway sees it: a socket, and the calls that wait for its answers.
//!
//! Frames are written straight from the thread that calls, so that a call costs no hop on its way out; only what the
//! socket does not take at once is left to a task. One task per worker reads and hands answers to who waits.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use frames::{Decoder, Frame, Handler, Kind};
use rustix::process::{Signal, pidfd_send_signal};
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;
use tracing::{debug, warn};

use super::call::{Answers, Question};
use super::callbacks::{Desk, Desks, Refusal};
use super::output::SlotOutput;
use super::zygote::Process;
use crate::telemetry::metrics::LiveWorker;

/// Questions of one worker's functions that are answered at once; more are refused. They do not wait: a completion
/// that a function asked for may lead back to the same worker.
const MAX_QUESTIONS: usize = 1024;

/// How long a frame in no hurry waits for another to be written with. Each write of its own wakes two processes.
const LINGER: Duration = Duration::from_millis(2);

/// Room for one read from a worker's socket, in bytes.
const READ_BYTES: usize = 32 * 1024;

/// A worker process. Dropping the last handle closes the socket, which ends the process.
#[derive(Debug)]
pub(super) struct Worker {
    pid: i32,
    pidfd: OwnedFd,
    connection: Arc<Connection>,
    _counted: LiveWorker,
}

pub(super) struct Connection {
    stream: UnixStream,
    /// Held while frames are appended and written, so that frames of two threads do not mix. std, because a write
    /// that would block is left to the writer task instead of waited for.
    outbox: Mutex<Outbox>,
    writable: Notify,
    /// Something waits to be written that is in no hurry.
    lingering: Notify,
    /// Held for map operations only.
    waiting: Mutex<Waiting>,
    next_id: AtomicU32,
    is_dead: AtomicBool,
    died: Notify,
    idle: Notify,
    output: SlotOutput,
    desks: Desks,
    /// Questions of functions that are being answered. Held for map operations, and the spawn of a task.
    questions: Mutex<HashMap<u32, AbortHandle>>,
}

#[derive(Debug, Default)]
struct Outbox {
    bytes: BytesMut,
    is_blocked: bool,
}

#[derive(Default)]
struct Waiting {
    calls: HashMap<u32, Waiter>,
}

/// Who waits for the answers to a call.
pub(super) enum Waiter {
    One(oneshot::Sender<Frame>),
    Many(mpsc::UnboundedSender<Frame>),
}

impl Worker {
    /// Connects to a process, with its reader and writer running on `runtime`.
    pub(super) fn connect(
        process: Process,
        runtime: &Handle,
        output: SlotOutput,
    ) -> io::Result<Self> {
        let entered = runtime.enter();
        let stream = UnixStream::from_std(process.stream)?;
        drop(entered);
        let connection = Arc::new(Connection {
            stream,
            outbox: Mutex::default(),
            writable: Notify::new(),
            lingering: Notify::new(),
            waiting: Mutex::default(),
            next_id: AtomicU32::new(1),
            is_dead: AtomicBool::new(false),
            died: Notify::new(),
            idle: Notify::new(),
            output,
            desks: Desks::default(),
            questions: Mutex::default(),
        });
        // Both end when the socket closes: the worker's end of it, or ours when the last handle is dropped.
        runtime.spawn(Arc::clone(&connection).read());
        runtime.spawn(Arc::clone(&connection).write_rest());
        Ok(Self {
            pid: process.pid,
            pidfd: process.pidfd,
            connection,
            _counted: LiveWorker::begin(),
        })
    }

    /// Its process id, for logs.
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// An id for a slot, a request or a call that no other has now.
    pub(super) fn next_id(&self) -> u32 {
        self.connection.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether it still runs.
    pub(super) fn is_alive(&self) -> bool {
        !self.connection.is_dead.load(Ordering::Acquire)
    }

    /// Whose prints its slots make.
    pub(super) fn output(&self) -> &SlotOutput {
        &self.connection.output
    }

    /// How many calls wait for it.
    pub(super) fn waiting(&self) -> usize {
        self.connection.waiting().calls.len()
    }

    /// Sends a frame that nobody waits for.
    pub(super) fn tell(&self, kind: Kind, id: u32, payload: &[u8]) {
        self.connection
            .send(&Frame::new(kind, id, Bytes::copy_from_slice(payload)));
    }

    /// As [`Worker::tell`], together with whatever is sent next.
    pub(super) fn tell_with_next(&self, kind: Kind, id: u32, payload: Bytes) {
        self.connection.queue(&Frame::new(kind, id, payload));
    }

    /// As [`Worker::tell`], in no hurry: with what others send, or within [`LINGER`].
    pub(super) fn tell_soon(&self, kind: Kind, id: u32) {
        self.connection.queue(&Frame::new(kind, id, Bytes::new()));
        self.connection.lingering.notify_one();
    }

    /// Sends a call, or another frame that is answered once, and returns where its answer comes.
    pub(super) fn ask(&self, kind: Kind, handler: Option<Handler>, payload: Bytes) -> Question {
        self.ask_as(self.next_id(), kind, handler, payload)
    }

    /// As [`Worker::ask`], with an id that was taken before.
    pub(super) fn ask_as(
        &self,
        id: u32,
        kind: Kind,
        handler: Option<Handler>,
        payload: Bytes,
    ) -> Question {
        let (tell, answer) = oneshot::channel();
        self.connection.enlist(id, Waiter::One(tell));
        self.connection
            .send(&call_frame(kind, id, handler, payload));
        Question {
            connection: Arc::clone(&self.connection),
            id,
            answer,
        }
    }

    /// Sends a call that is answered by many frames.
    pub(super) fn ask_many(&self, handler: Handler, payload: Bytes) -> Answers {
        let id = self.next_id();
        let (tell, frames) = mpsc::unbounded_channel();
        self.connection.enlist(id, Waiter::Many(tell));
        self.connection
            .send(&call_frame(Kind::Call, id, Some(handler), payload));
        Answers {
            connection: Arc::clone(&self.connection),
            id,
            frames,
            is_over: false,
        }
    }

    /// Resolves once no call waits for it, or it is gone.
    pub(super) async fn idle(&self) {
        loop {
            let idle = self.connection.idle.notified();
            if self.waiting() == 0 || !self.is_alive() {
                return;
            }
            idle.await;
        }
    }

    /// Begins a request in which functions may ask through `desk`.
    pub(super) fn open_desk(&self, request: u32, desk: Desk) {
        self.connection.desks.open(request, desk);
    }

    /// Ends what [`Worker::open_desk`] began.
    pub(super) fn close_desk(&self, request: u32) {
        self.connection.desks.close(request);
    }

    /// Ends the process at once.
    pub(super) fn kill(&self) {
        if let Err(error) = pidfd_send_signal(&self.pidfd, Signal::KILL) {
            debug!(%error, pid = self.pid, "worker was gone before it was killed");
        }
    }

    /// Limits the process's address space.
    pub(super) fn limit_memory(&self, bytes: u64) -> io::Result<()> {
        let limit = rustix::process::Rlimit {
            current: Some(bytes),
            maximum: Some(bytes),
        };
        let pid = rustix::process::Pid::from_raw(self.pid);
        rustix::process::prlimit(pid, rustix::process::Resource::As, limit)?;
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.connection.close();
    }
}

fn call_frame(kind: Kind, id: u32, handler: Option<Handler>, payload: Bytes) -> Frame {
    Frame {
        kind,
        id,
        flags: 0,
        handler: handler.map_or(0, Handler::code),
        payload,
    }
}

impl Connection {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting
            .lock()
            .expect("no code that holds this lock panics")
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox
            .lock()
            .expect("no code that holds this lock panics")
    }

    /// Notes who waits for `id`. On a dead connection it is dropped at once, which tells the one who waits.
    pub(super) fn enlist(&self, id: u32, waiter: Waiter) {
        let mut waiting = self.waiting();
        if !self.is_dead.load(Ordering::Acquire) {
            waiting.calls.insert(id, waiter);
        }
    }

    pub(super) fn send(&self, frame: &Frame) {
        let mut outbox = self.outbox();
        frames::encode(frame, &mut outbox.bytes);
        if !outbox.is_blocked {
            self.flush(&mut outbox);
        }
    }

    /// Adds a frame to those that the next write takes along.
    fn queue(&self, frame: &Frame) {
        frames::encode(frame, &mut self.outbox().bytes);
    }

    /// Writes as much as the socket takes.
    fn flush(&self, outbox: &mut Outbox) {
        while !outbox.bytes.is_empty() {
            match self.stream.try_write(&outbox.bytes) {
                Ok(length) => outbox.bytes.advance(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    outbox.is_blocked = true;
                    self.writable.notify_one();
                    return;
                }
                // The reader sees the end of the socket and tells everybody.
                Err(_) => outbox.bytes.clear(),
            }
        }
        outbox.is_blocked = false;
    }

    async fn write_rest(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.writable.notified() => {}
                () = self.linger() => {}
                () = self.died.notified() => return,
            }
            if self.is_dead.load(Ordering::Acquire) || self.stream.writable().await.is_err() {
                return;
            }
            self.flush(&mut self.outbox());
        }
    }

    /// Resolves a while after a frame in no hurry was queued, or when another has to be written.
    async fn linger(&self) {
        self.lingering.notified().await;
        tokio::select! {
            () = self.writable.notified() => {}
            () = tokio::time::sleep(LINGER) => {}
        }
    }

    async fn read(self: Arc<Self>) {
        let mut decoder = Decoder::default();
        if let Err(error) = self.read_all(&mut decoder).await {
            warn!(%error, "worker's socket failed");
        }
        self.bury();
    }

    async fn read_all(self: &Arc<Self>, decoder: &mut Decoder) -> io::Result<()> {
        loop {
            self.stream.readable().await?;
            decoder.buffer.reserve(READ_BYTES);
            match self.stream.try_read_buf(&mut decoder.buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => self.take_frames(decoder)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn take_frames(self: &Arc<Self>, decoder: &mut Decoder) -> io::Result<()> {
        while let Some(frame) = decoder.next_frame().map_err(io::Error::other)? {
            match frame.kind {
                Kind::Chunk => self.deliver(frame, false),
                Kind::Reply | Kind::Error | Kind::End | Kind::Ready | Kind::Failed | Kind::Pong => {
                    self.deliver(frame, true);
                }
                Kind::Log => self.log(&frame),
                Kind::Callback => self.answer_callback(frame),
                Kind::Emit => self.desks.take_event(frame.id, frame.payload),
                _ => {
                    return Err(io::Error::other(
                        "the worker sent a frame that only the gateway sends",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Hands a frame to who waits for it; an answer to a call that was given up is dropped.
    fn deliver(&self, frame: Frame, is_last: bool) {
        let waiter = if is_last {
            self.delist(frame.id)
        } else {
            self.waiter_for_many(frame.id)
        };
        // A send fails if the one who waited has just gone.
        match waiter {
            Some(Waiter::One(waiter)) => drop(waiter.send(frame)),
            Some(Waiter::Many(waiter)) => drop(waiter.send(frame)),
            None => {}
        }
    }

    fn waiter_for_many(&self, id: u32) -> Option<Waiter> {
        match self.waiting().calls.get(&id) {
            Some(Waiter::Many(waiter)) => Some(Waiter::Many(waiter.clone())),
            _ => None,
        }
    }

    /// Takes who waits for `id` off the list.
    pub(super) fn delist(&self, id: u32) -> Option<Waiter> {
        let mut waiting = self.waiting();
        let waiter = waiting.calls.remove(&id);
        if waiter.is_some() && waiting.calls.is_empty() {
            self.idle.notify_waiters();
        }
        waiter
    }

    fn log(&self, frame: &Frame) {
        let source = frames::Source::from_code(frame.flags).unwrap_or(frames::Source::Stdout);
        self.output
            .write(frame.id, source, &String::from_utf8_lossy(&frame.payload));
    }

    /// Answers a function's question in a task of its own, which ends when nobody wants the answer any more.
    fn answer_callback(self: &Arc<Self>, frame: Frame) {
        let mut questions = self.questions();
        if frame.flags == frames::GIVEN_UP {
            if let Some(question) = questions.remove(&frame.id) {
                question.abort();
            }
            return;
        }
        if questions.len() >= MAX_QUESTIONS {
            drop(questions);
            let refusal = Refusal::new("too many questions at once");
            return self.reply(frame.id, refusal.to_json());
        }
        let connection = Arc::clone(self);
        let task = tokio::spawn(async move {
            let answer = connection.desks.answer(frame.payload).await;
            connection.questions().remove(&frame.id);
            connection.reply(frame.id, answer);
        });
        questions.insert(frame.id, task.abort_handle());
    }

    fn reply(&self, id: u32, answer: Bytes) {
        self.send(&Frame::new(Kind::CallbackReply, id, answer));
    }

    fn questions(&self) -> MutexGuard<'_, HashMap<u32, AbortHandle>> {
        self.questions
            .lock()
            .expect("no code that holds this lock panics")
    }

    /// Marks the connection dead and tells everybody who waits, by dropping their senders.
    fn bury(&self) {
        let mut waiting = self.waiting();
        self.is_dead.store(true, Ordering::Release);
        let calls = std::mem::take(&mut waiting.calls);
        drop(waiting);
        drop(calls);
        for (_, question) in self.questions().drain() {
            question.abort();
        }
        self.idle.notify_waiters();
        self.died.notify_waiters();
        // The writer may be about to wait.
        self.died.notify_one();
    }

    fn close(&self) {
        // Fails only if the socket is shut already.
        let _ = rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Both);
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("is_dead", &self.is_dead)
            .finish_non_exhaustive()
    }
}
