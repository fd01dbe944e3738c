//! Filters over the API: which run, in which order, and how they refuse.

use serde_json::json;

use crate::support::{FakeUpstream, TestGateway, chat, source, source_with, streamed_chat};

async fn gateway_with(upstream: &FakeUpstream) -> TestGateway {
    TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url())
        .start()
        .await
}

async fn content(gateway: &TestGateway) -> String {
    gateway
        .user()
        .chat(&chat("echo", "hi"))
        .await
        .expect(200)
        .content()
}

#[tokio::test]
async fn a_filter_runs_once_it_is_active_and_global_and_no_longer_when_it_is_deleted() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let management = gateway.management();
    management.create("mark", &source("mark")).await.expect(200);
    assert_eq!(content(&gateway).await, "echo: hi");
    management.toggle("mark").await;
    assert_eq!(content(&gateway).await, "echo: hi");
    management.toggle_global("mark").await;
    assert_eq!(content(&gateway).await, "echo: hi mark");
    management.toggle("mark").await;
    assert_eq!(content(&gateway).await, "echo: hi");
    management.toggle("mark").await;
    management.delete("mark").await.expect(200);
    assert_eq!(content(&gateway).await, "echo: hi");
}

#[tokio::test]
async fn filters_run_by_priority_then_by_id() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let management = gateway.management();
    for (id, priority) in [("c", "0"), ("a", "5"), ("b", "0"), ("d", "-1")] {
        let mark = format!("\"{id}\"");
        let code = source_with("mark", &[("MARK", &mark), ("PRIORITY", priority)]);
        management.install_filter(id, &code).await;
    }
    assert_eq!(content(&gateway).await, "echo: hi d b c a");
    management
        .set_valves("c", &json!({"priority": -7}))
        .await
        .expect(200);
    assert_eq!(content(&gateway).await, "echo: hi c d b a");
}

#[tokio::test]
async fn a_toggle_runs_only_for_requests_that_name_it() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    gateway
        .management()
        .install_filter("toggled", &source("toggled"))
        .await;
    assert_eq!(content(&gateway).await, "echo: hi");
    let mut body = chat("echo", "hi");
    body["filter_ids"] = json!(["other", "toggled"]);
    let answer = gateway.user().chat(&body).await.expect(200);
    assert_eq!(answer.content(), "echo: hi toggled");
}

#[tokio::test]
async fn an_exception_with_a_status_keeps_it_and_nothing_reaches_the_model_server() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    gateway
        .management()
        .install_filter("refusing", &source("refusing"))
        .await;
    for body in [chat("echo", "hi"), streamed_chat("echo", "hi")] {
        let answer = gateway.user().chat(&body).await.expect(451);
        assert_eq!(answer.json()["error"]["message"], "not for legal reasons");
        assert_eq!(answer.header("x-function-id"), "refusing");
        let answer = gateway
            .user()
            .post("/api/chat/completions", &body)
            .await
            .expect(451);
        assert_eq!(answer.json(), json!({"detail": "not for legal reasons"}));
    }
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test]
async fn an_accident_fails_the_request_or_is_skipped_as_the_operator_says() {
    for (on_error, status) in [("closed", 400), ("open", 200)] {
        let upstream = FakeUpstream::echo().await;
        let setup = TestGateway::setup()
            .python()
            .upstream("fake", &upstream.base_url());
        let setup = setup.tables(&format!("[function.stumbling]\non_error = \"{on_error}\""));
        let gateway = setup
            .function("stumbling", &source("stumbling"))
            .start()
            .await;
        let answer = gateway
            .user()
            .chat(&chat("echo", "hi"))
            .await
            .expect(status);
        let is_open = on_error == "open";
        assert_eq!(
            answer.header("x-sluicegate-function-errors") == "stumbling",
            is_open
        );
        assert_eq!(upstream.request_count(), usize::from(is_open));
    }
}

#[tokio::test]
async fn a_broken_upload_is_refused_and_the_version_that_serves_goes_on() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let management = gateway.management();
    management
        .install_filter("counting", &source("counting"))
        .await;
    assert_eq!(content(&gateway).await, "echo: hi hello 1");
    let broken = [
        "def f(:",
        "import nothing_of_this_name",
        "x = 1",
        "class Filter:\n    def __init__(self):\n        1 / 0",
    ];
    for code in broken {
        let answer = management.update("counting", code).await.expect(400);
        assert!(answer.json()["detail"].is_string());
        management.create("other", code).await.expect(400);
    }
    assert_eq!(content(&gateway).await, "echo: hi hello 2");
    management
        .update("counting", &source("counting"))
        .await
        .expect(200);
    assert_eq!(
        content(&gateway).await,
        "echo: hi hello 1",
        "an upload is a new instance, also of the same text"
    );
}

#[tokio::test]
async fn functions_and_their_state_outlive_a_restart_of_the_gateway() {
    let upstream = FakeUpstream::echo().await;
    let mut gateway = gateway_with(&upstream).await;
    gateway
        .management()
        .install_filter("mark", &source("mark"))
        .await;
    gateway
        .management()
        .set_valves("mark", &json!({"mark": "kept"}))
        .await
        .expect(200);
    gateway.terminate();
    assert!(gateway.ended().await.success());
    let setup = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url());
    let again = setup.home_of(&gateway).start().await;
    assert_eq!(content(&again).await, "echo: hi kept");
}

const CHAT_ECHO: &str = "class Filter:\n    def inlet(self, body, __chat_id__):\n        \
                         body['messages'][-1]['content'] = f'chat {__chat_id__}'\n        return body\n";

#[tokio::test]
async fn a_trusted_chat_ui_names_the_chat_of_a_request() {
    let upstream = FakeUpstream::echo().await;
    for (trusted, expected) in [("[\"127.0.0.1\"]", "echo: chat c-7"), ("[]", "echo: chat ")] {
        let setup = TestGateway::setup()
            .python()
            .function("chat_echo", CHAT_ECHO);
        let setup = setup.settings(&format!("trusted_proxies = {trusted}"));
        let gateway = setup.upstream("fake", &upstream.base_url()).start().await;
        let client = gateway.user().with("x-openwebui-user-id", "someone");
        let client = client.with("x-openwebui-chat-id", "c-7");
        let answer = client.chat(&chat("echo", "hi")).await.expect(200);
        assert_eq!(answer.content(), expected);
    }
}
