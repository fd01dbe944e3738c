//! P12: everything that can be raised, in the places beside `inlet` and `stream`.

use serde_json::{Value, json};

use crate::faults::rig::Rig;
use crate::support::{Answer, FakeUpstream, TestGateway, chat, source, streamed_chat};

const RAISED: [&str; 12] = [
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

/// The body of each class that raises.
const CLASSES: [(&str, &str); 4] = [
    (
        "raising_outlet",
        "class Filter:\n    def outlet(self, body):\n        text = body[\"messages\"][-1][\"content\"]\n        maybe_raise(text.removeprefix(\"echo: \"))\n        return body\n",
    ),
    (
        "raising_pipe",
        "class Pipe:\n    def pipe(self, body, __tools__=None):\n        place, _, name = body[\"messages\"][-1][\"content\"].partition(\" \")\n        if place == \"tool\":\n            return self.ask(__tools__, name)\n        if place == \"items\":\n            return self.items(name)\n        maybe_raise(name)\n        return \"fine\"\n\n    async def ask(self, tools, name):\n        try:\n            return str(await tools[\"raises\"][\"callable\"](name=name))\n        except Exception as error:\n            return f\"failed: {type(error).__name__}\"\n\n    def items(self, name):\n        yield \"first words\"\n        maybe_raise(name)\n",
    ),
    (
        "raising_action",
        "class Action:\n    async def action(self, body):\n        maybe_raise(body[\"messages\"][-1][\"content\"])\n        return {\"fine\": True}\n",
    ),
    (
        "raising_tools",
        "class Tools:\n    def raises(self, name: str) -> str:\n        \"\"\"Raises what it is told.\"\"\"\n        maybe_raise(name)\n        return \"fine\"\n",
    ),
];

async fn rig() -> Rig {
    let tables = "[function.raising_outlet]\nglobal = false\nmodels = [\"echo\"]\noutlet_error = \"closed\"\n[function.raising_action]\nglobal = true\n";
    let mut setup = TestGateway::setup().python().tables(tables);
    for (id, class) in CLASSES {
        setup = setup.function(id, &(source("raised") + class));
    }
    Rig::with(setup, FakeUpstream::echo().await).await
}

fn with_tools(mut body: Value) -> Value {
    body["tool_ids"] = json!(["raising_tools"]);
    body
}

fn expect_error(what: &str, answer: &Answer) {
    let is_status = answer.status >= 400 && answer.json()["error"]["message"].is_string();
    let is_event = answer.status == 200 && answer.text().contains("\"error\"") && !answer.is_whole;
    assert!(
        is_status || is_event,
        "{what}: {} {}",
        answer.status,
        answer.text()
    );
    assert!(
        !answer.text().contains("[DONE]"),
        "{what}: {}",
        answer.text()
    );
}

#[tokio::test]
async fn p12_whatever_outlets_and_pipes_raise_is_an_error_of_that_request_alone() {
    let rig = rig().await;
    let user = rig.gateway.user();
    for name in RAISED {
        expect_error(
            &format!("outlet: {name}"),
            &user.chat(&chat("echo", name)).await,
        );
        for place in ["pipe", "items"] {
            let text = format!("{place} {name}");
            for body in [
                chat("raising_pipe", &text),
                streamed_chat("raising_pipe", &text),
            ] {
                expect_error(&text, &user.chat(&body).await);
            }
        }
        user.chat(&chat("echo", "nothing")).await.expect(200);
        user.chat(&chat("raising_pipe", "pipe nothing"))
            .await
            .expect(200);
    }
    rig.leaves_nothing_but_processes("p12").await;
}

#[tokio::test]
async fn p12_whatever_actions_and_tools_raise_is_told_to_who_asked() {
    let rig = rig().await;
    let user = rig.gateway.user();
    let press = async |name: &str| {
        let path = "/api/chat/actions/raising_action";
        let mut body = chat("echo", name);
        body["chat_id"] = json!("c1");
        body["id"] = json!("m1");
        body["session_id"] = json!("s1");
        user.post(path, &body).await
    };
    let use_tool = async |name: &str| {
        let body = with_tools(chat("raising_pipe", &format!("tool {name}")));
        user.chat(&body).await.expect(200).content()
    };
    for name in RAISED {
        let answer = press(name).await;
        assert!(answer.status >= 400, "{name}: {}", answer.text());
        assert!(
            answer.json()["detail"].is_string(),
            "{name}: {}",
            answer.text()
        );
        let told = use_tool(name).await;
        assert!(told.starts_with("failed: "), "{name}: {told}");
    }
    press("nothing").await.expect(200);
    assert_eq!(use_tool("nothing").await, "fine");
    rig.leaves_nothing_but_processes("p12").await;
}
