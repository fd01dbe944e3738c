//! One worker process as the gateway sees it: a socket, and the calls that wait for its answers.
//!
//! Frames are written straight from the thread that calls (`writing`). One task per worker reads and hands answers to who
//! waits; it moves to the thread of the only caller (`reading`).

mod reading;
mod writing;

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use bytes::Bytes;
use frames::{Decoder, Frame, Handler, Kind};
use rustix::process::{Signal, pidfd_send_signal};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tracing::debug;

use self::writing::Outbox;
use super::abandoned::Lingering;
use super::board::{Board, Running};
use super::breach::Breach;
use super::call::{Answers, Question};
use super::callbacks::{Desk, Desks, Refusal};
use super::callers::{Callers, Waiter};
use super::descriptors;
use super::output::SlotOutput;
use super::socket::Socket;
use super::zygote::Process;
use crate::egress::Reach;
use crate::egress::proxy::Proxy;
use crate::telemetry::metrics::LiveWorker;

/// Questions of one worker's functions that are answered at once; more are refused. They do not wait: a completion
/// that a function asked for may lead back to the same worker.
const MAX_QUESTIONS: usize = 1024;

/// Answers that may wait in the outbox: a worker that goes on asking without reading would fill our memory.
const MAX_UNREAD_REPLIES: usize = 16 * 1024;

/// Buffers that have grown beyond this are let go of.
const KEPT_BYTES: usize = 1024 * 1024;

/// A worker process. Dropping the last handle closes the socket, which ends the process.
#[derive(Debug)]
pub(super) struct Worker {
    guard: Option<i32>,
    connection: Arc<Connection>,
    /// Where it may hand us a listener while it is confined. Held for a swap only.
    handover: Mutex<Option<std::os::unix::net::UnixStream>>,
    runtime: Handle,
    /// Its only way out, if it has an empty network.
    proxy: OnceLock<Proxy>,
    /// Calls that overran and after which nobody knows yet whether it hangs.
    suspicions: watch::Sender<usize>,
    lingering: Lingering,
    _counted: LiveWorker,
}

pub(super) struct Connection {
    pid: i32,
    pidfd: OwnedFd,
    socket: Socket,
    /// Held while frames are appended and written, so that frames of two threads do not mix. std, because a write
    /// that would block is left to the writer task instead of waited for.
    outbox: Mutex<Outbox>,
    writable: Notify,
    /// Something waits to be written that is in no hurry.
    lingering: Notify,
    /// The reader is to move to another thread.
    moving: Notify,
    pub(super) callers: Callers,
    /// Whether we closed it, so that its end is no news.
    is_closed: AtomicBool,
    died: Notify,
    output: SlotOutput,
    board: Board,
    desks: Desks,
    /// Questions of functions that are being answered. Held for map operations, and the spawn of a task.
    questions: Mutex<HashMap<u32, AbortHandle>>,
}

impl Worker {
    /// Connects to a process, with its reader and writer running on `runtime`.
    pub(super) fn connect(
        process: Process,
        runtime: &Handle,
        output: SlotOutput,
    ) -> io::Result<Self> {
        let connection = Arc::new(Connection {
            pid: process.pid,
            pidfd: process.pidfd,
            socket: Socket::new(process.stream)?,
            outbox: Mutex::default(),
            writable: Notify::new(),
            lingering: Notify::new(),
            moving: Notify::new(),
            callers: Callers::default(),
            is_closed: AtomicBool::new(false),
            died: Notify::new(),
            output,
            board: process.board,
            desks: Desks::default(),
            questions: Mutex::default(),
        });
        // Both end when the socket closes: the worker's end of it, or ours when the last handle is dropped.
        runtime.spawn(Arc::clone(&connection).read(Decoder::default()));
        runtime.spawn(Arc::clone(&connection).write_rest());
        Ok(Self {
            guard: process.guard,
            connection,
            handover: Mutex::new(Some(process.handover)),
            runtime: runtime.clone(),
            proxy: OnceLock::new(),
            suspicions: watch::Sender::new(0),
            lingering: Lingering::default(),
            _counted: LiveWorker::begin(),
        })
    }

    /// Its process id, for logs.
    pub(super) fn pid(&self) -> i32 {
        self.connection.pid
    }

    /// The processes from which all that it starts descends.
    pub(super) fn roots(&self) -> Vec<i32> {
        [Some(self.connection.pid), self.guard]
            .into_iter()
            .flatten()
            .collect()
    }

    /// An id for a slot, a request or a call that no other has now.
    pub(super) fn next_id(&self) -> u32 {
        self.connection.callers.next_id()
    }

    /// Whether it still runs.
    pub(super) fn is_alive(&self) -> bool {
        !self.connection.callers.are_gone()
    }

