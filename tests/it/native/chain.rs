//! Among other filters: order, attachment, refusals, and what becomes of answers.

use serde_json::{Value, json};

use super::{native, setup};
use crate::support::{
    FakeUpstream, Recorded, Script, answer_of, chat, source, source_with, streamed_chat, whole,
};

/// Says everything twice.
const DOUBLING: &str = "
class Filter:
    def outlet(self, body):
        answer = body['messages'][-1]
        answer['content'] += ' | ' + answer['content']
        return body
";

/// Says everything in capitals.
const SHOUTING: &str = "
class Filter:
    def outlet(self, body):
        answer = body['messages'][-1]
        answer['content'] = answer['content'].upper()
        return body
";

/// Adds `remote` to the last message.
fn pipelines(request: &Recorded) -> Script {
    let json = |body: Value| {
        whole(
            200,
            &[("content-type", "application/json")],
            body.to_string(),
        )
    };
    if request.path == "/models" {
        let pipeline = json!({"type": "filter", "pipelines": ["*"], "priority": 9});
        let entry = json!({"id": "far", "name": "far", "object": "model", "pipeline": pipeline});
        return json(json!({"data": [entry], "object": "list", "pipelines": true}));
    }
    let mut body = request.json()["body"].clone();
    if request.path.ends_with("/inlet") {
        let last = body["messages"].as_array_mut().unwrap().last_mut().unwrap();
        last["content"] = json!(format!("{} remote", last["content"].as_str().unwrap()));
    }
    json(body)
}

#[tokio::test]
async fn remote_filters_run_first_then_native_and_python_by_priority_and_id() {
    let (models, far) = (
        FakeUpstream::echo().await,
        FakeUpstream::start(pipelines).await,
    );
    let url = far.base_url();
    let table = format!(
        "[[upstreams]]\nname = \"policy\"\nkind = \"openai\"\nbase_url = \"{}\"\npipelines = true\n",
        url.trim_end_matches("/v1")
    );
    let gateway = setup(&models).tables(&table).python().start().await;
    let management = gateway.management();
    management.install_filter("mark", &source("mark")).await;
    management.install_filter("b_words", &native("words")).await;
    for (words, priority, expected) in [
        // Before `mark`, and behind the remote one, whose own priority is higher.
        ("remote, mark", -1, "echo: hi native mark"),
        ("remote, mark", 1, "echo: hi native native"),
        // At the same priority the id decides.
        ("remote, mark", 0, "echo: hi native mark"),
    ] {
        let valves = json!({"words": words, "action": "replace", "replacement": "native", "priority": priority, "answers": false});
        management.set_valves("b_words", &valves).await.expect(200);
        for path in ["/v1/chat/completions", "/api/chat/completions"] {
            let answer = gateway.user().post(path, &chat("echo", "hi")).await;
            assert_eq!(answer.expect(200).content(), expected, "{path} {priority}");
        }
    }
}

#[tokio::test]
async fn outlets_see_what_those_before_them_made_of_the_answer() {
    let upstream = FakeUpstream::echo().await;
    let gateway = setup(&upstream).python().start().await;
    let management = gateway.management();
    management.install_filter("m_double", DOUBLING).await;
    for (id, words, priority) in [("a_first", "one", -1), ("z_last", "two", 0)] {
        management.install_filter(id, &native("words")).await;
        let valves = json!({"words": words, "action": "replace", "replacement": id, "priority": priority, "requests": false});
        management.set_valves(id, &valves).await.expect(200);
    }
    management.install_filter("zz_loud", SHOUTING).await;
    let answer = gateway.user().chat(&chat("echo", "one two")).await;
    assert_eq!(
        answer.expect(200).content(),
        "ECHO: A_FIRST Z_LAST | ECHO: A_FIRST Z_LAST"
    );
}

#[tokio::test]
async fn native_filters_are_attached_to_models_and_presets() {
    let upstream = FakeUpstream::echo().await;
    let tables = "[function.pii]\nmodels = [\"calm\"]\n";
    let gateway = setup(&upstream).tables(tables).start().await;
    let management = gateway.management();
    management
        .create("pii", &native("redact"))
        .await
        .expect(200);
    management.toggle("pii").await;
    let form = json!({"id": "writer", "name": "Writer", "base_model_id": "echo", "meta": {"filterIds": ["pii"]}});
    let created = gateway.admin().post("/api/v1/models/create", &form).await;
    created.expect(200);
    for (model, expected) in [
        ("echo", "echo: ann@example.com"),
        ("calm", "echo: [mail]"),
        ("writer", "echo: [mail]"),
    ] {
        let answer = gateway.user().chat(&chat(model, "ann@example.com")).await;
        assert_eq!(answer.expect(200).content(), expected, "{model}");
    }
}

