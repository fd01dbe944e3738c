//! The zygote: a warm, single-threaded Python that forks workers.
//!
//! One task of ours reads its control socket; a spawn is one datagram out and one back. Its death ends no worker: the
//! next spawn starts another one.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixDatagram;
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::board::Board;
use super::descriptors;

/// How long an interpreter may take to start and import what functions usually need.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Longest datagram of the zygote.
const MESSAGE_BYTES: usize = 16 * 1024;

/// How a zygote is started.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    /// The interpreter of its environment.
    pub(super) python: PathBuf,
    /// The unpacked files of [`super::runtime`].
    pub(super) runtime: PathBuf,
    /// Where workers keep their temporary files; a killed one leaves them there.
    pub(super) scratch: PathBuf,
    /// The variables that functions may see.
    pub(super) variables: Vec<(OsString, OsString)>,
    /// Whether workers get process numbers of their own, where that can be had.
    pub(super) is_apart: bool,
}

/// A worker's process, connected and not loaded with anything.
#[derive(Debug)]
pub(super) struct Process {
    /// Its process id, for logs.
    pub(super) pid: i32,
    /// That of the process which takes in what loses its parent, if it has numbers of its own.
    pub(super) guard: Option<i32>,
    /// A handle that stays its own even when the id is used again.
    pub(super) pidfd: OwnedFd,
    /// Our end of its socket.
    pub(super) stream: UnixStream,
    /// Our end of a socket over which it may hand us a listener.
    pub(super) handover: UnixStream,
    /// Where it notes what it does.
    pub(super) board: Board,
}

impl Process {
    /// Whether it still runs: the handle of a process that ended is readable.
    pub(super) fn is_alive(&self) -> bool {
        let mut handles = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let no_wait = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        matches!(rustix::event::poll(&mut handles, Some(&no_wait)), Ok(0))
    }
}

/// A running zygote.
#[derive(Debug)]
pub(super) struct Zygote {
    control: Arc<UnixDatagram>,
    is_apart: bool,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Held for map operations only, never across an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    dead: bool,
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<Spawned>>,
}

/// A forked worker: its process id, that of its guard, and a handle for it.
type Spawned = io::Result<(i32, Option<i32>, OwnedFd)>;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Message {
    Ready {
        ready: bool,
        python: String,
    },
    Spawned {
        spawned: u64,
        pid: i32,
        #[serde(default)]
        guard: Option<i32>,
    },
    SpawnFailed {
        spawn_failed: u64,
        error: String,
    },
    Exited {
        exited: u64,
        pid: i32,
        status: i32,
    },
}

impl Zygote {
    /// Starts a zygote and waits until it is warm.
    pub(super) async fn start(launch: &Launch) -> io::Result<Self> {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        rustix::io::ioctl_fionbio(&theirs, false)?;
        let mut child = command(launch, theirs).spawn().map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot start `{}`: {error}", launch.python.display()),
            )
        })?;
        let stderr = child.stderr.take().expect("standard error is piped");
        // tokio has no type for SEQPACKET; its datagram socket only waits, the calls below are ours.
        let control = UnixDatagram::from_std(std::os::unix::net::UnixDatagram::from(ours))?;
        let control = Arc::new(control);
        let ready = timeout(START_LIMIT, receive(&control)).await;
        let ready = ready.map_err(|_| {
            let limit = START_LIMIT.as_secs();
            io::Error::other(format!("Python took longer than {limit} s to start"))
        })?;
        let Some((
            Message::Ready {
                ready: true,
                python,
            },
            _,
        )) = ready?
        else {
            let said = last_words(stderr).await;
            return Err(io::Error::other(format!(
                "Python ended while starting: {said}"
            )));
        };
        info!(%python, interpreter = %launch.python.display(), "Python is ready");
        let shared = Arc::new(Shared::default());
        // Ends by itself when the zygote does; the gateway's end closes the socket, which ends the zygote.
        tokio::spawn(Arc::clone(&shared).watch(Arc::clone(&control), child));
        tokio::spawn(drain(stderr));
        Ok(Self {
            control,
            is_apart: launch.is_apart,
            shared,
        })
    }

    /// Whether it still answers.
    pub(super) fn is_alive(&self) -> bool {
        !self.shared.lock().dead
    }

    /// Forks a worker.
    pub(super) async fn spawn(&self) -> io::Result<Process> {
        let (stream, their_stream) = UnixStream::pair()?;
        let (handover, their_handover) = UnixStream::pair()?;
        let board = Board::new()?;
        let (id, spawned) = self.shared.expect_spawn()?;
        let message = json!({
            "spawn": id,
            "memory_mib": 0,
            "name": "sluicegate-worker",
            "apart": self.is_apart,
        });
        let theirs = [their_stream.as_fd(), their_handover.as_fd(), board.as_fd()];
        let message = message.to_string();
        let send = || descriptors::send(&self.control, message.as_bytes(), &theirs);
        self.control.async_io(Interest::WRITABLE, send).await?;
        drop((their_stream, their_handover));
        let (pid, guard, pidfd) = spawned
            .await
            .map_err(|_| io::Error::other("the zygote died"))??;
        stream.set_nonblocking(true)?;
        handover.set_nonblocking(true)?;
        Ok(Process {
            pid,
            guard,
            pidfd,
            stream,
            handover,
            board,
        })
    }
}

