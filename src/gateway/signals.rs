//! Signals: TERM and INT drain, a second one ends at once, HUP reads the configuration again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::reload::Reload;
use crate::server::drain::Shutdown;

/// Passes every TERM and INT on to `shutdown`.
pub async fn stop_on_signal(shutdown: Shutdown) {
    let (mut terminate, mut interrupt) = match (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        (Err(error), _) | (_, Err(error)) => {
            error!(%error, "signals cannot be received; only SIGKILL ends this process");
            return;
        }
    };
    loop {
        let received = tokio::select! {
            received = terminate.recv() => received,
            received = interrupt.recv() => received,
        };
        if received.is_none() {
            return;
        }
        info!("stopping: requests in flight finish; a second signal ends them");
        shutdown.signal();
    }
}

/// Makes a limit on the size of files an error of the write that reaches it, not the end of this process.
pub(super) fn outlive_file_limits() {
    // Once it was asked for, it is received for as long as the process lives.
    if let Err(error) = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())) {
        warn!(%error, "SIGXFSZ cannot be received; a limit on the size of files would end this process");
    }
}

/// Every HUP since it was made: one that comes while the process starts must not end it, and reloads once it can.
#[derive(Debug)]
pub struct Hangups(io::Result<Signal>);

impl Hangups {
    /// Receives HUP from now on. Only within a runtime.
    #[must_use]
    pub fn receive() -> Self {
        Self(signal(SignalKind::hangup()))
    }
}

/// Reloads at every HUP.
pub(super) async fn reload_on_hangup(hangups: Hangups, reload: Reload) {
    let mut hangups = match hangups.0 {
        Ok(hangups) => hangups,
        Err(error) => {
            error!(%error, "SIGHUP cannot be received; it will not reload");
            return;
        }
    };
    while hangups.recv().await.is_some() {
        reload.run().await;
    }
}
