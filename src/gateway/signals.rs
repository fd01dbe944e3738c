//! Signals: TERM and INT drain, a second one ends at once, HUP reads the configuration again.

use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

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

/// Reloads at every HUP.
pub(super) async fn reload_on_hangup(reload: Reload) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            error!(%error, "SIGHUP cannot be received; it will not reload");
            return;
        }
    };
    while hangup.recv().await.is_some() {
        reload.run().await;
    }
}
