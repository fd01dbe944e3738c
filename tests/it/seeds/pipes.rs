//! Pipes of the overview and of the guide to custom pipes: seeds 000 and 001.

use std::collections::BTreeSet;

use serde_json::json;

use super::{gateway, gateway_before};
use crate::support::{Client, FakeUpstream, Seed, chat, in_class, streamed_chat};

/// Uses the valves of "Valve Implementation" as their names say.
const USING_VALVES: &str = r#"
class Filter:
    def inlet(self, body, __user__):
        own = __user__["valves"]
        body["temperature"] = self.valves.temperature
        body["max_tokens"] = self.valves.max_tokens
        if own.enabled and own.custom_prompt:
            body["messages"].insert(0, {"role": "system", "content": own.custom_prompt})
        return body
"#;

/// Shows the valves of "Valve Configuration".
const SHOWING_VALVES: &str = r#"
class Pipe:
    def pipe(self, body, __user__):
        own = __user__["valves"]
        return f"{self.valves.base_url} {self.valves.api_key} {own.enabled} {own.custom_prompt}"
"#;

/// The ids and names of the models.
async fn models(client: &Client) -> Vec<(String, String)> {
    let list = client.get("/api/models").await.expect(200).json();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let models = list["data"].as_array().unwrap().iter();
    models
        .map(|model| (text(&model["id"]), text(&model["name"])))
        .collect()
}

#[tokio::test]
async fn valve_implementation_gives_the_admin_and_each_user_settings_of_their_own() {
    let Some(seed) = Seed::open("000") else {
        return;
    };
    let mut upstream = FakeUpstream::echo().await;
    let gateway = gateway_before(&upstream).await;
    let management = gateway.management();
    let code =
        "from pydantic import BaseModel\n\n".to_owned() + &seed.block("Valve Implementation", 0);
    management
        .install_filter("tuned", &(code + USING_VALVES))
        .await;
    gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    let asked = upstream.request().await.json();
    assert_eq!(
        (&asked["temperature"], &asked["max_tokens"]),
        (&json!(0.7), &json!(256))
    );
    let valves = json!({"temperature": 0.1, "max_tokens": 9});
    management.set_valves("tuned", &valves).await.expect(200);
    let path = "/api/v1/functions/id/tuned/valves/update";
    gateway.user().post(path, &valves).await.expect(401);
    let own = json!({"custom_prompt": "Be brief."});
    gateway
        .user()
        .set_user_valves("tuned", &own)
        .await
        .expect(200);
    gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    let asked = upstream.request().await.json();
    assert_eq!(
        (&asked["temperature"], &asked["max_tokens"]),
        (&json!(0.1), &json!(9))
    );
    assert_eq!(
        asked["messages"][0],
        json!({"role": "system", "content": "Be brief."})
    );
    gateway.admin().chat(&chat("echo", "hi")).await.expect(200);
    let asked = upstream.request().await.json();
    assert_eq!(
        asked["messages"][0]["role"], "user",
        "the prompt is the other user's"
    );
}

#[tokio::test]
async fn valve_configuration_takes_the_four_steps_into_the_chat() {
    let Some(seed) = Seed::open("000") else {
        return;
    };
    let gateway = gateway().await;
    let management = gateway.management();
    let code = seed.block("Valve Configuration", 0) + SHOWING_VALVES;
    management.create("custom", &code).await.expect(200);
    management
        .set_valves("custom", &json!({"api_key": "sk-1"}))
        .await
        .expect(200);
    management.toggle("custom").await;
    gateway
        .user()
        .set_user_valves("custom", &json!({"custom_prompt": "mine"}))
        .await
        .expect(200);
    let answer = gateway.user().chat(&chat("custom", "hi")).await.expect(200);
    assert_eq!(answer.content(), "https://api.example.com sk-1 True mine");
    let answer = gateway
        .admin()
        .chat(&chat("custom", "hi"))
        .await
        .expect(200);
    assert_eq!(answer.content(), "https://api.example.com sk-1 True ");
    let spec = gateway
        .admin()
        .get("/api/v1/functions/id/custom/valves/spec")
        .await
        .expect(200);
    let fields = spec.json()["properties"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect::<BTreeSet<_>>();
    assert_eq!(fields, ["api_key", "base_url"].map(str::to_owned).into());
}

#[tokio::test]
async fn execution_flow_passes_the_names_that_a_pipe_declares_and_no_others() {
    let Some(seed) = Seed::open("001") else {
        return;
    };
    let block = seed.block("Execution flow", 0);
    let listed = block
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split_once("\":"));
    let names: Vec<_> = listed
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("__"))
        .collect();
    assert_eq!(names.len(), 11, "{names:?}");
    let user_keys = ["id", "email", "name", "role"];
    assert!(
        user_keys
            .iter()
            .all(|key| block.contains(&format!("\"{key}\": user.{key}")))
    );
    let code = format!(
        "class Pipe:\n    def pipe(self, body, {}):\n        given = {{k: v for k, v in locals().items() if k[:2] == '__'}}\n        \
         assert callable(__event_emitter__) and callable(__event_call__), given\n        \
         user = [__user__[key] for key in {user_keys:?}]\n        return f'{{sorted(given)}} {{user}} {{__chat_id__}}'\n",
        names.join(", ")
    );
    let gateway = gateway().await;
    gateway.management().install("all_names", &code).await;
    gateway
        .management()
        .install(
            "no_names",
            "class Pipe:\n    def pipe(self, body):\n        return str(sorted(locals()))\n",
        )
        .await;
    let mut body = chat("all_names", "hi");
    body["chat_id"] = json!("chat-1");
    let answer = gateway
        .user()
        .post("/api/chat/completions", &body)
        .await
        .expect(200);
    let mut sorted = names.clone();
    sorted.sort_unstable();
    let user = "['22222222-2222-4222-8222-222222222222', 'user@example.test', 'User Two', 'user']";
    assert_eq!(
        answer.content(),
        format!("{sorted:?} {user} chat-1").replace('"', "'")
    );
    let answer = gateway
        .user()
        .chat(&chat("no_names", "hi"))
        .await
        .expect(200);
    assert_eq!(answer.content(), "['body', 'self']");
}

