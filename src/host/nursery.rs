//! Where the workers of one environment come from: its zygote, and one worker kept ready.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;
use tracing::warn;

use super::zygote::{Launch, Process, Zygote};

/// The source of one environment's workers.
#[derive(Debug)]
pub(super) struct Nursery {
    launch: Launch,
    /// An async mutex, because a start is awaited under it: one start serves everybody.
    zygote: tokio::sync::Mutex<Option<Arc<Zygote>>>,
    /// A worker without a function, so that a killed one is replaced at once. Held for a swap only.
    standby: Mutex<Option<Process>>,
}

impl Nursery {
    pub(super) fn new(launch: Launch) -> Self {
        Self {
            launch,
            zygote: tokio::sync::Mutex::default(),
            standby: Mutex::default(),
        }
    }

    /// A fresh worker process. The zygote's tasks run on `runtime`.
    pub(super) async fn process(self: &Arc<Self>, runtime: &Handle) -> io::Result<Process> {
        let process = match self.take_standby() {
            Some(process) => process,
            None => self.spawn(runtime).await?,
        };
        self.refill(runtime);
        Ok(process)
    }

    /// The standby, unless it died while it waited.
    fn take_standby(&self) -> Option<Process> {
        let mut standby = self
            .standby
            .lock()
            .expect("no code that holds this lock panics");
        standby.take().filter(Process::is_alive)
    }

    /// Forks the next standby. Ends after one fork, and does nothing if nobody needs workers any more.
    fn refill(self: &Arc<Self>, runtime: &Handle) {
        let nursery = Arc::downgrade(self);
        let on = runtime.clone();
        runtime.spawn(async move {
            let Some(nursery) = nursery.upgrade() else {
                return;
            };
            match nursery.spawn(&on).await {
                Ok(process) => {
                    let mut standby = nursery
                        .standby
                        .lock()
                        .expect("no code that holds this lock panics");
                    standby.get_or_insert(process);
                }
                Err(error) => warn!(%error, "no standby worker could be forked"),
            }
        });
    }

    async fn spawn(&self, runtime: &Handle) -> io::Result<Process> {
        let zygote = self.zygote(runtime).await?;
        zygote.spawn().await
    }

    /// The zygote, started if there is none.
    async fn zygote(&self, runtime: &Handle) -> io::Result<Arc<Zygote>> {
        let mut current = self.zygote.lock().await;
        if let Some(zygote) = current.as_ref().filter(|zygote| zygote.is_alive()) {
            return Ok(Arc::clone(zygote));
        }
        let launch = self.launch.clone();
        // Its control socket must outlive the thread that asked first: it belongs to a runtime of ours.
        let started = runtime
            .spawn(async move { Zygote::start(&launch).await })
            .await;
        let zygote = Arc::new(started.map_err(io::Error::other)??);
        *current = Some(Arc::clone(&zygote));
        Ok(zygote)
    }
}
