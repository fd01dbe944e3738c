//! P: what functions do to a request, as far as no process has to be confined for it.

mod behind;
mod deaths;
mod generators;
mod loops;
mod packages;
mod protocol;
mod raising;
mod results;
mod starts;

use std::time::Duration;

use serde_json::{Value, json};

use crate::faults::rig::Rig;
use crate::support::{FakeUpstream, TestGateway, chat, streamed_chat};

#[tokio::test]
async fn p17_what_inlet_makes_of_a_request_is_checked_again() {
    let code = "import json\n\nclass Filter:\n    def inlet(self, body):\n        body.update(json.loads(body[\"messages\"][-1][\"content\"]))\n        return body\n";
    let setup = TestGateway::setup().python().function("maker", code);
    let setup = setup.tables("[function.maker]\nglobal = false\nmodels = [\"echo\"]");
    let rig = Rig::with(setup, FakeUpstream::echo().await).await;
    let nonsense: [Value; 8] = [
        json!({"messages": "text"}),
        json!({"messages": null}),
        json!({"messages": {}}),
        json!({"stream": "yes"}),
        json!({"stream": 1}),
        json!({"model": 7}),
        json!({"model": null}),
        json!({"model": "nobody"}),
    ];
    for change in nonsense {
        for body in [
            chat("echo", &change.to_string()),
            streamed_chat("echo", &change.to_string()),
        ] {
            let answer = rig.gateway.user().chat(&body).await;
            assert!(
                matches!(answer.status, 400 | 404 | 500),
                "{change}: {} {}",
                answer.status,
                answer.text()
            );
            assert!(answer.json()["error"]["message"].is_string());
        }
    }
    assert_eq!(rig.upstream.request_count(), 0);
    // What makes sense goes on: a stream is asked for and comes, or the other way round.
    let answer = rig
        .gateway
        .user()
        .chat(&chat("echo", &json!({"stream": true}).to_string()))
        .await
        .expect(200);
    assert!(
        answer
            .header("content-type")
            .starts_with("text/event-stream")
    );
    rig.ends_unharmed("p17").await;
}

/// What a function of these tests is allowed, in seconds.
const LIMIT: Duration = Duration::from_secs(1);
/// The promise adds 250 ms; the rest is for a busy machine.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// A function on these models alone.
fn table(id: &str, model: &str) -> String {
    format!(
        "[function.{id}]\nglobal = false\nmodels = [\"{model}\"]\ntimeout = {}\n",
        LIMIT.as_secs()
    )
}

#[tokio::test]
async fn p12_whatever_is_raised_is_an_error_of_that_request_alone() {
    let class = "class Filter:\n    def inlet(self, body):\n        self.name = body[\"messages\"][-1][\"content\"]\n        if not self.name.startswith(\"stream \"):\n            maybe_raise(self.name)\n        return body\n\n    def stream(self, event):\n        maybe_raise(self.name.removeprefix(\"stream \"))\n        return event\n";
    let code = crate::support::source("raised") + class;
    let setup = TestGateway::setup().python().function("raising", &code);
    let setup = setup.tables(&table("raising", "echo"));
    let rig = Rig::with(setup, FakeUpstream::echo().await).await;
    let names = [
        "Exception",
        "BaseException",
        "SystemExit",
        "KeyboardInterrupt",
        "GeneratorExit",
        "StopIteration",
        "StopAsyncIteration",
        "CancelledError",
        "MemoryError",
        "RecursionError",
        "Mute",
        "ExceptionGroup",
    ];
    for name in names {
        for body in [
            chat("echo", name),
            streamed_chat("echo", &format!("stream {name}")),
        ] {
            let answer = rig.gateway.user().chat(&body).await;
            let is_status = answer.status >= 400 && answer.json()["error"]["message"].is_string();
            let is_event = answer.text().contains("\"error\"") && !answer.is_whole;
            assert!(
                is_status || is_event,
                "{name}: {} {}",
                answer.status,
                answer.text()
            );
            assert!(
                !answer.text().contains("[DONE]"),
                "{name}: {}",
                answer.text()
            );
        }
        rig.gateway
            .user()
            .chat(&chat("echo", "nothing"))
            .await
            .expect(200);
    }
    rig.leaves_nothing_but_processes("p12").await;
}

#[tokio::test]
async fn p11_what_one_function_patches_no_other_sees() {
    let patching = "import builtins\nimport json\nimport os\nimport random\nimport socket\nimport sys\nimport threading\n\n\nclass Filter:\n    def inlet(self, body):\n        json.dumps = json.loads = None\n        builtins.len = builtins.isinstance = lambda *_: None\n        socket.socket = threading.Thread = None\n        os.environ.clear()\n        random.seed(1)\n        sys.setrecursionlimit(100)\n        return body\n";
    let setup = TestGateway::setup()
        .python()
        .function("patching", patching)
        .function("calm", &crate::support::source("calm"))
        .tables(&table("patching", "danger"))
        .tables(&table("calm", "echo"));
    let rig = Rig::with(setup, FakeUpstream::echo().await).await;
    for _ in 0..20 {
        // What becomes of its own calls is its own affair, but they are answered.
        let answer = rig.gateway.user().chat(&chat("danger", "hi")).await;
        assert!(
            matches!(answer.status, 200 | 400..=504),
            "{}",
            answer.text()
        );
        let answer = rig
            .gateway
            .user()
            .chat(&streamed_chat("echo", "hi"))
            .await
            .expect(200);
        assert!(answer.text().contains("\"calm\"") && answer.text().contains("[DONE]"));
    }
    rig.leaves_nothing_but_processes("p11").await;
}

#[tokio::test]
async fn p16_what_a_function_keeps_and_changes_later_changes_nothing() {
    let code = "KEPT = []\n\n\nclass Filter:\n    def inlet(self, body):\n        for old in KEPT:\n            old[\"messages\"][-1][\"content\"] = \"changed later\"\n            old[\"model\"] = \"danger\"\n        KEPT.append(body)\n        return body\n";
    let setup = TestGateway::setup().python().function("keeping", code);
    let setup = setup.tables(&table("keeping", "echo"));
    let rig = Rig::with(setup, FakeUpstream::echo().await).await;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..50 {
        let client = rig.gateway.user();
        calls.spawn(async move {
            let text = format!("number {number}");
            let answer = client.chat(&chat("echo", &text)).await.expect(200);
            assert_eq!(answer.content(), format!("echo: {text}"));
        });
    }
    while let Some(call) = calls.join_next().await {
        call.unwrap();
    }
    rig.leaves_nothing_but_processes("p16").await;
}