#[tokio::test]
async fn event_hooks_lets_a_pipe_emit_and_answer() {
    let Some(seed) = Seed::open("001") else {
        return;
    };
    let gateway = gateway().await;
    let code = in_class("Pipe", &[&seed.block("Event hooks", 0)]);
    gateway.management().install("working", &code).await;
    let answer = gateway
        .user()
        .chat(&chat("working", "hi"))
        .await
        .expect(200);
    assert_eq!(answer.content(), "done");
    let answer = gateway
        .user()
        .chat(&streamed_chat("working", "hi"))
        .await
        .expect(200);
    assert_eq!(answer.streamed_content(), "done");
    assert!(!answer.text().contains("\"event\""), "nobody listens");
    let listening = gateway.user().with("x-sluicegate-events", "inline");
    let heard = listening
        .chat(&streamed_chat("working", "hi"))
        .await
        .expect(200);
    assert_eq!(
        heard.events()[0],
        r#"{"event":{"type":"log","data":"working"}}"#
    );
}

#[tokio::test]
async fn streaming_responses_sends_each_item_as_a_chunk_and_joins_them_otherwise() {
    let Some(seed) = Seed::open("001") else {
        return;
    };
    let gateway = gateway().await;
    gateway
        .management()
        .install("words", &seed.block("Streaming responses", 0))
        .await;
    let answer = gateway
        .user()
        .chat(&chat("words", "one two three"))
        .await
        .expect(200);
    assert_eq!(answer.content(), "onetwothree");
    let answer = gateway
        .user()
        .chat(&streamed_chat("words", "one two three"))
        .await
        .expect(200);
    assert_eq!(answer.streamed_content(), "onetwothree");
    for word in ["one", "two", "three"] {
        let chunk = format!("\"delta\":{{\"content\":\"{word}\"}}");
        let chunks = answer
            .events()
            .into_iter()
            .filter(|event| event.contains(&chunk));
        assert_eq!(chunks.count(), 1, "{}", answer.text());
    }
}

#[tokio::test]
async fn creating_a_pipe_echoes_once_it_is_enabled() {
    let Some(seed) = Seed::open("001") else {
        return;
    };
    let gateway = gateway().await;
    let management = gateway.management();
    let created = management
        .create("echoing", &seed.block("Creating a pipe", 0))
        .await
        .expect(200);
    assert_eq!(
        created.json()["meta"]["manifest"]["requirements"],
        "requests"
    );
    gateway
        .user()
        .chat(&chat("echoing", "hi"))
        .await
        .expect(404);
    management.toggle("echoing").await;
    let answer = gateway
        .user()
        .chat(&chat("echoing", "hi"))
        .await
        .expect(200);
    assert_eq!(answer.content(), "echo: hi");
    let answer = gateway
        .user()
        .chat(&streamed_chat("echoing", "hi"))
        .await
        .expect(200);
    assert_eq!(answer.streamed_content(), "echo: hi");
}

#[tokio::test]
async fn manifold_pipes_are_selected_by_pipe_and_sub_id() {
    let Some(seed) = Seed::open("001") else {
        return;
    };
    let gateway = gateway().await;
    gateway
        .management()
        .install("tr", &seed.block("Manifold pipes", 0))
        .await;
    let expected = [
        ("tr.en", "translator: English"),
        ("tr.es", "translator: Spanish"),
    ];
    let expected = expected.map(|(id, name)| (id.to_owned(), name.to_owned()));
    assert_eq!(models(&gateway.user()).await, expected);
    for language in ["en", "es"] {
        let model = format!("tr.{language}");
        let answer = gateway.user().chat(&chat(&model, "hi")).await.expect(200);
        assert_eq!(answer.content(), format!("[{language}] hi"));
        let answer = gateway
            .user()
            .chat(&streamed_chat(&model, "hi"))
            .await
            .expect(200);
        assert_eq!(answer.streamed_content(), format!("[{language}] hi"));
    }
}
