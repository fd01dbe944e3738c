//! P06: every way in which a process dies, in every place.

use crate::PATIENCE;
use crate::faults::rig::Rig;
use crate::support::{
    Answer, FakeUpstream, TestGateway, chat, eventually, say, source, source_with, streamed_chat,
};

const WAYS: [&str; 5] = ["exit", "abort", "segfault", "sys.exit", "kill"];

/// How many deaths at least: `SLUICEGATE_DEATHS=1000` is the catalogue's number.
fn deaths() -> usize {
    let asked = std::env::var("SLUICEGATE_DEATHS").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(20)
}

fn id_of(way: &str) -> String {
    format!("mortal_{}", way.replace('.', "_"))
}

/// The filter of each way, and a pipe. Each has few deaths before [`renew`], so that none is left alone for a while.
fn sources() -> Vec<(String, String)> {
    let filter = |way: &str| {
        let way = format!("{way:?}");
        source_with("mortal", &[("WAY", &way)])
    };
    let mut all: Vec<_> = WAYS.iter().map(|way| (id_of(way), filter(way))).collect();
    all.extend(
        WAYS.iter()
            .map(|way| (format!("{}_pipe", id_of(way)), source("mortal_pipe"))),
    );
    all
}

async fn rig() -> Rig {
    let mut setup = TestGateway::setup()
        .python()
        .function("calm", &source("calm"))
        .tables("[function.calm]\nglobal = false\nmodels = [\"calm\"]");
    for way in WAYS {
        let policy = if way == "abort" { "open" } else { "closed" };
        setup = setup.tables(&format!(
            "[function.{}]\nglobal = false\nmodels = [\"echo\"]\non_error = \"{policy}\"\noutlet_error = \"{policy}\"",
            id_of(way)
        ));
    }
    let rig = Rig::with(setup, FakeUpstream::echo().await).await;
    for (id, code) in sources() {
        rig.gateway.management().install(&id, &code).await;
    }
    rig
}

async fn renew(rig: &Rig) {
    for (id, code) in sources() {
        rig.gateway
            .management()
            .update(&id, &code)
            .await
            .expect(200);
    }
}

/// A death is a failure of that request, unless the function's failures are to be passed over.
fn expect_failure(deed: &str, answer: &Answer) {
    if deed.starts_with("abort") && !deed.ends_with("pipe") && !deed.ends_with("items") {
        assert!(
            answer.status == 200,
            "{deed}: {} {}",
            answer.status,
            answer.text()
        );
        return;
    }
    let is_event = answer.status == 200 && !answer.is_whole && answer.text().contains("\"error\"");
    // `sys.exit` is an exception, and so is a signal that the kernel does not let through.
    let is_status = answer.status == 502 || answer.status == 500 && !deed.starts_with("exit");
    assert!(
        is_event || is_status,
        "{deed}: {} {}",
        answer.status,
        answer.text()
    );
    assert!(!answer.text().contains("[DONE]"), "{deed}");
}

/// One death of each way in each place; how many.
async fn round(rig: &Rig) -> usize {
    let user = rig.gateway.user();
    let mut count = 0;
    for way in WAYS {
        for place in ["inlet", "stream", "outlet"] {
            let deed = format!("{way} {place}");
            let body = match place {
                "stream" => streamed_chat("echo", &deed),
                _ => chat("echo", &deed),
            };
            expect_failure(&deed, &user.chat(&body).await);
            count += 1;
        }
        for place in ["pipe", "items"] {
            let deed = format!("{way} {place}");
            let answer = user
                .chat(&streamed_chat(&format!("{}_pipe", id_of(way)), &deed))
                .await;
            expect_failure(&deed, &answer);
            count += 1;
        }
    }
    user.chat(&chat("echo", "nothing")).await.expect(200);
    count
}

#[tokio::test]
async fn p06_every_death_in_every_place_fails_its_request_alone() {
    let rig = rig().await;
    let mut count = round(&rig).await;
    while count < deaths() {
        renew(&rig).await;
        count += round(&rig).await;
    }
    say(&format!("faults: p06: {count} deaths"));
    rig.leaves_nothing_but_processes_of("p06", 2 * WAYS.len())
        .await;
}

#[tokio::test]
async fn p06_calls_beside_a_death_are_answered_by_policy() {
    let rig = rig().await;
    for (way, status) in [("segfault", 502), ("abort", 200)] {
        let client = rig.gateway.user();
        let waits = chat("echo", &format!("{way} wait"));
        let waiting = tokio::spawn(async move { client.chat(&waits).await });
        let dies = chat("echo", &format!("{way} inlet"));
        // The one that waits may be there only after the first death.
        let look = async || {
            rig.gateway.user().chat(&dies).await;
            waiting.is_finished().then_some(())
        };
        eventually(PATIENCE, way, look).await;
        let answer = waiting.await.unwrap();
        assert_eq!(answer.status, status, "{way}: {}", answer.text());
    }
    rig.gateway
        .user()
        .chat(&chat("echo", "nothing"))
        .await
        .expect(200);
    rig.leaves_nothing_but_processes_of("p06", 2 * WAYS.len())
        .await;
}
