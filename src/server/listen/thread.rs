//! A thread with a runtime of its own, on which tasks need not be `Send`.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

use tokio::runtime::{self, Handle, LocalOptions, LocalRuntime};
use tokio::sync::oneshot;

type Work = Pin<Box<dyn Future<Output = ()>>>;
/// Makes the work inside the thread, since the work cannot be sent there.
type Job = Box<dyn FnOnce() -> Work + Send>;

/// Runs from the beginning, so that others can spawn on it, but serves only once started.
pub(super) struct Thread {
    handle: Handle,
    start: Option<oneshot::Sender<Job>>,
    /// Closes when the thread's work is done.
    done: oneshot::Receiver<()>,
    /// Lets the thread end; dropping it does so too.
    release: oneshot::Sender<()>,
    /// Closes when the thread is about to end.
    ended: oneshot::Receiver<()>,
    join: JoinHandle<()>,
}

impl Thread {
    /// Starts the thread with this index.
    pub(super) fn spawn(index: usize) -> io::Result<Self> {
        let (start, job) = oneshot::channel();
        let (ending, ended) = oneshot::channel();
        let (finish, done) = oneshot::channel();
        let (release, released) = oneshot::channel();
        let (report, reported) = mpsc::channel();
        let join = Builder::new()
            .name(format!("serve-{index}"))
            .spawn(move || {
                // Dropped at the very end, also in a panic.
                let _ending = ending;
                main(&report, job, finish, released);
            })?;
        let handle = reported.recv().map_err(io::Error::other)??;
        Ok(Self {
            handle,
            start: Some(start),
            done,
            release,
            ended,
            join,
        })
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Gives the thread its work, which `make` makes in the thread; it ends with the work.
    pub(super) fn start<W>(&mut self, make: impl FnOnce() -> W + Send + 'static)
    where
        W: Future<Output = ()> + 'static,
    {
        if let Some(start) = self.start.take() {
            // A thread that has ended says so in `ended`.
            let _ = start.send(Box::new(|| Box::pin(make())));
        }
    }

    /// Waits until its work is done. What others run on it goes on: requests on other threads may need it.
    pub(super) async fn done(&mut self) {
        let _ = (&mut self.done).await;
    }

    /// Lets the thread end, and waits until it has.
    pub(super) async fn ended(self) -> io::Result<()> {
        drop(self.release);
        let _ = self.ended.await;
        let joined = self.join.join();
        joined.map_err(|_| io::Error::other("a serving thread panicked"))
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread")
            .field("runtime", &self.handle.id())
            .finish_non_exhaustive()
    }
}

fn main(
    report: &mpsc::Sender<io::Result<Handle>>,
    job: oneshot::Receiver<Job>,
    finish: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
) {
    let runtime = match build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(report.send(Err(error))),
    };
    // Nobody listens if the whole start has failed; then no job comes either.
    let _ = report.send(Ok(runtime.handle().clone()));
    runtime.block_on(async {
        if let Ok(make) = job.await {
            make().await;
            drop(finish);
            // Ends when the sender goes; nothing is ever sent.
            let _ = released.await;
        }
    });
    // What others still run in the background cannot hold the shutdown up.
    runtime.shutdown_background();
}

fn build() -> io::Result<LocalRuntime> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
}
