//! How a function is set up: what its failures do, and what it may use up and reach.

use std::time::Duration;

use crate::config::{Closing, Hosts, NetworkAccess, StreamOutlet};

/// What happens when a function fails by accident, and what it may use up.
#[derive(Clone, Debug)]
pub struct FunctionSettings {
    /// What a failure outside `outlet` does to the request.
    pub on_error: Closing,
    /// What an accident in `outlet` does to the answer.
    pub outlet_error: Closing,
    /// Whether a stream waits for `outlet`.
    pub stream_outlet: StreamOutlet,
    /// Time limits of its handlers.
    pub limits: Limits,
    /// Address space of its process in MiB, 0 for no limit.
    pub memory_mib: u64,
    /// Threads for its synchronous handlers.
    pub threads: usize,
    /// Share of the room for memory and descriptors after which its process is replaced, 0 for never.
    pub recycle_percent: u64,
    /// Requests after which its process is replaced, 0 for never.
    pub recycle_calls: u64,
    /// Calls that may wait for it.
    pub queue: usize,
    /// Name of the process that it shares with other functions, empty for one of its own.
    pub group: String,
    /// Which connections it may open.
    pub network: NetworkAccess,
    /// The only hosts that it may reach; empty for all that the network lets it.
    pub hosts: Hosts,
    /// Whether it may start programs.
    pub subprocesses: bool,
    /// Whether it may ask for completions that no filter sees.
    pub bypass_filter: bool,
    /// Models that it is attached to besides being global.
    pub models: Vec<String>,
}

/// Time limits of a function's handlers.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For `inlet` and `request`.
    pub inlet: Duration,
    /// For `outlet`.
    pub outlet: Duration,
    /// For `stream`, per event.
    pub stream: Duration,
    /// For a pipe to its first item, or to its whole answer.
    pub pipe_first: Duration,
    /// For a pipe between two items.
    pub pipe_idle: Duration,
    /// For loading.
    pub load: Duration,
}
