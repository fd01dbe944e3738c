//! P14: sync code runs one piece at a time, and one whose client has left may never end. Those behind it wait no longer
//! than they must, and nobody after them.

use super::table;
use crate::PATIENCE;
use crate::faults::rig::Rig;
use crate::support::{
    Answer, FakeUpstream, TestGateway, Witness, chat, eventually, source_with, streamed_chat,
};

/// A gateway with `class`, which calls `last`, as the function `lasting`.
async fn rig(witness: &Witness, class: &str, tables: &str) -> Rig {
    let port = witness.port.to_string();
    let code = source_with("lasting", &[("WITNESS", &port)]) + class;
    let setup = TestGateway::setup().python().function("lasting", &code);
    Rig::with(setup.tables(tables), FakeUpstream::echo().await).await
}

async fn ask(rig: &Rig, model: &str, text: &str) -> Answer {
    rig.gateway.user().chat(&chat(model, text)).await
}

#[tokio::test]
async fn p14_behind_a_pipe_that_was_left_one_waits_in_vain_and_no_other() {
    let mut witness = Witness::start().await;
    let class = "\n\nclass Pipe:\n    def pipe(self, body):\n        return self.items(body)\n\n    def items(self, body):\n        yield \"first\"\n        last(body)\n";
    let rig = rig(&witness, class, "[functions]\npipe_first_seconds = 2").await;
    ask(&rig, "lasting", "hi").await.expect(200);
    let mut left = rig
        .gateway
        .user()
        .stream(&streamed_chat("lasting", "for ever"))
        .await;
    left.next().await.unwrap();
    witness.expect("it lasts").await;
    // Is there before the gateway hears that nobody listens to the first one any more.
    let behind = ask(&rig, "lasting", "hi");
    let leaving = async { drop(left) };
    let (behind, ()) = tokio::join!(behind, leaving);
    behind.expect(504);
    ask(&rig, "lasting", "hi").await.expect(200);
    rig.leaves_nothing_but_processes("p14").await;
}

#[tokio::test]
async fn p14_a_hook_that_was_left_holds_others_up_for_its_own_limit() {
    let mut witness = Witness::start().await;
    let class =
        "\n\nclass Filter:\n    def inlet(self, body):\n        last(body)\n        return body\n";
    let rig = rig(&witness, class, &table("lasting", "echo")).await;
    ask(&rig, "echo", "hi").await.expect(200);
    let left = rig
        .gateway
        .user()
        .send_chat(&chat("echo", "for ever"))
        .await;
    witness.expect("it lasts").await;
    drop(left);
    let served = async || (ask(&rig, "echo", "hi").await.status == 200).then_some(());
    eventually(PATIENCE, "the function to be served again", served).await;
    rig.leaves_nothing_but_processes("p14").await;
}
