//! Tells systemd that this process serves, and that it is the main one: after an upgrade it is another.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tracing::warn;

/// Where systemd waits for it, if it does.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// Says so where anybody asked.
pub(super) fn ready() {
    let Some(socket) = std::env::var_os(VARIABLE) else {
        return;
    };
    let message = format!("READY=1\nMAINPID={}\n", std::process::id());
    if let Err(error) = send(&socket, message.as_bytes()) {
        warn!(%error, "{VARIABLE} cannot be told that this process serves");
    }
}

fn send(socket: &OsStr, message: &[u8]) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    UnixDatagram::unbound()?
        .send_to_addr(message, &address)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_abstract_names_are_reached() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("@sluicegate-notify-{}", std::process::id());
        let by_name = SocketAddr::from_abstract_name(&name.as_bytes()[1..]).unwrap();
        for (socket, listener) in [
            (path.as_os_str(), UnixDatagram::bind(&path).unwrap()),
            (
                OsStr::new(&name),
                UnixDatagram::bind_addr(&by_name).unwrap(),
            ),
        ] {
            send(socket, b"READY=1").unwrap();
            let mut space = [0; 16];
            let length = listener.recv(&mut space).unwrap();
            assert_eq!(&space[..length], b"READY=1");
        }
    }
}
