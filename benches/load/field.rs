//! Everybody who takes part.

use anyhow::Result;

use crate::Options;
use crate::gateway::{Gateway, models};
use crate::peers::{Peer, free_address};
use crate::rows;
use crate::upstream::Upstream;
use crate::{proxies, stored, webui};

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
    /// The gateway with functions in Rust.
    pub(crate) native: Peer,
    /// The gateway with functions in Python, where there is Python.
    pub(crate) python: Option<Peer>,
    /// The gateway with many functions in Python, none of which runs, where there is Python.
    pub(crate) stored: Option<Peer>,
    /// Open WebUI, where it is installed.
    pub(crate) webui: Option<Peer>,
    /// LiteLLM, where it is installed.
    pub(crate) litellm: Option<Peer>,
    /// Other gateways that are installed and can bear what nginx can.
    pub(crate) others: Vec<Peer>,
}

impl Field {
    /// Starts them; a quick run has no other gateways.
    pub(crate) fn start(options: &Options) -> Result<Self> {
        let upstream = Upstream::start(free_address()?, &models(), options.failing)?;
        let addr = upstream.addr;
        let mut others = Vec::new();
        if !options.is_quick {
            let found = [
                proxies::haproxy(addr),
                proxies::onwards(addr),
                proxies::vllm_router(addr),
            ];
            others.extend(found.into_iter().filter_map(some));
        }
        let wants_any =
            |rows: &[&str]| !options.is_quick && rows.iter().any(|row| options.wants(row));
        Ok(Self {
            nginx: proxies::nginx(addr)?,
            bare: proxies::bare(addr)?,
            gateway: Gateway::plain(addr)?.start()?,
            native: Gateway::with_native(addr)?.start()?,
            python: some(Gateway::with_python(addr).and_then(|gateway| gateway.start())),
            stored: options
                .wants(rows::STORED)
                .then(|| stored::set_up(addr)?.start())
                .and_then(some),
            webui: wants_any(&rows::BESIDE_WEBUI)
                .then(|| webui::start(addr))
                .and_then(some),
            litellm: wants_any(&rows::BESIDE_LITELLM)
                .then(|| proxies::litellm(addr))
                .and_then(some),
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

    /// Everybody whose version is told.
    pub(crate) fn everybody(&self) -> impl Iterator<Item = &Peer> {
        self.passers().chain(&self.webui).chain(&self.litellm)
    }
}

fn some(peer: Result<Peer>) -> Option<Peer> {
    peer.inspect_err(|error| eprintln!("left out: {error:#}"))
        .ok()
}
