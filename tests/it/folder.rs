//! The functions folder: files come, break and go while the gateway serves.

use std::time::Duration;

use crate::support::{
    FakeUpstream, TestGateway, chat, eventually, source, source_with, streamed_chat,
};

/// How long a change of a file may take to be noticed and loaded.
const NOTICED_WITHIN: Duration = Duration::from_secs(20);

/// Waits until the model server is asked `expected`.
async fn becomes(gateway: &TestGateway, expected: &str) {
    let look = async || {
        let content = gateway
            .user()
            .chat(&chat("echo", "hi"))
            .await
            .expect(200)
            .content();
        (content == format!("echo: {expected}")).then_some(())
    };
    eventually(NOTICED_WITHIN, expected, look).await;
}

#[tokio::test]
async fn a_file_that_appears_runs_on_every_model_and_one_that_goes_does_not() {
    let upstream = FakeUpstream::echo().await;
    let gateway = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    becomes(&gateway, "hi").await;
    gateway.write_function("mark", &source("mark"));
    becomes(&gateway, "hi mark").await;
    gateway.write_function("mark", &source_with("mark", &[("MARK", "\"changed\"")]));
    becomes(&gateway, "hi changed").await;
    gateway.remove_function("mark");
    becomes(&gateway, "hi").await;
}

#[tokio::test]
async fn a_file_that_breaks_leaves_the_version_that_serves_alone() {
    let upstream = FakeUpstream::echo().await;
    let setup = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url());
    let gateway = setup
        .function("counting", &source("counting"))
        .start()
        .await;
    becomes(&gateway, "hi hello 1").await;
    gateway.write_function("counting", "class Filter:\n    def inlet(self, body)\n");
    gateway
        .logged("does not load, what served before still serves")
        .await;
    let content = gateway
        .user()
        .chat(&chat("echo", "hi"))
        .await
        .expect(200)
        .content();
    assert_eq!(content, "echo: hi hello 2", "the instance is the same");
}

#[tokio::test]
async fn a_file_that_is_broken_at_start_fails_its_requests() {
    let upstream = FakeUpstream::echo().await;
    let setup = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url());
    let code = "import nothing_of_this_name\nclass Filter:\n    def inlet(self, body):\n        return body\n";
    let gateway = setup.function("broken", code).start().await;
    let answer = gateway.user().chat(&chat("echo", "hi")).await;
    assert!(answer.status >= 400, "{}", answer.text());
    assert_eq!(upstream.request_count(), 0);
}

#[tokio::test]
async fn a_filter_that_loads_late_misses_none_of_its_handlers() {
    let upstream = FakeUpstream::echo().await;
    let readable = tempfile::tempdir().unwrap();
    let flag = readable.path().join("flag");
    let code = format!(
        "open({flag:?})\n\n\nclass Filter:\n    async def stream(self, event):\n        for choice in event[\"choices\"]:\n            text = choice[\"delta\"].get(\"content\", \"\")\n            choice[\"delta\"][\"content\"] = text.upper()\n        return event\n"
    );
    let setup = TestGateway::setup().python().readable(readable.path());
    let setup = setup.upstream("fake", &upstream.base_url());
    let gateway = setup.function("late", &code).start().await;
    let user = gateway.user();
    let refused = user.chat(&streamed_chat("echo", "hi")).await;
    assert!(refused.status >= 400, "{}", refused.text());
    std::fs::write(&flag, "").unwrap();
    let answer = user.chat(&streamed_chat("echo", "hi")).await.expect(200);
    assert_eq!(answer.streamed_content(), "ECHO: HI");
}

#[tokio::test]
async fn the_configuration_says_otherwise() {
    let upstream = FakeUpstream::echo().await;
    let setup = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url());
    let setup = setup.tables(
        "[function.mark]\nvalves = { mark = \"configured\" }\nglobal = false\nmodels = [\"calm\"]\n[function.counting]\nactive = false",
    );
    let setup = setup
        .function("mark", &source("mark"))
        .function("counting", &source("counting"));
    let gateway = setup.start().await;
    let content = async |model: &str| {
        gateway
            .user()
            .chat(&chat(model, "hi"))
            .await
            .expect(200)
            .content()
    };
    assert_eq!(content("calm").await, "echo: hi configured");
    assert_eq!(content("echo").await, "echo: hi");
}

#[tokio::test]
async fn a_file_is_read_only_over_the_api() {
    let upstream = FakeUpstream::echo().await;
    let setup = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url());
    let gateway = setup.function("mark", &source("mark")).start().await;
    let management = gateway.management();
    management.update("mark", &source("mark")).await.expect(409);
    management.delete("mark").await.expect(409);
    let valves = serde_json::json!({"mark": "over the api"});
    management.set_valves("mark", &valves).await.expect(200);
    let content = gateway
        .user()
        .chat(&chat("echo", "hi"))
        .await
        .expect(200)
        .content();
    assert_eq!(content, "echo: hi over the api");
}
