//! SIGUSR2: this process starts its program anew, to be replaced by it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{ExitStatus, Stdio};

use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use crate::server::drain::Shutdown;

/// The flag with which a process takes over.
const FLAG: &str = "--upgrade";

/// Takes USR2 from now on: meant for the process that serves, it must not end one that is still starting.
pub(in crate::gateway) fn survive_signal() {
    // What fails here is told when the signal is waited for. The handler stays when the receiver goes.
    let _ = signal(SignalKind::user_defined2());
}

/// Starts a successor at every USR2, until one has taken over.
pub(in crate::gateway) async fn upgrade_on_signal(shutdown: Shutdown) {
    let mut signals = match signal(SignalKind::user_defined2()) {
        Ok(signals) => signals,
        Err(error) => {
            error!(%error, "SIGUSR2 cannot be received; it will not upgrade");
            return;
        }
    };
    loop {
        tokio::select! {
            biased;
            () = shutdown.draining() => return,
            signal = signals.recv() => if signal.is_none() { return },
        }
        let successor = match start() {
            Ok(successor) => successor,
            Err(error) => {
                error!(%error, "upgrade failed, what serves goes on: no new process can be started");
                continue;
            }
        };
        info!(
            successor = successor.id(),
            "upgrade: a new process is started"
        );
        let ended = tokio::select! {
            biased;
            // It goes on without its parent.
            () = shutdown.draining() => return,
            ended = end_of(successor, &mut signals) => ended,
        };
        match ended {
            Ok(status) => {
                error!(%status, "upgrade failed, what serves goes on: the new process ended")
            }
            Err(error) => error!(%error, "the new process cannot be watched"),
        }
    }
}

/// Waits for the end of a successor. Further signals meanwhile start no other.
async fn end_of(mut successor: Child, signals: &mut Signal) -> io::Result<ExitStatus> {
    loop {
        tokio::select! {
            ended = successor.wait() => return ended,
            Some(()) = signals.recv() => warn!("an upgrade is under way already"),
        }
    }
}

/// Starts the program under the name by which this process was started, which may lead to another version by now.
fn start() -> io::Result<Child> {
    let mut arguments = std::env::args_os();
    let program = arguments
        .next()
        .ok_or_else(|| io::Error::other("this process was started without a name"))?;
    let arguments = with_flag(arguments.collect());
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .spawn()
}

fn with_flag(mut arguments: Vec<OsString>) -> Vec<OsString> {
    if !arguments
        .iter()
        .any(|argument| argument == OsStr::new(FLAG))
    {
        arguments.push(FLAG.into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_is_there_once() {
        let given = |arguments: &[&str]| arguments.iter().map(OsString::from).collect();
        let expected: Vec<OsString> = given(&["serve", FLAG]);
        assert_eq!(with_flag(given(&["serve"])), expected);
        assert_eq!(with_flag(given(&["serve", FLAG])), expected);
    }
}