    /// How many calls speak for it that it hangs: whoever would call it waits until that is known.
    pub(super) fn suspicions(&self) -> &watch::Sender<usize> {
        &self.suspicions
    }

    /// The pipes in it that nobody listens to.
    pub(super) fn lingering(&self) -> &Lingering {
        &self.lingering
    }

    /// Whose prints its slots make.
    pub(super) fn output(&self) -> &SlotOutput {
        &self.connection.output
    }

    /// How many calls wait for it.
    pub(super) fn waiting(&self) -> usize {
        self.connection.callers.count()
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

    /// As [`Worker::tell`], in no hurry: with what others send, or a few milliseconds later.
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
        let waiter = Waiter::One { asked: kind, tell };
        self.connection.callers.enlist(id, waiter);
        self.connection.ask(&call_frame(kind, id, handler, payload));
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
        let waiter = Waiter::many(tell);
        self.connection.callers.enlist(id, waiter);
        self.connection
            .ask(&call_frame(Kind::Call, id, Some(handler), payload));
        Answers {
            connection: Arc::clone(&self.connection),
            id,
            frames,
            is_over: false,
        }
    }

    /// Resolves once no request is open in it and no call waits for it, or it is gone.
    pub(super) async fn idle(&self) {
        let unused = async {
            self.connection.desks.closed().await;
            // Calls that belong to no request, and those whose callers have left.
            self.connection.callers.idle().await;
        };
        tokio::select! {
            () = unused => {}
            () = self.connection.callers.gone() => {}
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

    /// The listener that the process has opened in its empty network, if it has; it hands over nothing more.
    pub(super) fn take_listener(&self) -> Option<TcpListener> {
        let handover = self
            .handover
            .lock()
            .expect("no code that holds this lock panics")
            .take();
        let mut buffer = [0; 16];
        // It was sent before the answer that we have: if nothing is there, nothing was sent.
        let (_, fds) = descriptors::receive(&handover?, &mut buffer).ok()?;
        fds.into_iter().next().map(TcpListener::from)
    }

    /// Serves its listener.
    pub(super) fn open_way_out(
        &self,
        listener: TcpListener,
        reach: Reach,
        client: &str,
    ) -> io::Result<()> {
        let proxy = Proxy::start(listener, reach, client.to_owned(), &self.runtime)?;
        // A process is confined once.
        let _ = self.proxy.set(proxy);
        Ok(())
    }

    /// Ends the process at once.
    pub(super) fn kill(&self) {
        self.connection.kill();
    }

    /// Limits the process's address space.
    pub(super) fn limit_memory(&self, bytes: u64) -> io::Result<()> {
        let limit = rustix::process::Rlimit {
            current: Some(bytes),
            maximum: Some(bytes),
        };
        let pid = rustix::process::Pid::from_raw(self.pid());
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
    /// Which function of a series runs.
    pub(super) fn running(&self, call: u32) -> Option<Running> {
        self.board.running(call)
    }

    /// Answers a function's question in a task of its own, which ends when nobody wants the answer any more.
    fn answer_callback(self: &Arc<Self>, frame: Frame) -> Result<(), Breach> {
        if self.outbox().unread_replies > MAX_UNREAD_REPLIES {
            return Err(Breach::ReadsNothing);
        }
        let mut questions = self.questions();
        if frame.flags == frames::GIVEN_UP {
            if let Some(question) = questions.remove(&frame.id) {
                question.abort();
            }
            return Ok(());
        }
        if questions.len() >= MAX_QUESTIONS {
            drop(questions);
            let refusal = Refusal::new("too many questions at once");
            self.reply(frame.id, refusal.to_json());
            return Ok(());
        }
        let connection = Arc::clone(self);
        let task = tokio::spawn(async move {
            let answer = connection.desks.answer(frame.payload).await;
            connection.questions().remove(&frame.id);
            connection.reply(frame.id, answer);
        });
        if let Some(before) = questions.insert(frame.id, task.abort_handle()) {
            before.abort();
        }
        Ok(())
    }

    fn reply(&self, id: u32, answer: Bytes) {
        self.outbox().unread_replies += 1;
        self.send(&Frame::new(Kind::CallbackReply, id, answer));
    }

    fn questions(&self) -> MutexGuard<'_, HashMap<u32, AbortHandle>> {
        self.questions
            .lock()
            .expect("no code that holds this lock panics")
    }

    /// Tells everybody who waits that nothing comes any more.
    fn bury(&self) {
        self.callers.dismiss();
        for (_, question) in self.questions().drain() {
            question.abort();
        }
        self.died.notify_waiters();
        // The writer may be about to wait.
        self.died.notify_one();
    }

    fn kill(&self) {
        if let Err(error) = pidfd_send_signal(&self.pidfd, Signal::KILL) {
            debug!(%error, pid = self.pid, "worker was gone before it was killed");
        }
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.socket.shut();
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}
