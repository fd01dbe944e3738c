//! Everybody who takes part.

use anyhow::Result;

use crate::peers::{Peer, free_address};
use crate::proxies;
use crate::upstream::Upstream;

/// The model server and all peers, running.
#[derive(Debug)]
pub(crate) struct Field {
    /// The model server.
    pub(crate) upstream: Upstream,
    /// What everybody compares with.
    pub(crate) nginx: Peer,
    /// hyper alone.
    pub(crate) bare: Peer,
    /// The gateway without functions.
    pub(crate) gateway: Peer,
    /// The gateway with functions in Python, where there is Python.
    pub(crate) python: Option<Peer>,
    /// Other gateways that are installed.
    pub(crate) others: Vec<Peer>,
}

impl Field {
    /// Starts them; a `quick` run has no other gateways.
    pub(crate) fn start(is_quick: bool) -> Result<Self> {
        let upstream = Upstream::start(free_address()?)?;
        let addr = upstream.addr;
        let mut others = Vec::new();
        if !is_quick {
            let found = [
                proxies::haproxy(addr),
                proxies::vllm_router(addr),
                proxies::litellm(addr),
            ];
            others.extend(found.into_iter().filter_map(some));
        }
        Ok(Self {
            nginx: proxies::nginx(addr)?,
            bare: proxies::bare(addr)?,
            gateway: Peer::gateway(addr)?,
            python: some(Peer::gateway_with_python(addr)),
            others,
            upstream,
        })
    }

    /// All that pass a request on as it is.
    pub(crate) fn passers(&self) -> impl Iterator<Item = &Peer> {
        [&self.nginx, &self.bare, &self.gateway]
            .into_iter()
            .chain(&self.others)
    }
}

fn some(peer: Result<Peer>) -> Option<Peer> {
    peer.inspect_err(|error| eprintln!("left out: {error:#}"))
        .ok()
}
