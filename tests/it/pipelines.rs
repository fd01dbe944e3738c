//! Pipelines: files for that server as functions, its protocol for our functions, and such a server as filters.

use http::Method;
use serde_json::{Value, json};

use crate::PATIENCE;
use crate::support::{
    Answer, Client, FakeUpstream, TestGateway, chat, eventually, source, source_with, streamed_chat,
};

async fn gateway_with(upstream: &FakeUpstream) -> TestGateway {
    TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url())
        .start()
        .await
}

/// A file in a form, as browsers and Open WebUI send it.
async fn upload(client: &Client, path: &str, name: &str, code: &str) -> Answer {
    let body = format!(
        "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: text/x-python\r\n\r\n{code}\r\n--edge--\r\n"
    );
    let client = client
        .clone()
        .with("content-type", "multipart/form-data; boundary=edge");
    client.call(Method::POST, path, body.into()).await
}

fn detail(answer: &Answer) -> String {
    answer.json()["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_pipeline_filter_runs_where_its_valves_say() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let management = gateway.management();
    let created = management.create("stamp", &source("pipeline_stamp")).await;
    let created = created.expect(200).json();
    assert_eq!(created["type"], "filter");
    assert_eq!(
        created["meta"]["manifest"],
        json!({"title": "Stamp", "version": "1.0"})
    );
    management.toggle("stamp").await;
    let says = async |model: &str| {
        let answer = gateway.user().chat(&chat(model, "hi")).await;
        answer.expect(200).content()
    };
    let all = "echo: hi [stamped for User Two] (started with stamped)";
    assert_eq!(says("echo").await, all);
    let named = json!({"pipelines": ["calm"]});
    management.set_valves("stamp", &named).await.expect(200);
    assert_eq!(says("echo").await, "echo: hi");
    assert!(says("calm").await.contains("stamped for User Two"));
    // `*` among others is a name like any other.
    let mixed = json!({"pipelines": ["*", "calm"]});
    management.set_valves("stamp", &mixed).await.expect(200);
    assert_eq!(says("echo").await, "echo: hi");
    let answer = gateway.user().chat(&chat("calm", "forbidden")).await;
    let answer = answer.expect(400).json();
    assert_eq!(answer["error"]["message"], "That word is not allowed.");
}

#[tokio::test]
async fn a_pipeline_of_the_folder_starts_with_the_configured_valves() {
    let upstream = FakeUpstream::echo().await;
    let gateway = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url())
        .function("stamp", &source("pipeline_stamp"))
        .tables("[function.stamp]\nvalves = { mark = \"configured\" }\n")
        .start()
        .await;
    let answer = gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    assert_eq!(
        answer.content(),
        "echo: hi [configured for User Two] (started with configured)"
    );
}

#[tokio::test]
async fn a_pipeline_that_cannot_start_is_refused_with_its_reason() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let code = source("pipeline_stamp").replace(
        "self.started = self.valves.mark",
        "raise RuntimeError('no database')",
    );
    let refused = gateway.management().create("stamp", &code).await;
    assert!(detail(&refused.expect(400)).contains("no database"));
}

#[tokio::test]
async fn a_manifold_pipeline_is_a_model_for_each_of_its_pipelines() {
    let gateway = TestGateway::setup()
        .python()
        .function("many", &source("pipeline_many"))
        .start()
        .await;
    let listed = gateway.user().get("/api/models").await.expect(200).json();
    let names: Vec<&str> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Many: One", "Many: Generator", "Many: Late"]);
    let one = gateway.user().chat(&chat("many.one", "hi")).await;
    assert_eq!(one.expect(200).content(), "one of 1: hi");
    let generated = gateway.user().chat(&chat("many.gen", "hi")).await;
    assert_eq!(generated.expect(200).content(), "hi user@example.test");
    let streamed = gateway.user().chat(&streamed_chat("many.gen", "hi")).await;
    let events = streamed.expect(200).events();
    assert_eq!(events.len(), 5, "{events:?}");
    assert_eq!(events[4], "[DONE]");
}