#[tokio::test]
async fn a_refusal_has_its_status_and_words_and_nobody_else_is_asked() {
    let upstream = FakeUpstream::echo().await;
    let gateway = setup(&upstream).start().await;
    let management = gateway.management();
    management.install_filter("short", &native("limits")).await;
    let valves = json!({"max_characters": 20});
    management.set_valves("short", &valves).await.expect(200);
    management.install_filter("words", &native("words")).await;
    let valves = json!({"words": "bomb", "message": "not here"});
    management.set_valves("words", &valves).await.expect(200);
    let long = "a very long question indeed";
    for (text, status, words) in [("a Bomb", 403, "not here"), (long, 413, "20 characters")] {
        for body in [chat("echo", text), streamed_chat("echo", text)] {
            let refused = gateway.user().chat(&body).await.expect(status);
            let message = refused.json()["error"]["message"].to_string();
            assert!(message.contains(words), "{message}");
            let refused = gateway.user().post("/api/chat/completions", &body).await;
            let detail = refused.expect(status).json()["detail"].to_string();
            assert!(detail.contains(words), "{detail}");
        }
    }
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test]
async fn a_request_is_shaped_before_it_leaves_and_the_route_follows() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = setup(&upstream).start().await;
    let management = gateway.management();
    for (kind, valves) in [
        (
            "clamp",
            json!({"max_tokens": 10, "max_temperature": 1, "remove": "seed"}),
        ),
        ("model_map", json!({"map": "ec* = calm"})),
        ("system_prompt", json!({"prompt": "Serve {{USER_NAME}}."})),
    ] {
        management.install_filter(kind, &native(kind)).await;
        management.set_valves(kind, &valves).await.expect(200);
    }
    for path in ["/v1/chat/completions", "/api/chat/completions"] {
        let body = json!({
            "model": "echo", "temperature": 1.7, "seed": 3, "user": "kept",
            "messages": [{"role": "user", "content": "hi", "name": "kept"}],
        });
        gateway.user().post(path, &body).await.expect(200);
        let expected = json!({
            "model": "calm", "temperature": 1, "user": "kept", "max_tokens": 10,
            "messages": [
                {"role": "system", "content": "Serve User Two."},
                {"role": "user", "content": "hi", "name": "kept"},
            ],
        });
        assert_eq!(upstream.request().await.json(), expected, "{path}");
    }
}

#[tokio::test]
async fn metadata_of_a_client_is_kept_where_only_native_filters_run() {
    let mut upstream = FakeUpstream::echo().await;
    let gateway = setup(&upstream).start().await;
    gateway
        .management()
        .install_filter("pii", &native("redact"))
        .await;
    let mut body = chat("echo", "hi");
    body["metadata"] = json!({"mine": "yes"});
    gateway.user().chat(&body).await.expect(200);
    assert_eq!(
        upstream.request().await.json()["metadata"],
        json!({"mine": "yes"})
    );
}

#[tokio::test]
async fn whole_answers_are_redacted_each_of_several_too_or_withheld() {
    let upstream = FakeUpstream::start(|_| {
        let choice = |index: u64, text: &str| json!({"index": index, "message": {"role": "assistant", "content": text, "x": 1}});
        let body = json!({"id": "a", "object": "chat.completion", "choices": [choice(0, "ann@example.com"), choice(1, "bomb")]});
        whole(
            200,
            &[("content-type", "application/json")],
            body.to_string(),
        )
    });
    let upstream = upstream.await;
    let gateway = setup(&upstream).start().await;
    let management = gateway.management();
    management.install_filter("pii", &native("redact")).await;
    let body = gateway
        .user()
        .chat(&chat("echo", "hi"))
        .await
        .expect(200)
        .json();
    let message = |index: usize| body["choices"][index]["message"].clone();
    assert_eq!(
        message(0),
        json!({"role": "assistant", "content": "[mail]", "x": 1})
    );
    assert_eq!(message(1)["content"], "bomb");
    management.install_filter("words", &native("words")).await;
    let valves = json!({"words": "bomb"});
    management.set_valves("words", &valves).await.expect(200);
    let withheld = gateway.user().chat(&chat("echo", "hi")).await.expect(403);
    assert!(!withheld.text().contains("bomb"), "{}", withheld.text());
    // Policy does not depend on who is lenient with accidents.
    assert_eq!(withheld.header("x-sluicegate-function-errors"), "");
}

#[tokio::test]
async fn a_conversation_that_is_over_and_one_held_elsewhere_pass_native_filters() {
    let upstream = FakeUpstream::echo().await;
    let gateway = setup(&upstream).start().await;
    gateway
        .management()
        .install_filter("pii", &native("redact"))
        .await;
    let answer = json!({"id": "m2", "role": "assistant", "content": "ann@example.com"});
    let body = json!({"model": "echo", "id": "m2", "messages": [answer]});
    let passed = gateway.user().post("/api/chat/completed", &body).await;
    assert_eq!(
        passed.expect(200).json()["messages"][0]["content"],
        "[mail]"
    );
    for (hook, role) in [("inlet", "user"), ("outlet", "assistant")] {
        let message = json!({"role": role, "content": "ann@example.com"});
        let form = json!({"body": {"model": "echo", "messages": [message]}});
        let path = format!("/v1/pii/filter/{hook}");
        let passed = gateway.admin().post(&path, &form).await.expect(200).json();
        assert_eq!(passed["messages"][0]["content"], "[mail]", "{hook}");
    }
}

#[tokio::test]
async fn a_native_filter_among_several_of_python_sees_all_that_python_adds() {
    let mut upstream = FakeUpstream::start(|request| answer_of(&request.last_text())).await;
    let gateway = setup(&upstream).python().start().await;
    let management = gateway.management();
    let mark = source_with("mark", &[("MARK", "\"ann@example.com\"")]);
    management.install_filter("mark", &mark).await;
    management.install_filter("pii", &native("redact")).await;
    let answer = gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    assert_eq!(answer.content(), "hi [mail]");
    assert_eq!(upstream.request().await.last_text(), "hi [mail]");
}