impl Drop for Zygote {
    /// Tells the zygote that nobody needs it any more; it ends its workers and itself.
    fn drop(&mut self) {
        // Fails only if the socket is shut already.
        let _ = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Both);
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no code that holds this lock panics")
    }

    fn expect_spawn(&self) -> io::Result<(u64, oneshot::Receiver<Spawned>)> {
        let mut state = self.lock();
        if state.dead {
            return Err(io::Error::other("the zygote died"));
        }
        let (tell, spawned) = oneshot::channel();
        state.next += 1;
        let id = state.next;
        state.waiting.insert(id, tell);
        Ok((id, spawned))
    }

    async fn watch(self: Arc<Self>, control: Arc<UnixDatagram>, mut child: Child) {
        loop {
            match receive(&control).await {
                Ok(Some((message, fds))) => self.take(message, fds),
                Ok(None) => break,
                Err(error) => {
                    warn!(%error, "the zygote's control socket failed");
                    break;
                }
            }
        }
        {
            let mut state = self.lock();
            state.dead = true;
            state.waiting.clear();
        }
        // A zygote that is told nothing any more and still runs would be of no use.
        let _ = child.start_kill();
        let status = child.wait().await;
        debug!(?status, "the zygote ended");
    }

    fn take(&self, message: Message, mut fds: Vec<OwnedFd>) {
        let (id, outcome) = match message {
            Message::Spawned {
                spawned,
                pid,
                guard,
            } => {
                let pidfd = fds
                    .pop()
                    .ok_or_else(|| io::Error::other("the zygote sent no pidfd"));
                (spawned, pidfd.map(|pidfd| (pid, guard, pidfd)))
            }
            Message::SpawnFailed {
                spawn_failed,
                error,
            } => (spawn_failed, Err(io::Error::other(error))),
            Message::Exited {
                exited,
                pid,
                status,
            } => {
                debug!(worker = exited, pid, status, "worker ended");
                return;
            }
            Message::Ready { .. } => return,
        };
        if let Some(waiting) = self.lock().waiting.remove(&id) {
            // Nobody waits any more: the process is dropped, its socket closes, it ends.
            let _ = waiting.send(outcome);
        }
    }
}

fn command(launch: &Launch, control: OwnedFd) -> Command {
    let mut command = Command::new(&launch.python);
    command
        .args(["-s", "-P"])
        .arg(launch.runtime.join("sluicegate_worker/zygote.py"));
    command
        .env_clear()
        .envs(launch.variables.iter().map(|(name, value)| (name, value)));
    command
        .env("PYTHONPATH", &launch.runtime)
        .env("TMPDIR", &launch.scratch)
        .env("MALLOC_ARENA_MAX", "2");
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    // The control socket travels as standard input, which the zygote moves away before it forks anything.
    command
        .stdin(Stdio::from(control))
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

/// The next message with the descriptors that came with it, `None` when the zygote is gone.
async fn receive(control: &UnixDatagram) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
    let mut buffer = vec![0; MESSAGE_BYTES];
    let read = || descriptors::receive(control, &mut buffer);
    let (length, fds) = control.async_io(Interest::READABLE, read).await?;
    if length == 0 {
        return Ok(None);
    }
    let message = serde_json::from_slice(&buffer[..length]).map_err(io::Error::other)?;
    Ok(Some((message, fds)))
}

/// The end of what a process that failed to start had to say.
async fn last_words(mut stderr: ChildStderr) -> String {
    let mut text = Vec::new();
    // What could be read until an error is still worth showing.
    let _ = stderr.read_to_end(&mut text).await;
    let text = String::from_utf8_lossy(&text).into_owned();
    text.trim()
        .lines()
        .last()
        .unwrap_or("it said nothing")
        .to_owned()
}

/// Reads what workers write to standard error past Python's own streams, so that none of them blocks on it.
async fn drain(mut stderr: ChildStderr) {
    let mut buffer = [0; 4096];
    while stderr
        .read(&mut buffer)
        .await
        .is_ok_and(|length| length > 0)
    {}
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The clock stands still until nothing else is left to wait for.
    #[tokio::test(start_paused = true)]
    async fn an_interpreter_that_hangs_is_not_waited_for_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let python = folder.path().join("python");
        std::fs::write(&python, "#!/bin/sh\nexec sleep 3600\n").unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&python, executable).unwrap();
        let launch = Launch {
            python,
            runtime: folder.path().into(),
            scratch: folder.path().into(),
            variables: Vec::new(),
            is_apart: false,
        };
        let error = Zygote::start(&launch).await.unwrap_err();
        assert_eq!(error.to_string(), "Python took longer than 60 s to start");
    }
}
