//! Ports below the range from which the system takes those of outgoing connections.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// Listens on such a port. Another run may take the one we looked at, so the next is tried.
pub(crate) async fn listen() -> tokio::net::TcpListener {
    loop {
        let address = (Ipv4Addr::LOCALHOST, free_port());
        if let Ok(listener) = tokio::net::TcpListener::bind(address).await {
            return listener;
        }
    }
}

/// A port on which nobody listens, and that no other test of this run is given.
pub(crate) fn free_port() -> u16 {
    // Two runs at once begin in different places.
    let start = (std::process::id().wrapping_mul(37) % u32::from(COUNT)) as u16;
    loop {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(start) % COUNT;
        let port = FIRST + offset;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