#[tokio::test]
async fn a_pipeline_is_the_last_inlet_and_the_first_outlet_of_its_own_models() {
    let gateway = TestGateway::setup()
        .python()
        .function("many", &source("pipeline_many"))
        .function("stamp", &source("pipeline_stamp"))
        .start()
        .await;
    let answer = gateway.user().chat(&chat("many.one", "own")).await;
    assert_eq!(
        answer.expect(200).content(),
        "one of 1: own [stamped for User Two] inlet outlet (started with stamped)"
    );
}

#[tokio::test]
async fn a_deleted_pipeline_is_told_of_its_end() {
    let told = tempfile::tempdir().unwrap();
    let setup = TestGateway::setup().python();
    let gateway = setup.writable(told.path()).start().await;
    let management = gateway.management();
    let ended = told.path().join("ended");
    let path = format!("{ended:?}");
    let code = source_with("pipeline_many", &[("ENDED", &path)]);
    management.install("many", &code).await;
    assert!(!ended.exists());
    management.delete("many").await.expect(200);
    let look = async || ended.exists().then_some(());
    eventually(PATIENCE, "on_shutdown has run", look).await;
}

#[tokio::test]
async fn every_pipeline_is_told_of_the_end_of_the_gateway() {
    let told = tempfile::tempdir().unwrap();
    let setup = TestGateway::setup().python();
    let mut gateway = setup.writable(told.path()).start().await;
    let management = gateway.management();
    let ended = told.path().join("ended");
    let code = source_with("pipeline_many", &[("ENDED", &format!("{ended:?}"))]);
    let code = code.replace(
        "        print(\"this",
        "        import asyncio; await asyncio.sleep(0.2)\n        print(\"this",
    );
    management.install("many", &code).await;
    gateway.terminate();
    assert!(gateway.ended().await.success());
    let look = async || ended.exists().then_some(());
    eventually(PATIENCE, "on_shutdown has run", look).await;
}

#[tokio::test]
async fn open_webui_finds_edits_and_uploads_functions_over_the_protocol() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let admin = gateway.admin();
    gateway
        .management()
        .install_filter("mark", &source("mark"))
        .await;

    // It asks every connection for its models, and takes one with `pipelines` for a server of this kind.
    for path in ["/v1/models", "/models"] {
        let models = admin.get(path).await.expect(200).json();
        assert_eq!(models["pipelines"], true);
        let data = models["data"].as_array().unwrap();
        assert!(
            data.iter().all(|model| model["pipeline"].is_null()),
            "a filter in the list would be called twice: {data:?}"
        );
    }
    let listed = admin.get("/v1/pipelines").await.expect(200).json();
    let mark = json!({"id": "mark", "name": "mark", "type": "filter", "valves": true});
    assert_eq!(listed, json!({"data": [mark]}));

    let spec = admin.get("/v1/mark/valves/spec").await.expect(200).json();
    assert_eq!(spec["properties"]["mark"]["default"], "mark");
    let valves = admin.get("/v1/mark/valves").await.expect(200).json();
    assert_eq!(valves, json!({"priority": 0, "mark": "mark"}));
    let new = json!({"priority": 0, "mark": "edited"});
    let updated = admin.post("/v1/mark/valves/update", &new).await.expect(200);
    assert_eq!(updated.json(), new);
    // The default that the page sent along is not kept.
    let stored = admin.get("/api/v1/functions/id/mark/valves").await;
    assert_eq!(stored.expect(200).json(), json!({"mark": "edited"}));
    let answer = gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    assert_eq!(answer.content(), "echo: hi edited");
    let bad = json!({"priority": "q"});
    let refused = admin.post("/v1/mark/valves/update", &bad).await.expect(400);
    assert!(detail(&refused).contains("priority"));

    let path = "/v1/pipelines/upload";
    let done = upload(&admin, path, "stamp.py", &source("pipeline_stamp")).await;
    assert_eq!(done.expect(200).json()["id"], "stamp");
    let answer = gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    assert!(answer.content().contains("[stamped for User Two]"));
    let other = source("pipeline_stamp").replace("\"stamped\"", "\"renewed\"");
    upload(&admin, path, "stamp.py", &other).await.expect(200);
    let answer = gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    assert!(answer.content().contains("[renewed for User Two]"));
    let refused = upload(&admin, path, "stamp.txt", "x").await.expect(400);
    assert_eq!(detail(&refused), "Only Python files are allowed.");
    let refused = upload(&admin, path, "bad.py", "class Pipeline:\n  def\n").await;
    refused.expect(400);

    let reloaded = admin.post("/v1/pipelines/reload", &json!({})).await;
    assert_eq!(
        reloaded.expect(200).json()["message"],
        "Pipelines reloaded successfully."
    );
    let delete = async |id: &str| {
        let client = admin.clone().with("content-type", "application/json");
        let body = json!({"id": id}).to_string();
        let path = "/v1/pipelines/delete";
        client.call(Method::DELETE, path, body.into()).await
    };
    delete("stamp").await.expect(200);
    let gone = delete("stamp").await.expect(404);
    assert_eq!(detail(&gone), "Pipeline stamp not found");
    let added = json!({"url": "https://example.test/a.txt"});
    let refused = admin.post("/v1/pipelines/add", &added).await.expect(400);
    assert_eq!(detail(&refused), "URL must point to a Python file");
}

