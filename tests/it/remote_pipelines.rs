//! A Pipelines server as an upstream: its filters run before ours, and nothing gets round them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::{
    Client, FakeUpstream, Gate, Recorded, Script, Step, TestGateway, answer_of, chat, source,
    streamed_chat, whole,
};

/// What a filter of the server does with the form that it is sent.
type Filter = fn(id: &str, hook: &str, form: &Value) -> Script;

fn json_of(status: u16, body: &Value) -> Script {
    let headers = [("content-type", "application/json")];
    whole(status, &headers, body.to_string())
}

fn entry(id: &str, pipeline: &Value) -> Value {
    json!({"id": id, "name": id, "object": "model", "owned_by": "openai", "pipeline": pipeline})
}

fn filter(id: &str, priority: i64, models: &[&str]) -> Value {
    let pipeline =
        json!({"type": "filter", "pipelines": models, "priority": priority, "valves": true});
    entry(id, &pipeline)
}

/// A Pipelines server with these entries in its list.
async fn pipelines(entries: Vec<Value>, act: Filter) -> FakeUpstream {
    FakeUpstream::start(move |request| answer(&entries, act, request)).await
}

fn answer(entries: &[Value], act: Filter, request: &Recorded) -> Script {
    let segments: Vec<&str> = request.path.split('/').skip(1).collect();
    match segments[..] {
        ["models"] => json_of(
            200,
            &json!({"data": entries, "object": "list", "pipelines": true}),
        ),
        [id, "filter", hook] => act(id, hook, &request.json()),
        ["chat", "completions"] => {
            let body = request.json();
            answer_of(&format!(
                "{} for {}",
                request.last_text(),
                body["user"]["email"]
            ))
        }
        _ => json_of(404, &json!({"detail": "Not Found"})),
    }
}

/// Adds the filter's id to the last message.
fn marks(id: &str, _hook: &str, form: &Value) -> Script {
    let mut body = form["body"].clone();
    let last = body["messages"].as_array_mut().unwrap().last_mut().unwrap();
    let text = format!("{} {id}", last["content"].as_str().unwrap());
    last["content"] = json!(text);
    json_of(200, &body)
}

/// The gateway between a model server and a Pipelines server; `more` are lines of the latter's table.
async fn gateway_with(models: &FakeUpstream, filters: &FakeUpstream, more: &str) -> TestGateway {
    gateway_at(models, filters.base_url().trim_end_matches("/v1"), more).await
}

async fn gateway_at(models: &FakeUpstream, filters: &str, more: &str) -> TestGateway {
    let table = format!(
        "[[upstreams]]\nname = \"policy\"\nkind = \"openai\"\nbase_url = \"{filters}\"\npipelines = true\n{more}\n"
    );
    TestGateway::setup()
        .python()
        .upstream("fake", &models.base_url())
        .tables(&table)
        .start()
        .await
}

/// The next request to a filter, past those for lists.
async fn filter_request(server: &mut FakeUpstream) -> Recorded {
    loop {
        let request = server.request().await;
        if request.path != "/models" {
            return request;
        }
    }
}

async fn says(client: &Client, body: &Value) -> String {
    client.chat(body).await.expect(200).content()
}

#[tokio::test]
async fn remote_filters_run_in_order_before_local_ones_where_they_say() {
    let models = FakeUpstream::echo().await;
    let entries = vec![
        filter("z1", 2, &["*"]),
        filter("a1", 1, &["*"]),
        filter("only", 0, &["calm"]),
        filter("mix", 0, &["*", "other"]),
    ];
    let mut server = pipelines(entries, marks).await;
    // Without a key: it is asked all the same.
    let gateway = gateway_with(&models, &server, "").await;
    let management = gateway.management();
    management.install_filter("mark", &source("mark")).await;
    assert_eq!(
        says(&gateway.user(), &chat("calm", "hi")).await,
        "echo: hi only a1 z1 mark only a1 z1"
    );
    let request = filter_request(&mut server).await;
    assert_eq!(request.path, "/only/filter/inlet");
    assert_eq!(request.header("authorization"), "");
    let form = request.json();
    let user = json!({
        "id": "22222222-2222-4222-8222-222222222222",
        "email": "user@example.test",
        "name": "User Two",
        "role": "user",
    });
    assert_eq!(form["user"], user);
    assert_eq!(form["body"]["model"], "calm");
    assert_eq!(form["body"]["metadata"]["model"]["id"], "calm");
    assert_eq!(
        says(&gateway.user(), &chat("echo", "hi")).await,
        "echo: hi a1 z1 mark a1 z1"
    );
    let listed = gateway.user().get("/v1/models").await.expect(200).text();
    assert!(!listed.contains("a1"), "{listed}");
    let unknown = gateway.user().chat(&chat("a1", "hi")).await;
    unknown.expect(404);
}

