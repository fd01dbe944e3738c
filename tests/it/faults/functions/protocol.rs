//! P21: functions that speak on their process's socket themselves.

use crate::faults::rig::Rig;
use crate::support::{Answer, FakeUpstream, TestGateway, chat, say, source, streamed_chat};

const TABLES: &str = "
[function.abusing]
global = false
models = [\"echo\"]
timeout = 2
[function.flooding]
timeout = 2
";

/// What a deed ends in: these statuses, of which only the first two are failures of the function.
const DEEDS: &[(&str, &[u16])] = &[
    ("garbage", &[502]),
    ("zeros", &[502]),
    ("short", &[502]),
    ("huge", &[502]),
    // The rest never comes, so the call ends at its limit.
    ("unfinished", &[504]),
    ("unknown kind", &[502]),
    ("a kind of the gateway", &[502]),
    ("never asked", &[502]),
    ("another kind of answer", &[502]),
    ("a pong for an answer", &[502]),
    ("an event of nonsense", &[200]),
    ("questions without listening", &[502]),
    ("an answer of nonsense", &[500]),
    ("an error of nonsense", &[500]),
    // The first answer counts, the second is to a call that is over.
    ("twice", &[200]),
    ("chunks for a hook", &[200]),
    ("an event of nobody", &[200]),
    ("questions of nonsense", &[200]),
    ("a long print", &[200]),
];

async fn rig() -> Rig {
    let setup = TestGateway::setup().python().tables(TABLES);
    let setup = setup.function("flooding", &source("flooding"));
    let rig = Rig::with(setup, FakeUpstream::echo().await).await;
    rig.gateway
        .management()
        .create("abusing", &source("abusing"))
        .await
        .expect(200);
    rig.gateway.management().toggle("abusing").await;
    rig
}

/// Puts a version in place that has no crashes behind it, so that none is left alone for a while.
async fn renew(rig: &Rig) {
    let updated = rig.gateway.management();
    updated
        .update("abusing", &source("abusing"))
        .await
        .expect(200);
}

fn expect_error(deed: &str, answer: &Answer) {
    let error = &answer.json()["error"];
    let expected = match answer.status {
        502 => "function_crashed",
        504 => "function_timeout",
        _ => "function_error",
    };
    assert_eq!(error["code"], expected, "{deed}: {}", answer.text());
}

#[tokio::test]
async fn p21_whoever_breaks_the_protocol_is_killed_and_replaced() {
    let rig = rig().await;
    for (deed, statuses) in DEEDS {
        renew(&rig).await;
        let answer = rig.gateway.user().chat(&chat("echo", deed)).await;
        say(&format!(
            "faults: p21: `{deed}` is answered with {}",
            answer.status
        ));
        assert!(
            statuses.contains(&answer.status),
            "{deed}: {} {}",
            answer.status,
            answer.text()
        );
        if answer.status == 200 {
            assert_eq!(answer.content(), format!("echo: {deed}"));
        } else {
            expect_error(deed, &answer);
        }
        let next = rig.gateway.user().chat(&chat("echo", "nothing")).await;
        assert_eq!(next.expect(200).content(), "echo: nothing", "after {deed}");
    }
    let log = rig.gateway.log();
    assert!(!log.contains("panic"), "{log}");
    rig.leaves_nothing_but_processes("p21").await;
}

#[tokio::test]
async fn p21_a_call_beside_a_broken_protocol_fails_by_policy_and_a_forged_answer_reaches_its_own_function_only()
 {
    let rig = rig().await;
    for (deed, beside) in [("garbage beside another", 502), ("for another", 200)] {
        renew(&rig).await;
        let client = rig.gateway.user();
        let waiting = tokio::spawn(async move { client.chat(&chat("echo", "wait")).await });
        rig.gateway.user().chat(&chat("echo", deed)).await;
        let answer = waiting.await.unwrap();
        assert_eq!(answer.status, beside, "{deed}: {}", answer.text());
        let next = rig.gateway.user().chat(&chat("echo", "nothing")).await;
        next.expect(200);
    }
    rig.leaves_nothing_but_processes("p21").await;
}

#[tokio::test]
async fn p21_a_pipe_that_sends_more_than_it_may_is_killed() {
    let rig = rig().await;
    let answer = rig
        .gateway
        .user()
        .chat(&streamed_chat("flooding", "flood"))
        .await;
    assert!(!answer.text().contains("[DONE]"));
    let is_refused = answer.status == 502 || !answer.is_whole;
    assert!(is_refused, "{} {}", answer.status, answer.body.len());
    rig.gateway
        .logged("more of a stream than there was credit for")
        .await;
    let next = rig.gateway.user().chat(&chat("flooding", "nothing")).await;
    assert_eq!(next.expect(200).content(), "fine");
    rig.leaves_nothing_but_processes("p21").await;
}
