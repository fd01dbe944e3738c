//! The guide to filters: seed 004.

use serde_json::{Value, json};

use super::gateway_before;
use crate::PATIENCE;
use crate::support::{FakeUpstream, Seed, chat, eventually, streamed_chat};

#[tokio::test]
async fn the_first_filter_changes_nothing_in_any_of_its_handlers() {
    let Some(seed) = Seed::open("004") else {
        return;
    };
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_before(&upstream).await;
    let bodies = [chat("echo", "hi"), streamed_chat("echo", "hi")];
    let mut before = Vec::new();
    for body in &bodies {
        before.push(gateway.user().chat(body).await.expect(200).text());
    }
    gateway
        .management()
        .install_filter("idle", &seed.block("Filters Guide", 0))
        .await;
    for (body, before) in bodies.iter().zip(before) {
        let answer = gateway.user().chat(body).await.expect(200);
        assert_eq!(answer.text(), before);
        assert_eq!(answer.header("x-sluicegate-function-errors"), "");
    }
}

#[tokio::test]
async fn the_frontmatters_requirement_is_there_before_the_filter_runs() {
    let Some(seed) = Seed::open("004") else {
        return;
    };
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_before(&upstream).await;
    let frame = "import httpx\n\nclass Filter:\n    def inlet(self, body):\n        \
                 body['messages'][-1]['content'] = httpx.URL('http://h/there').path\n        return body\n";
    let code = seed.block("Loading and frontmatter", 0) + frame;
    gateway.management().install_filter("asking", &code).await;
    let answer = gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    assert_eq!(answer.content(), "echo: /there");
}

#[tokio::test]
async fn valves_are_changed_without_an_upload_and_the_higher_priority_runs_later() {
    let Some(seed) = Seed::open("004") else {
        return;
    };
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_before(&upstream).await;
    let management = gateway.management();
    let frame = "\nclass Filter:\n    async def inlet(self, body, __id__, __user__):\n        \
                 body['messages'][-1]['content'] += f' {__id__}{__user__[\"valves\"].quota}'\n        return body\n";
    let code = seed.block("Configuration via Valves", 0) + frame;
    for id in ["a", "b", "c"] {
        management.install_filter(id, &code).await;
    }
    let content = async || {
        gateway
            .user()
            .chat(&chat("echo", "hi"))
            .await
            .expect(200)
            .content()
    };
    assert_eq!(content().await, "echo: hi a5 b5 c5");
    management
        .set_valves("a", &json!({"priority": 10}))
        .await
        .expect(200);
    management
        .set_valves("c", &json!({"priority": -1}))
        .await
        .expect(200);
    gateway
        .user()
        .set_user_valves("b", &json!({"quota": 7}))
        .await
        .expect(200);
    assert_eq!(content().await, "echo: hi c5 b7 a5");
}

/// A chat of so many messages.
fn conversation(length: usize) -> Value {
    let messages: Vec<_> = (0..length)
        .map(|_| json!({"role": "user", "content": "hi"}))
        .collect();
    json!({"model": "echo", "messages": messages})
}

#[tokio::test]
async fn the_example_enforces_a_turn_limit_with_a_bonus_for_each_user() {
    let Some(seed) = Seed::open("004") else {
        return;
    };
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_before(&upstream).await;
    let management = gateway.management();
    management
        .install_filter("turns", &seed.block("Example", 0))
        .await;
    gateway.user().chat(&conversation(4)).await.expect(200);
    let refused = gateway.user().chat(&conversation(5)).await.expect(400);
    assert_eq!(
        refused.json()["error"]["message"],
        "Conversation turn limit exceeded (4)"
    );
    let refused = gateway
        .user()
        .post("/api/chat/completions", &conversation(5))
        .await
        .expect(400);
    assert_eq!(
        refused.json(),
        json!({"detail": "Conversation turn limit exceeded (4)"})
    );
    gateway
        .user()
        .set_user_valves("turns", &json!({"bonus_turns": 2}))
        .await
        .expect(200);
    gateway.user().chat(&conversation(6)).await.expect(200);
    gateway.admin().chat(&conversation(5)).await.expect(400);
    management
        .set_valves("turns", &json!({"max_turns": 5}))
        .await
        .expect(200);
    gateway.admin().chat(&conversation(5)).await.expect(200);
    let refused = gateway.user().chat(&conversation(8)).await.expect(400);
    assert_eq!(
        refused.json()["error"]["message"],
        "Conversation turn limit exceeded (7)"
    );
}

#[tokio::test]
async fn the_example_logs_streamed_tokens_and_keeps_files_back() {
    let Some(seed) = Seed::open("004") else {
        return;
    };
    let mut upstream = FakeUpstream::echo().await;
    let gateway = gateway_before(&upstream).await;
    let management = gateway.management();
    let mut body = streamed_chat("echo", "hi");
    body["files"] = json!([{"id": "f1", "type": "file"}]);
    management
        .install_filter("turns", &seed.block("Example", 0))
        .await;
    let answer = gateway
        .user()
        .post("/api/chat/completions", &body)
        .await
        .expect(200);
    assert_eq!(answer.streamed_content(), "echo: hi");
    assert_eq!(upstream.request().await.json().get("files"), None);
    let tokens = answer.events().len() - 1;
    let lines = eventually(PATIENCE, "the prints of the stream", async || {
        let lines = management.output("turns").await;
        (lines.len() >= tokens).then_some(lines)
    });
    assert_eq!(
        lines.await,
        vec!["token None"; tokens],
        "events have no `data`"
    );
}

#[tokio::test]
async fn parameter_injection_supplies_the_names_of_its_list() {
    let Some(seed) = Seed::open("004") else {
        return;
    };
    let section = seed.section("## Parameter injection");
    let names = section
        .lines()
        .filter_map(|line| line.strip_prefix("- `")?.split_once('`'));
    let names: Vec<_> = names
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("__"))
        .collect();
    assert_eq!(names.len(), 7, "{names:?}");
    let names = names.join(", ");
    let code = format!(
        "class Filter:\n    def inlet(self, body, {names}):\n        return self.check('inlet', locals(), body)\n\n    \
         def outlet(self, body, {names}):\n        return self.check('outlet', locals(), body)\n\n    \
         def stream(self, event, {names}):\n        return self.check('stream', locals(), event)\n\n    \
         def check(self, handler, given, payload):\n        \
         print(handler, given['__id__'], given['__user__']['name'], given['__model__']['id'], type(given['__request__']).__name__,\n            \
         callable(given['__event_emitter__']), callable(given['__event_call__']), type(given['__metadata__']).__name__)\n        \
         return payload\n"
    );
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_before(&upstream).await;
    gateway.management().install_filter("names", &code).await;
    gateway
        .user()
        .chat(&streamed_chat("echo", "hi"))
        .await
        .expect(200);
    let expected = |handler: &str| format!("{handler} names User Two echo Request True True dict");
    let lines = eventually(PATIENCE, "the print of outlet", async || {
        let lines = gateway.management().output("names").await;
        lines
            .last()
            .is_some_and(|line| line.starts_with("outlet"))
            .then_some(lines)
    });
    let lines = lines.await;
    for handler in ["inlet", "stream", "outlet"] {
        assert!(lines.contains(&expected(handler)), "{handler}: {lines:?}");
    }
}