#[tokio::test]
async fn on_streams_remote_outlets_observe_or_hold() {
    for (more, expected) in [
        ("", "echo: hi a1"),
        ("stream_outlet = \"hold\"", "echo: hi a1 a1"),
    ] {
        let models = FakeUpstream::echo().await;
        let server = pipelines(vec![filter("a1", 0, &["*"])], marks).await;
        let gateway = gateway_with(&models, &server, more).await;
        let answer = gateway.user().chat(&streamed_chat("echo", "hi")).await;
        let events = answer.expect(200).events();
        assert_eq!(events.last().unwrap(), "[DONE]");
        let chunks = events.iter().filter(|event| *event != "[DONE]");
        let text: String = chunks
            .map(|chunk| serde_json::from_str::<Value>(chunk).unwrap())
            .filter_map(|chunk| Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned()))
            .collect();
        assert_eq!(text, expected);
    }
}

/// Fails in the way that the last message asks for.
fn fails(id: &str, hook: &str, form: &Value) -> Script {
    let messages = form["body"]["messages"].as_array().unwrap();
    let asked = messages[0]["content"].as_str().unwrap();
    match asked {
        "outlet" if hook == "inlet" => json_of(200, &form["body"]),
        "forbid" | "outlet" => json_of(403, &json!({"detail": "denied"})),
        "raise" => json_of(500, &json!({"detail": "no such word"})),
        "blank" => json_of(500, &json!({"error": "something"})),
        "text" => whole(
            500,
            &[("content-type", "text/plain")],
            "Internal Server Error",
        ),
        "list" => json_of(200, &json!(["no", "body"])),
        "page" => whole(200, &[("content-type", "text/html")], "<html>"),
        "leave" => vec![Step::Close],
        "hang" => vec![Step::Wait(Gate::new())],
        _ => marks(id, hook, form),
    }
}

#[tokio::test]
async fn a_remote_refusal_keeps_its_status_and_words() {
    let models = FakeUpstream::echo().await;
    let server = pipelines(vec![filter("policy_1", 0, &["*"])], fails).await;
    for more in ["", "on_error = \"open\""] {
        let gateway = gateway_with(&models, &server, more).await;
        for (asked, status, words) in [
            ("forbid", 403, "denied"),
            ("outlet", 403, "denied"),
            ("raise", 500, "no such word"),
        ] {
            let refused = gateway.user().chat(&chat("echo", asked)).await;
            let refused = refused.expect(status).json();
            assert_eq!(refused["error"]["message"], words, "{asked}");
            let path = "/api/chat/completions";
            let refused = gateway.user().post(path, &chat("echo", asked)).await;
            assert_eq!(refused.expect(status).json(), json!({"detail": words}));
        }
    }
}

#[tokio::test]
async fn a_remote_refusal_on_a_stream_stands_in_place_of_its_end() {
    let models = FakeUpstream::echo().await;
    let server = pipelines(vec![filter("policy_1", 0, &["*"])], fails).await;
    let gateway = gateway_with(&models, &server, "").await;
    let body = streamed_chat("echo", "outlet");
    let events = gateway.user().chat(&body).await.expect(200).events();
    assert!(events.last().unwrap().contains("denied"), "{events:?}");
    assert!(!events.contains(&"[DONE]".to_owned()));
    let body = streamed_chat("echo", "forbid");
    gateway.user().chat(&body).await.expect(403);
}

#[tokio::test]
async fn a_remote_filter_that_cannot_be_asked_fails_the_request_unless_it_may_not() {
    let models = FakeUpstream::echo().await;
    let server = pipelines(vec![filter("policy_1", 0, &["*"])], fails).await;
    let closed = gateway_with(&models, &server, "filter_seconds = 0.3").await;
    let open = "on_error = \"open\"\nfilter_seconds = 0.3";
    let open = gateway_with(&models, &server, open).await;
    for (asked, status) in [
        ("blank", 502),
        ("text", 502),
        ("list", 502),
        ("page", 502),
        ("leave", 502),
        ("hang", 504),
    ] {
        let failed = closed.user().chat(&chat("echo", asked)).await;
        let message = failed.expect(status).json()["error"]["message"].clone();
        let message = message.as_str().unwrap();
        assert!(message.contains("`policy_1`"), "{asked}: {message}");
        let passed = open.user().chat(&chat("echo", asked)).await.expect(200);
        assert_eq!(passed.content(), format!("echo: {asked}"));
        assert_eq!(
            passed.header("x-sluicegate-function-errors"),
            "policy_1,policy_1",
            "{asked}"
        );
    }
    let before = models.request_count();
    closed.user().chat(&chat("echo", "text")).await.expect(502);
    assert_eq!(models.request_count(), before, "the model was not asked");
}

