//! Rows and files that cannot be read any more: what they stood for refuses, and never just goes missing.

use serde_json::{Value, json};

use super::tamper;
use crate::PATIENCE;
use crate::support::{
    Answer, FakeUpstream, Setup, TestGateway, chat, eventually, source, source_with, streamed_chat,
};

/// A column of a function's row, and the model that the function is for.
const BROKEN: &[(&str, &str)] = &[("learnt", "echo"), ("meta", "calm"), ("valves", "danger")];

const MODELS: &str = "/api/v1/models";

fn setup(upstream: &FakeUpstream) -> Setup {
    let attached = BROKEN.iter().map(|(column, model)| {
        format!("[function.mark_{column}]\nglobal = false\nmodels = [\"{model}\"]\n")
    });
    let table = format!(
        "[[upstreams]]\nname = \"fake\"\nkind = \"openai\"\nbase_url = \"{}\"\nmodels = [\"echo\", \"calm\", \"danger\", \"free\"]",
        upstream.base_url()
    );
    TestGateway::setup()
        .python()
        .tables(&table)
        .tables(&attached.collect::<String>())
}

/// The function of this id as administrators see it in the list.
async fn listed(gateway: &TestGateway, id: &str) -> Value {
    let list = gateway.management().get_all("list").await.expect(200);
    let functions = list.json();
    let mut functions = functions.as_array().unwrap().iter();
    let found = functions.find(|function| function["id"] == id);
    found.expect("it is in the list").clone()
}

fn says_unavailable(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().contains(what), "{}", answer.text());
}

#[tokio::test]
async fn a_function_whose_row_cannot_be_read_refuses_until_it_is_mended() {
    let upstream = FakeUpstream::echo().await;
    let mut gateway = setup(&upstream).start().await;
    for (column, _) in BROKEN {
        let id = format!("mark_{column}");
        gateway.management().install(&id, &source("mark")).await;
    }
    gateway.kill().await;
    for (column, _) in BROKEN {
        tamper(
            &gateway,
            &format!("UPDATE functions SET {column} = '{{\"a' WHERE id = 'mark_{column}'"),
        );
    }
    gateway = setup(&upstream).home_of(&gateway).start().await;
    let user = gateway.user();
    user.chat(&chat("free", "hi")).await.expect(200);
    for (column, model) in BROKEN {
        let id = format!("mark_{column}");
        for body in [chat(model, "hi"), streamed_chat(model, "hi")] {
            says_unavailable(&user.chat(&body).await, &id);
        }
        // Only outlets run here.
        let mut finished = chat(model, "hi");
        finished["id"] = json!("m1");
        let completed = user.post("/api/chat/completed", &finished).await;
        assert!(completed.status >= 400, "{}", completed.text());
        let function = listed(&gateway, &id).await;
        let why = function["not_loaded"].as_str().unwrap();
        assert!(why.contains(column), "{why}");
        assert_eq!(function["is_active"], true);
        // Setting values would write over what cannot be read.
        let set = gateway.management().set_valves(&id, &json!({})).await;
        set.expect(400);
        let code = source("mark");
        gateway.management().update(&id, &code).await.expect(200);
        let content = user.chat(&chat(model, "hi")).await.expect(200).content();
        assert_eq!(content, "echo: hi mark");
        assert_eq!(listed(&gateway, &id).await.get("not_loaded"), None);
    }
    gateway.logged("refuses whatever needs it").await;
}

#[tokio::test]
async fn a_global_filter_whose_id_is_none_stops_every_request_until_it_is_removed() {
    let upstream = FakeUpstream::echo().await;
    let mut gateway = setup(&upstream).start().await;
    let management = gateway.management();
    management.install_filter("mark", &source("mark")).await;
    gateway.kill().await;
    tamper(
        &gateway,
        "PRAGMA foreign_keys = OFF; UPDATE functions SET id = 'ma-rk' WHERE id = 'mark'",
    );
    gateway = setup(&upstream).home_of(&gateway).start().await;
    let refused = gateway.user().chat(&chat("free", "hi")).await;
    says_unavailable(&refused, "ma-rk");
    let why = listed(&gateway, "ma-rk").await["not_loaded"].to_string();
    assert!(why.contains("(id)"), "{why}");
    gateway.management().delete("ma-rk").await.expect(200);
    let content = gateway.user().chat(&chat("free", "hi")).await.expect(200);
    assert_eq!(content.content(), "echo: hi");
}

