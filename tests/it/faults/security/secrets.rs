//! What must never be said, and starts that must not be made.

use serde_json::json;

use crate::faults::rig::Rig;
use crate::support::{
    ADMIN_KEY, FakeUpstream, Step, TestGateway, USER_KEY, chat, event, events_of, head_of_stream,
    source, streamed_chat,
};

#[tokio::test]
async fn x07_no_secret_is_built_in_or_on_a_command_line() {
    let mut keys = Vec::new();
    for _ in 0..2 {
        let gateway = TestGateway::fresh().await;
        let log = gateway.log();
        let key = log
            .split_whitespace()
            .find(|word| word.starts_with("sk-"))
            .map(|word| {
                word.trim_matches(|char: char| !char.is_ascii_alphanumeric())
                    .to_owned()
            });
        let key = key.unwrap_or_else(|| panic!("no first key in {log}"));
        assert!(!gateway.process().command_line().contains(&key));
        gateway
            .stranger()
            .with_key(&key)
            .get("/api/v1/functions/list")
            .await
            .expect(200);
        keys.push(key);
    }
    assert_ne!(keys[0], keys[1]);
    for guess in [
        "admin",
        "sk-admin",
        "password",
        "changeme",
        "sluicegate",
        "sk-1234",
    ] {
        let gateway = TestGateway::setup().start().await;
        gateway
            .stranger()
            .with_key(guess)
            .get("/v1/models")
            .await
            .expect(401);
    }
}

#[tokio::test]
async fn x20_keys_prompts_and_valves_are_in_no_output() {
    let raising = "from pydantic import BaseModel\n\nclass Filter:\n    class Valves(BaseModel):\n        secret: str = \"\"\n\n    def __init__(self):\n        self.valves = self.Valves()\n\n    def inlet(self, body):\n        print(body, self.valves)\n        return body\n\n    def stream(self, event):\n        print(event)\n        return event\n";
    let upstream = FakeUpstream::start(|request| {
        let answer = events_of(&["canary-answer"]);
        match request.last_text().contains("cut") {
            true => vec![
                head_of_stream(),
                event(answer[0].clone()),
                event("data: {\"canary-half\":"),
                Step::Close,
            ],
            false => crate::support::streamed(answer),
        }
    })
    .await;
    let setup = TestGateway::setup()
        .python()
        .function("keeper", raising)
        .tables("[log]\nlevel = \"debug\"");
    let rig = Rig::with(setup, upstream).await;
    rig.gateway
        .management()
        .set_valves("keeper", &json!({"secret": "canary-valve"}))
        .await
        .expect(200);
    rig.gateway
        .management()
        .set_valves("keeper", &json!({"secret": ["canary-valve"]}))
        .await
        .expect(400);
    let mut said = String::new();
    for text in ["canary-prompt", "canary-prompt cut"] {
        for path in ["/v1/chat/completions", "/api/chat/completions"] {
            rig.gateway
                .user()
                .post(path, &streamed_chat("echo", text))
                .await;
        }
        said += &rig.gateway.user().chat(&chat("nobody", text)).await.text();
        said += &rig
            .gateway
            .stranger()
            .with_key("canary-key")
            .chat(&chat("echo", text))
            .await
            .text();
        said += &rig
            .gateway
            .user()
            .post_bytes(
                "/v1/chat/completions",
                format!("{{\"canary-prompt\": {text}"),
            )
            .await
            .text();
    }
    said += &rig
        .gateway
        .user()
        .with("x-api-key", "canary-key")
        .chat(&chat("echo", "x"))
        .await
        .text();
    said += &rig.gateway.admin().get("/metrics").await.text();
    said += &rig.gateway.log();
    for process in [
        vec![rig.gateway.process()],
        rig.gateway.process().descendants(),
    ]
    .concat()
    {
        said += &process.command_line();
    }
    for worker in rig.gateway.process().descendants() {
        said += &worker.environment();
    }
    for canary in [
        "canary-key",
        "canary-prompt",
        "canary-answer",
        "canary-half",
        "canary-valve",
        USER_KEY,
        ADMIN_KEY,
        "sk-upstream",
    ] {
        let line = said.lines().find(|line| line.contains(canary));
        assert!(line.is_none(), "`{canary}` is in: {line:?}");
    }
    rig.ends_unharmed("x20").await;
}