#[tokio::test]
async fn no_request_passes_before_the_filters_are_known() {
    let models = FakeUpstream::echo().await;
    let is_up = Arc::new(AtomicBool::new(false));
    let up = Arc::clone(&is_up);
    let server = FakeUpstream::start(move |request| match up.load(Ordering::Relaxed) {
        true => answer(&[filter("a1", 0, &["*"])], marks, request),
        false => whole(503, &[], "starting"),
    })
    .await;
    let gateway = gateway_with(&models, &server, "").await;
    let failed = gateway.user().chat(&chat("echo", "hi")).await.expect(502);
    let message = failed.json()["error"]["message"].clone();
    assert!(message.as_str().unwrap().contains("`policy`"), "{message}");
    is_up.store(true, Ordering::Relaxed);
    // Asked for again on demand, once a second at most.
    let answer = crate::support::eventually(crate::PATIENCE, "the filters", async || {
        let answer = gateway.user().chat(&chat("echo", "hi")).await;
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(answer.await.content(), "echo: hi a1 a1");

    let nobody = "http://127.0.0.1:1";
    let gateway = gateway_at(&models, nobody, "").await;
    gateway.user().chat(&chat("echo", "hi")).await.expect(502);
    let gateway = gateway_at(&models, nobody, "on_error = \"open\"").await;
    assert_eq!(says(&gateway.user(), &chat("echo", "hi")).await, "echo: hi");
}

#[tokio::test]
async fn filters_of_a_server_that_is_not_declared_run_from_the_first_request_on() {
    let models = FakeUpstream::echo().await;
    let entries = vec![filter("a1", 0, &["*"])];
    // Its list comes later than that of the models.
    let late = Step::Pause(std::time::Duration::from_millis(200));
    let server = FakeUpstream::start(move |request| {
        let mut script = answer(&entries, marks, request);
        script.insert(0, late.clone());
        script
    })
    .await;
    let gateway = TestGateway::setup()
        .upstream("fake", &models.base_url())
        .upstream("policy", server.base_url().trim_end_matches("/v1"))
        .start()
        .await;
    assert_eq!(
        says(&gateway.user(), &chat("echo", "hi")).await,
        "echo: hi a1 a1"
    );
}

#[tokio::test]
async fn a_server_with_models_written_down_is_asked_for_its_filters() {
    let models = FakeUpstream::echo().await;
    let server = pipelines(vec![filter("a1", 0, &["*"])], marks).await;
    let gateway = gateway_with(&models, &server, "models = [\"written\"]").await;
    assert_eq!(
        says(&gateway.user(), &chat("echo", "hi")).await,
        "echo: hi a1 a1"
    );
    let listed = gateway.user().get("/v1/models").await.expect(200).text();
    assert!(listed.contains("\"written\""), "{listed}");
}

#[tokio::test]
async fn a_conversation_that_is_over_passes_the_remote_outlets() {
    let models = FakeUpstream::echo().await;
    let server = pipelines(vec![filter("a1", 0, &["*"])], marks).await;
    let gateway = gateway_with(&models, &server, "").await;
    let answer = json!({"id": "m2", "role": "assistant", "content": "yes"});
    let body = json!({"model": "echo", "id": "m2", "messages": [answer]});
    let path = "/api/chat/completed";
    let passed = gateway.user().post(path, &body).await.expect(200).json();
    assert_eq!(passed["messages"][0]["content"], "yes a1");
}

#[tokio::test]
async fn a_remote_pipe_is_a_model_and_its_own_filter() {
    let models = FakeUpstream::echo().await;
    let entries = vec![
        entry("many.one", &json!({"type": "manifold", "valves": false})),
        filter("a1", 1, &["*"]),
    ];
    let server = pipelines(entries, marks).await;
    let gateway = gateway_with(&models, &server, "").await;
    assert_eq!(
        says(&gateway.user(), &chat("many.one", "hi")).await,
        "hi a1 many.one for \"user@example.test\" many.one a1"
    );
}

#[tokio::test]
async fn a_preset_is_no_way_round_the_filters_of_its_base() {
    let models = FakeUpstream::echo().await;
    let server = pipelines(vec![filter("only", 0, &["calm"])], marks).await;
    let gateway = gateway_with(&models, &server, "").await;
    let form = json!({"id": "writer", "name": "Writer", "base_model_id": "calm"});
    let created = gateway.admin().post("/api/v1/models/create", &form).await;
    created.expect(200);
    assert_eq!(
        says(&gateway.user(), &chat("writer", "hi")).await,
        "echo: hi only only"
    );
}