#[tokio::test]
async fn a_pipe_whose_row_cannot_be_read_says_so() {
    let upstream = FakeUpstream::echo().await;
    let mut gateway = setup(&upstream).start().await;
    let code = "class Pipe:\n    def pipes(self):\n        return [{\"id\": \"a\", \"name\": \"A\"}]\n\n    def pipe(self, body):\n        return \"answer\"\n";
    gateway.management().install("many", code).await;
    let answer = gateway.user().chat(&chat("many.a", "hi")).await.expect(200);
    assert_eq!(answer.content(), "answer");
    gateway.kill().await;
    tamper(&gateway, "UPDATE functions SET learnt = ''");
    gateway = setup(&upstream).home_of(&gateway).start().await;
    let refused = gateway.user().chat(&chat("many.a", "hi")).await;
    says_unavailable(&refused, "many");
}

#[tokio::test]
async fn a_model_whose_row_cannot_be_read_is_not_had_without_its_filters() {
    let upstream = FakeUpstream::echo().await;
    let mut gateway = setup(&upstream).start().await;
    for model in ["echo", "calm", "danger"] {
        let form = json!({"id": model, "name": "N", "params": {}, "meta": {"filterIds": ["gone"]}, "access_grants": null});
        gateway
            .admin()
            .post(&format!("{MODELS}/create"), &form)
            .await
            .expect(200);
        gateway.user().chat(&chat(model, "hi")).await.expect(200);
    }
    gateway.kill().await;
    tamper(
        &gateway,
        "UPDATE models SET params = '[' WHERE id = 'echo';
         UPDATE models SET meta = '' WHERE id = 'calm';
         UPDATE models SET access_grants = '{' WHERE id = 'danger'",
    );
    gateway = setup(&upstream).home_of(&gateway).start().await;
    let list = gateway.user().get("/v1/models").await.expect(200).text();
    for model in ["echo", "calm", "danger"] {
        for client in [gateway.user(), gateway.admin()] {
            says_unavailable(&client.chat(&chat(model, "hi")).await, model);
        }
        assert!(!list.contains(&format!("\"{model}\"")), "{list}");
        let shown = gateway
            .admin()
            .get(&format!("{MODELS}/model?id={model}"))
            .await
            .expect(200);
        assert!(shown.json()["error"].is_string());
        gateway
            .admin()
            .post(&format!("{MODELS}/model/toggle"), &json!({"id": model}))
            .await
            .expect(400);
        let form =
            json!({"id": model, "name": "N", "params": {}, "meta": {}, "access_grants": null});
        gateway
            .admin()
            .post(&format!("{MODELS}/model/update"), &form)
            .await
            .expect(200);
        gateway.admin().chat(&chat(model, "hi")).await.expect(200);
    }
}

#[tokio::test]
async fn a_function_file_that_cannot_be_read_changes_nothing_and_refuses_at_start() {
    let upstream = FakeUpstream::echo().await;
    let with_file = setup(&upstream).function("mark", &source("mark"));
    let mut gateway = with_file.start().await;
    let path = gateway.data_dir().join("functions/mark.py");
    let noise = [b"# \xff\n", source("mark").as_bytes()].concat();
    std::fs::write(&path, &noise).unwrap();
    gateway.logged("what served before still serves").await;
    let ask = async |gateway: &TestGateway| gateway.user().chat(&chat("free", "hi")).await;
    assert_eq!(ask(&gateway).await.expect(200).content(), "echo: hi mark");
    gateway.kill().await;
    gateway = setup(&upstream).home_of(&gateway).start().await;
    says_unavailable(&ask(&gateway).await, "mark");
    gateway.write_function("mark", &source_with("mark", &[("MARK", "\"mended\"")]));
    let look = async || (ask(&gateway).await.status == 200).then_some(());
    eventually(PATIENCE, "the file to serve", look).await;
    assert_eq!(ask(&gateway).await.content(), "echo: hi mended");
}