#[tokio::test]
async fn x21_nothing_in_a_request_begins_a_line_of_the_log() {
    for format in ["text", "json"] {
        let setup = TestGateway::setup()
            .tables(&format!("[log]\nformat = \"{format}\"\nlevel = \"debug\""));
        let rig = Rig::with(setup, FakeUpstream::echo().await).await;
        let forged = "x\r\n2026-01-01T00:00:00Z  INFO forged-line\n\u{1b}[2J\u{1b}[31mforged-colour\u{7}\u{85}\u{2028}forged-break";
        rig.gateway
            .user()
            .chat(&chat(forged, "hi"))
            .await
            .expect(404);
        rig.gateway
            .user()
            .get("/v1/models/a%0d%0aforged-line%1b[2J")
            .await;
        rig.gateway
            .user()
            .with("x-forged", "forged-line")
            .get("/v1/forged-line")
            .await;
        rig.gateway.logged("forged-break").await;
        let log = rig.gateway.log();
        assert!(
            !log.contains('\u{1b}') && !log.contains('\u{7}'),
            "{format}: {log:?}"
        );
        for line in log.lines() {
            assert!(
                !line.trim_start().starts_with("forged")
                    && !line.starts_with("2026-01-01T00:00:00Z"),
                "{format}: {line}"
            );
            assert!(format == "text" || line.starts_with('{'), "{line}");
        }
        rig.ends_unharmed("x21").await;
    }
}

#[tokio::test]
async fn x25_starts_that_let_everybody_in_are_refused() {
    let open = "[auth]\nmode = \"open\"";
    for listen in ["0.0.0.0:19840", "[::]:19840"] {
        let setup = TestGateway::setup()
            .settings(&format!("listen = \"{listen}\""))
            .tables(open);
        let (status, said) = setup.run_to_end().await;
        assert_eq!(status.code(), Some(64), "{said}");
        assert!(said.contains("auth.force_open"), "{said}");
    }
    let gateway = TestGateway::setup().tables(open).start().await;
    gateway.stranger().get("/v1/models").await.expect(200);
    gateway
        .stranger()
        .get("/api/v1/functions/list")
        .await
        .expect(401);
    // A key that is sent is checked all the same.
    gateway
        .stranger()
        .with_key("sk-wrong")
        .get("/v1/models")
        .await
        .expect(401);
    let weak = TestGateway::setup()
        .tables("[auth]\nadmin_key = \"\"")
        .start()
        .await;
    weak.stranger()
        .with_key("")
        .get("/api/v1/functions/list")
        .await
        .expect(401);
}

#[tokio::test]
async fn x05_a_trial_of_code_needs_the_right_to_save_it() {
    let upstream = FakeUpstream::echo().await;
    let rig = Rig::with(TestGateway::setup().python(), upstream).await;
    let mark = rig.gateway.home().join("ran");
    let code = format!("open({:?}, \"w\").close()\n{}", mark, source("calm"));
    let form = json!({"id": "trial", "name": "trial", "content": code, "meta": {}});
    for path in [
        "create",
        "validate",
        "test",
        "preview",
        "load/url",
        "sync",
        "import",
        "id/trial/update",
    ] {
        for client in [rig.gateway.user(), rig.gateway.stranger()] {
            let answer = client
                .post(&format!("/api/v1/functions/{path}"), &form)
                .await;
            assert!(
                matches!(answer.status, 401 | 403 | 404 | 405),
                "{path}: {}",
                answer.text()
            );
        }
    }
    assert!(!mark.exists(), "nothing ran");
    rig.ends_unharmed("x05").await;
}
