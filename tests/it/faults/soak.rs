//! R09: all faults at random, for as long as one likes: `make soak`.

mod ledger;
mod player;
mod server;

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::ledger::Ledger;
use self::player::Player;
use crate::PATIENCE;
use crate::faults::rig::{Random, Rig};
use crate::support::{FakeUpstream, TestGateway, chat, eventually, say, source, source_with};

/// Seconds; `make soak` says 900.
const VARIABLE: &str = "SLUICEGATE_SOAK_SECONDS";
const USUAL: u64 = 6;
/// How many play faults at a time.
const PLAYERS: usize = 4;
/// How much more memory the last third may need than the second.
const GROWTH_KIB: u64 = 2 * 1024;
/// How often the gateway is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Looks between two reloads, and between two kills: fewer than put a function into quarantine.
const RELOAD: usize = 7;
const KILL: usize = 31;

const TABLES: &str = "
[function.stamp]
global = false
models = [\"echo\"]
[function.hostile]
global = false
models = [\"danger\"]
timeout = 1
";

#[tokio::test]
async fn r09_all_faults_at_random_leave_nothing_behind() {
    let seconds = std::env::var(VARIABLE).ok();
    let seconds: Option<u64> = seconds.and_then(|text| text.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(USUAL));
    let rig = scene().await;
    let ledger = Arc::new(Ledger::default());
    let mut players = JoinSet::new();
    for number in 0..PLAYERS {
        let player = Player::new(number, &rig.gateway, &ledger);
        players.spawn(player.play_until(until));
    }
    let sizes = watch(&rig, until).await;
    let faults: usize = players.join_all().await.into_iter().sum();
    ledger.tell();
    let growth = growth_of(&sizes, faults);
    ledger.expect_nothing_strange();
    // A few seconds show how a gateway warms up, not what it loses.
    assert!(
        seconds.is_none() || growth <= GROWTH_KIB,
        "memory grew: {sizes:?}"
    );
    let served = async || {
        let answer = rig.gateway.user().chat(&chat("danger", "hi")).await;
        (answer.status == 200).then_some(())
    };
    eventually(PATIENCE, "an answer of the worst function", served).await;
    rig.leaves_nothing_but_processes("r09").await;
}

/// A gateway with neighbours, a function that is changed all the time and one that misbehaves.
async fn scene() -> Rig {
    let setup = TestGateway::setup().python().tables(TABLES);
    // Starts Python before anything is counted.
    let setup = setup.function("hostile", &source("hostile"));
    let rig = Rig::with(setup, FakeUpstream::start(server::respond).await).await;
    let management = rig.gateway.management();
    management
        .install("stamp", &source_with("stamp", &[]))
        .await;
    for model in ["echo", "danger"] {
        let answer = rig.gateway.user().chat(&chat(model, "hi")).await;
        answer.expect(200);
    }
    rig
}

/// What the gateway has at one moment.
#[derive(Clone, Copy, Debug)]
struct Size {
    rss_kib: u64,
    descriptors: usize,
    processes: usize,
}

/// Looks at the gateway, reloads it and kills what it started, until the time is over.
async fn watch(rig: &Rig, until: Instant) -> Vec<Size> {
    let process = rig.gateway.process();
    let (mut random, mut sizes) = (Random::seeded(), Vec::new());
    let mut reloads = 0;
    while Instant::now() < until {
        sleep(LOOK).await;
        sizes.push(Size {
            rss_kib: process.rss_kib(),
            descriptors: process.descriptors(),
            processes: process.descendants().len(),
        });
        if sizes.len().is_multiple_of(RELOAD) {
            rig.gateway.reload().await;
            reloads += 1;
        }
        if sizes.len().is_multiple_of(KILL) {
            kill_one(rig, &mut random);
        }
    }
    say(&format!("faults: r09: {reloads} reloads"));
    sizes
}

/// Kills a worker, the standby or the zygote.
fn kill_one(rig: &Rig, random: &mut Random) {
    let started = rig.gateway.process().descendants();
    let Some(one) = started.get(random.below(started.len().max(1))) else {
        return;
    };
    let id = Pid::from_raw(i32::try_from(one.0).unwrap()).unwrap();
    // It may have ended by itself.
    let _ = kill_process(id, Signal::KILL);
}

/// How much more memory the last third of the time needed than the second, in KiB.
fn growth_of(sizes: &[Size], faults: usize) -> u64 {
    let third = (sizes.len() / 3).max(1);
    let thirds: Vec<_> = sizes.chunks(third).take(3).map(peaks).collect();
    say(&format!(
        "faults: r09: {faults} faults; peaks by thirds: {thirds:?}"
    ));
    match thirds[..] {
        [.., second, last] => last.rss_kib.saturating_sub(second.rss_kib),
        _ => 0,
    }
}

fn peaks(sizes: &[Size]) -> Size {
    let most = |of: fn(&Size) -> usize| sizes.iter().map(of).max().unwrap_or_default();
    Size {
        rss_kib: sizes
            .iter()
            .map(|size| size.rss_kib)
            .max()
            .unwrap_or_default(),
        descriptors: most(|size| size.descriptors),
        processes: most(|size| size.processes),
    }
}
