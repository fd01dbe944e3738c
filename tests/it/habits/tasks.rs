//! Loops, threads and tasks: functions that block, that go on after the answer, that bring loops of their own.

use super::{gateway_with, habit, told};
use crate::PATIENCE;
use crate::support::{
    Door, FakeUpstream, TestGateway, Witness, chat, eventually, source, streamed_chat,
};

#[tokio::test]
async fn an_async_handler_that_blocks_holds_up_its_own_function_only() {
    let upstream = FakeUpstream::echo().await;
    let door = Door::start().await;
    let setup = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url());
    let setup = setup.function("blocking", &habit("blocking", &[("DOOR", door.port)]));
    let setup = setup.function("single", &source("single"));
    let setup = setup.tables("[function.blocking]\nglobal = false\nmodels = [\"echo\"]");
    let gateway = setup.start().await;
    let user = gateway.user();
    let other = async {
        let waiting = door.expect("inlet").await;
        let answer = gateway.user().chat(&chat("single", "hi")).await.expect(200);
        assert_eq!(answer.content(), "you said: hi");
        drop(waiting);
    };
    let (told, ()) = tokio::join!(told(&user, "wait"), other);
    assert_eq!(told, "wait blocked");
}

#[tokio::test]
async fn work_in_threads_comes_back_and_its_prints_are_the_functions() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["in_threads"]).await;
    assert_eq!(
        told(&gateway.user(), "a b").await,
        "2 words, 2 words, 2 words, 2 words"
    );
    let valves = serde_json::json!({"unit": "tokens"});
    gateway
        .management()
        .set_valves("in_threads", &valves)
        .await
        .expect(200);
    assert_eq!(
        told(&gateway.user(), "a b").await,
        "2 tokens, 2 tokens, 2 tokens, 2 tokens"
    );
    let lines = gateway.management().output("in_threads").await;
    for place in ["to_thread", "executor", "pool", "thread"] {
        let line = format!("counting {place} False");
        assert_eq!(
            lines.iter().filter(|&other| *other == line).count(),
            2,
            "{lines:?}"
        );
    }
}

#[tokio::test]
async fn a_task_outlives_the_answer_of_the_request_that_made_it() {
    let upstream = FakeUpstream::echo().await;
    let (door, mut witness) = (Door::start().await, Witness::start().await);
    let code = habit(
        "outliving",
        &[("DOOR", door.port), ("WITNESS", witness.port)],
    );
    let setup = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url());
    let gateway = setup.function("outliving", &code).start().await;
    for body in [chat("echo", "hi"), streamed_chat("echo", "hi")] {
        let answer = gateway.user().chat(&body).await.expect(200);
        assert!(answer.is_whole);
        drop(door.expect("task").await);
        witness.expect("task ended, 2222").await;
        let path = format!("/api/chat/events/{}", answer.header("x-request-id"));
        let told = eventually(PATIENCE, "the task's event", async || {
            let log = gateway.user().get(&path).await;
            (log.status == 200).then(|| log.json())
        });
        assert_eq!(
            told.await["events"][0]["event"]["data"]["description"],
            "saved"
        );
    }
    let lines = eventually(PATIENCE, "the task's prints", async || {
        let lines = gateway.management().output("outliving").await;
        (lines.len() >= 2).then_some(lines)
    });
    assert_eq!(lines.await, ["saved for User Two"; 2]);
}

#[tokio::test]
async fn who_is_stopped_can_clean_up_and_goes_on_serving_others() {
    let mut witness = Witness::start().await;
    let code = habit("cleaning_up", &[("WITNESS", witness.port)]);
    let gateway = TestGateway::setup()
        .python()
        .function("cleaning", &code)
        .start()
        .await;
    for (model, heard) in [("swallowing", "swallowed"), ("passing", "passed on")] {
        let body = chat(&format!("cleaning.{model}"), "hi");
        let client = gateway.user().send_chat(&body).await;
        witness.expect("began").await;
        drop(client);
        witness.expect(heard).await;
    }
    for (model, heard) in [("plain", "generator exit"), ("later", "generator stopped")] {
        let body = streamed_chat(&format!("cleaning.{model}"), "hi");
        let mut stream = gateway.user().stream(&body).await;
        assert!(stream.next().await.unwrap().contains("tick"));
        drop(stream);
        witness.expect(heard).await;
    }
    let answer = gateway
        .user()
        .chat(&chat("cleaning.count", "hi"))
        .await
        .expect(200);
    assert_eq!(
        answer.content(),
        "5",
        "it is the instance that was called before"
    );
}

#[tokio::test]
async fn a_sync_handler_that_needs_the_running_loop_has_it_however_slow_it_is() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["on_the_loop"]).await;
    let expected = ["a []", "b ['a', 'A']", "c ['a', 'A', 'b', 'B']"];
    for (text, expected) in ["a", "b", "c"].into_iter().zip(expected) {
        assert_eq!(told(&gateway.user(), text).await, expected);
    }
}

#[tokio::test]
async fn a_sync_handler_can_run_loops_of_its_own() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["running_loops"]).await;
    for _ in 0..2 {
        let answer = super::ask(&gateway.user(), "hi").await.expect(200);
        assert_eq!(answer.header("x-sluicegate-function-errors"), "");
        assert_eq!(answer.content(), "ECHO: HI HI");
    }
}