#[tokio::test]
async fn no_route_of_the_protocol_is_open() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    gateway
        .management()
        .install_filter("mark", &source("mark"))
        .await;
    let body = json!({"body": chat("echo", "hi")});
    for path in ["/", "/v1", "/pipelines", "/v1/mark/valves", "/mark/valves"] {
        for client in [gateway.stranger(), gateway.user()] {
            let answer = client.get(path).await.expect(401);
            assert!(!detail(&answer).is_empty(), "{path}");
        }
    }
    for path in ["/v1/mark/filter/inlet", "/mark/valves/update"] {
        for client in [gateway.stranger(), gateway.user()] {
            client.post(path, &body).await.expect(401);
        }
    }
    let models = gateway.user().get("/v1/models").await.expect(200).json();
    assert_eq!(models["pipelines"], Value::Null);
    gateway
        .stranger()
        .post("/chat/completions", &chat("echo", "hi"))
        .await
        .expect(401);
    let answer = gateway.user();
    let answer = answer.post("/chat/completions", &chat("echo", "hi")).await;
    assert_eq!(answer.expect(200).content(), "echo: hi mark");
    gateway.admin().get("/v1").await.expect(200);
}

#[tokio::test]
async fn a_filter_can_be_called_by_itself() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let management = gateway.management();
    management.install("stamp", &source("pipeline_stamp")).await;
    management.install("many", &source("pipeline_many")).await;
    let admin = gateway.admin();
    let mut body = chat("gpt-x", "hi");
    body["metadata"] = json!({"chat_id": "c"});
    let user = json!({"id": "u", "name": "Ann", "email": "ann@example.test", "role": "user"});
    let form = json!({"body": body, "user": user});
    let inlet = admin
        .post("/v1/stamp/filter/inlet", &form)
        .await
        .expect(200);
    let inlet = inlet.json();
    assert_eq!(inlet["messages"][0]["content"], "hi [stamped for Ann]");
    assert_eq!(inlet["metadata"], json!({"chat_id": "c"}));
    assert_eq!(inlet["model"], "gpt-x");
    let form = json!({"body": {"messages": [{"role": "assistant", "content": "yes"}]}});
    let outlet = admin.post("/stamp/filter/outlet", &form).await.expect(200);
    assert_eq!(
        outlet.json()["messages"][0]["content"],
        "yes (started with stamped)"
    );
    let form = json!({"body": chat("gpt-x", "forbidden")});
    let refused = admin
        .post("/v1/stamp/filter/inlet", &form)
        .await
        .expect(500);
    assert_eq!(detail(&refused), "That word is not allowed.");
    let passed = admin.post("/v1/many.one/filter/inlet", &form).await;
    assert_eq!(passed.expect(200).json(), form["body"]);
    let unknown = admin
        .post("/v1/nobody/filter/inlet", &form)
        .await
        .expect(404);
    assert_eq!(detail(&unknown), "Filter nobody not found");
    let unknown = admin.get("/v1/nobody/valves").await.expect(404);
    assert_eq!(detail(&unknown), "Pipeline nobody not found");
    let unknown = admin.get("/v1/many/valves/spec").await.expect(404);
    assert_eq!(detail(&unknown), "Valves for many not found");
}
