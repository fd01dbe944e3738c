//! What fault tests stand on: a gateway between a faulty model server and a healthy one, streams beside the fault that
//! measure themselves, and a look at what is left afterwards.

use std::time::Duration;

pub(super) mod http2;
mod lookout;
mod neighbours;
mod random;
mod raw;
mod residue;

pub(super) use self::lookout::Lookout;
pub(super) use self::random::Random;
pub(super) use self::raw::{Raw, Reply, authorized, chat_request, exchange, get_request};
pub(in crate::faults) use self::residue::SLACK_KIB;

use self::neighbours::Neighbours;
use self::residue::Residue;
use crate::PATIENCE;
use crate::support::{
    Answer, FakeUpstream, Recorded, Script, Setup, TestGateway, chat, eventually,
};

/// The model of the healthy server, on which the neighbours are.
const BESIDE: &str = "beside";
/// A model server that has sent nothing for so long is held up.
const STANDSTILL: Duration = Duration::from_millis(500);

/// A gateway with neighbours on it.
pub(super) struct Rig {
    pub(super) gateway: TestGateway,
    /// The server that plays faults: it has the models `echo`, `calm` and `danger`.
    pub(super) upstream: FakeUpstream,
    neighbours: Neighbours,
    before: Residue,
}

impl Rig {
    /// A gateway as it comes, whose model server answers so.
    pub(super) async fn new(respond: impl Fn(&Recorded) -> Script + Send + Sync + 'static) -> Self {
        Self::with(TestGateway::setup(), FakeUpstream::start(respond).await).await
    }

    /// The same with these tables of TOML.
    pub(super) async fn configured(
        tables: &str,
        respond: impl Fn(&Recorded) -> Script + Send + Sync + 'static,
    ) -> Self {
        let setup = TestGateway::setup().tables(tables);
        Self::with(setup, FakeUpstream::start(respond).await).await
    }

    /// A gateway set up so, in front of this server.
    pub(super) async fn with(setup: Setup, upstream: FakeUpstream) -> Self {
        let healthy = Neighbours::model_server().await;
        let setup = setup
            .settings("threads = 2")
            .upstream("fake", &upstream.base_url())
            .tables(&format!(
                "[[upstreams]]\nname = \"beside\"\nkind = \"openai\"\nbase_url = \"{}\"\nmodels = [\"{BESIDE}\"]",
                healthy.base_url()
            ));
        let gateway = setup.start().await;
        // Asks for the lists of models once, and starts what functions need.
        gateway.user().chat(&chat(BESIDE, "hi")).await.expect(200);
        gateway.user().get("/v1/models").await.expect(200);
        let connections = healthy.connections() + upstream.open_connection_count();
        let mut before = Residue::of(&gateway, connections);
        let neighbours = Neighbours::start(&gateway, healthy).await;
        // What the neighbours need is no part of the fault.
        before.rss_kib = gateway.process().rss_kib();
        Self {
            gateway,
            upstream,
            neighbours,
            before,
        }
    }

    /// Sends bytes, and reads until the gateway closes.
    pub(super) async fn exchange(&self, bytes: impl AsRef<[u8]>) -> Reply {
        exchange(self.gateway.address, bytes).await
    }

    /// A chat with the faulty server.
    pub(super) async fn chat(&self) -> Answer {
        self.gateway.user().chat(&chat("echo", "hi")).await
    }

    /// How much memory the gateway has gained, in KiB.
    pub(super) fn growth_kib(&self) -> u64 {
        let now = self.gateway.process().rss_kib();
        now.saturating_sub(self.before.rss_kib)
    }

    /// Waits until the faulty model server gets rid of nothing more.
    pub(super) async fn held_up(&self) {
        let mut last = 0;
        eventually(PATIENCE, "the model server to be held up", async || {
            tokio::time::sleep(STANDSTILL).await;
            let sent = self.upstream.sent_bytes();
            (sent == std::mem::replace(&mut last, sent)).then_some(())
        })
        .await;
    }

    /// Somebody who looks on from now on.
    pub(super) fn lookout(&self) -> Lookout {
        Lookout::over(&self.gateway, self.neighbours.backlog())
    }

    /// Lets nobody ask anew beside the fault; the streams go on.
    pub(super) async fn stop_calling(&mut self) {
        self.neighbours.stop_calling().await;
    }

    /// No neighbour has noticed anything, and nothing is left of the fault.
    pub(super) async fn ends_unharmed(self, row: &str) -> TestGateway {
        self.ends_unharmed_within(row, residue::SLACK_KIB).await
    }

    /// The same, where the fault may leave so much memory with the allocator.
    pub(super) async fn ends_unharmed_within(self, row: &str, slack_kib: u64) -> TestGateway {
        let Self {
            gateway,
            upstream,
            neighbours,
            before,
        } = self;
        let beside = neighbours.end(row, &gateway).await;
        let of_upstreams = || beside.open_connection_count() + upstream.open_connection_count();
        before
            .comes_back(row, &gateway, of_upstreams, slack_kib)
            .await;
        gateway
    }

    /// Nothing is left of the fault, which the neighbours were meant to notice.
    pub(super) async fn leaves_nothing(self, row: &str) {
        let Self {
            gateway,
            upstream,
            neighbours,
            before,
        } = self;
        let beside = neighbours.give_up();
        let of_upstreams = || beside.open_connection_count() + upstream.open_connection_count();
        before
            .comes_back(row, &gateway, of_upstreams, residue::SLACK_KIB)
            .await;
    }

    /// The same where the fault is about functions, whose processes come and go.
    pub(super) async fn leaves_nothing_but_processes(self, row: &str) {
        self.leaves_nothing_but_processes_of(row, 8).await;
    }

    /// The same with so many of them.
    pub(super) async fn leaves_nothing_but_processes_of(mut self, row: &str, workers: usize) {
        // Each has a guard beside it where the kernel gives it a namespace.
        self.before.processes += 2 * workers;
        // Each has a socket and a channel or two.
        self.before.descriptors += 4 * workers;
        self.before.files += 1;
        self.ends_unharmed(row).await;
    }
}
