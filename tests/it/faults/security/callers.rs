//! Who may do what, and whom requests may speak for.

use http::Method;
use serde_json::json;

use crate::faults::rig::Rig;
use crate::support::{ADMIN_KEY, FakeUpstream, TestGateway, USER_KEY, answer_of, chat, source};

/// Refuses with what it is told of its caller.
const WHO: &str = "class Filter:\n    def inlet(self, body, __user__=None, __metadata__=None):\n        raise Exception(f\"{__user__['id']} {__user__['role']} {(__metadata__ or {}).get('user_id')}\")\n";

const ADMIN_ID: &str = "11111111-1111-4111-8111-111111111111";
const USER_ID: &str = "22222222-2222-4222-8222-222222222222";

/// A gateway whose model `echo` runs [`WHO`].
async fn asking_who(settings: &str) -> Rig {
    let setup = TestGateway::setup().python().function("who", WHO);
    let setup = setup.tables("[function.who]\nglobal = false\nmodels = [\"echo\"]");
    Rig::with(setup.settings(settings), FakeUpstream::echo().await).await
}

#[tokio::test]
async fn x01_nothing_in_a_request_changes_where_it_is_sent() {
    let trap = crate::support::listen().await;
    let at = format!("http://{}/v1", trap.local_addr().unwrap());
    let rig = Rig::new(|_| answer_of("fine")).await;
    let mut body = chat("echo", "hi");
    for key in [
        "api_base",
        "base_url",
        "custom_host",
        "url",
        "endpoint",
        "host",
        "api_key",
        "custom_llm_provider",
        "azure_endpoint",
        "proxy",
    ] {
        body[key] = json!(at);
    }
    let client = [
        "x-forwarded-host",
        "x-host",
        "x-api-base",
        "x-base-url",
        "x-upstream",
        "x-original-url",
        "forwarded",
        "mcp-init-host",
    ]
    .iter()
    .fold(rig.gateway.user(), |client, name| client.with(name, &at));
    client.chat(&body).await.expect(200);
    let path = format!("/v1/chat/completions?api_base={at}&base_url={at}&url={at}");
    client.post(&path, &body).await.expect(200);
    let absolute = format!("POST {at}/chat/completions HTTP/1.1\r\nHost: gateway\r\n\r\n");
    assert_eq!(rig.exchange(absolute).await.status(), 400);
    let came = tokio::time::timeout(std::time::Duration::from_millis(200), trap.accept()).await;
    assert!(came.is_err(), "somebody else was called");
    assert_eq!(rig.upstream.request_count(), 2);
    rig.ends_unharmed("x01").await;
}

#[tokio::test]
async fn x02_odd_keys_are_unknown_and_nothing_more() {
    let rig = Rig::configured("[auth]\nunknown_keys_per_minute = 0", |_| answer_of("fine")).await;
    let long = "k".repeat(60_000);
    let odd = [
        "' OR '1'='1",
        "\"; DROP TABLE keys; --",
        "admin'--",
        "$(id)",
        "%00",
        "..%2f",
        "{\"a\":1}",
        "sk-\u{e9}",
        "\u{1f511}",
        "*",
        "%",
        "_",
        &long,
        "null",
        "undefined",
        "Bearer",
        "sk-",
        "0",
    ];
    let mut said = Vec::new();
    for key in odd {
        let request = format!(
            "GET /v1/models HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\r\n"
        );
        let reply = rig.exchange(&request).await;
        assert_eq!(reply.status(), 401, "{key:.40}");
        said.push(reply.text().split_once("\r\n\r\n").unwrap().1.to_owned());
    }
    said.dedup();
    assert_eq!(
        said.len(),
        1,
        "all unknown keys are told the same: {said:?}"
    );
    let zero = "GET /v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\0b\r\n\r\n";
    assert_eq!(rig.exchange(zero).await.status(), 400);
    assert!(
        !rig.gateway.log().to_lowercase().contains("sql"),
        "{}",
        rig.gateway.log()
    );
    rig.ends_unharmed("x02").await;
}

#[tokio::test]
async fn x03_every_route_of_the_management_needs_the_right_of_an_administrator() {
    let setup = TestGateway::setup()
        .python()
        .function("calm", &source("calm"));
    let rig = Rig::with(setup, FakeUpstream::echo().await).await;
    let function = |path: &str| format!("/api/v1/functions/id/calm{path}");
    let routes = [
        (Method::GET, "/api/v1/functions/list".to_owned()),
        (Method::GET, "/api/v1/functions/export".to_owned()),
        (Method::POST, "/api/v1/functions/create".to_owned()),
        (Method::GET, function("")),
        (Method::POST, function("/update")),
        (Method::DELETE, function("/delete")),
        (Method::POST, function("/toggle")),
        (Method::POST, function("/toggle/global")),
        (Method::GET, function("/output")),
        (Method::GET, function("/valves")),
        (Method::GET, function("/valves/spec")),
        (Method::POST, function("/valves/update")),
    ];
    let form = json!({"id": "calm", "name": "calm", "content": "class Filter: pass", "meta": {}, "role": "admin", "is_admin": true});
    for (method, path) in routes {
        for client in [rig.gateway.user(), rig.gateway.stranger()] {
            let client = client
                .with("content-type", "application/json")
                .with("x-openwebui-user-role", "admin");
            let answer = client
                .call(method.clone(), &path, form.to_string().into())
                .await;
            assert!(
                matches!(answer.status, 401 | 403 | 405),
                "{method} {path}: {} {}",
                answer.status,
                answer.text()
            );
            assert_ne!(answer.status, 405, "{method} {path} is a route");
        }
    }
    let still = rig
        .gateway
        .admin()
        .get("/api/v1/functions/id/calm")
        .await
        .expect(200);
    assert_eq!(still.json()["content"], source("calm"));
    assert_eq!(still.json()["is_active"], true);
    rig.ends_unharmed("x03").await;
}

#[tokio::test]
async fn x08_valves_are_for_administrators() {
    let code = "from pydantic import BaseModel\n\nclass Filter:\n    class Valves(BaseModel):\n        secret: str = \"\"\n\n    def __init__(self):\n        self.valves = self.Valves()\n\n    def inlet(self, body):\n        return body\n";
    let setup = TestGateway::setup().python().function("keeper", code);
    let rig = Rig::with(setup, FakeUpstream::echo().await).await;
    let management = rig.gateway.management();
    management
        .set_valves("keeper", &json!({"secret": "canary-valve-8"}))
        .await
        .expect(200);
    let paths = [
        "",
        "/valves",
        "/valves/spec",
        "/output",
        "/valves/user",
        "/valves/user/spec",
    ];
    for path in paths.map(|path| format!("/api/v1/functions/id/keeper{path}")) {
        let answer = rig.gateway.user().get(&path).await;
        assert!(!answer.text().contains("canary-valve-8"), "{path}");
    }
    for path in [
        "/api/v1/functions/",
        "/api/v1/functions/list",
        "/api/v1/functions/export",
        "/v1/models",
        "/api/models",
        "/metrics",
    ] {
        let answer = rig.gateway.user().get(path).await;
        assert!(!answer.text().contains("canary-valve-8"), "{path}");
    }
    rig.ends_unharmed("x08").await;
}

#[tokio::test]
async fn x09_who_asks_is_told_by_the_key_and_by_nothing_in_the_body() {
    let rig = asking_who("").await;
    let mut body = chat("echo", "hi");
    for key in [
        "user",
        "__user__",
        "user_id",
        "metadata",
        "__metadata__",
        "caller",
        "role",
    ] {
        body[key] = json!({"id": ADMIN_ID, "user_id": ADMIN_ID, "role": "admin"});
    }
    body["user"] = json!(ADMIN_ID);
    for path in ["/v1/chat/completions", "/api/chat/completions"] {
        let answer = rig.gateway.user().post(path, &body).await.expect(400);
        let text = answer.text();
        assert!(
            text.contains(&format!("{USER_ID} user {USER_ID}")),
            "{path}: {text}"
        );
        assert!(!text.contains(ADMIN_ID), "{path}: {text}");
    }
    rig.ends_unharmed("x09").await;
}

#[tokio::test]
async fn x10_events_of_another_users_request_are_not_told() {
    let code = "class Filter:\n    async def inlet(self, body, __event_emitter__=None):\n        await __event_emitter__({\"type\": \"status\", \"data\": {\"description\": \"canary-10\", \"done\": True}})\n        return body\n";
    let setup = TestGateway::setup().python().function("teller", code);
    let rig = Rig::with(setup, FakeUpstream::echo().await).await;
    let answer = rig
        .gateway
        .admin()
        .chat(&chat("echo", "hi"))
        .await
        .expect(200);
    let path = format!("/api/chat/events/{}", answer.header("x-request-id"));
    let own = rig.gateway.admin().get(&path).await.expect(200);
    assert!(own.text().contains("canary-10"));
    let others = rig.gateway.user().get(&path).await.expect(404);
    let nothing = rig
        .gateway
        .user()
        .get("/api/chat/events/none")
        .await
        .expect(404);
    assert_eq!(
        others.json()["detail"].is_string(),
        nothing.json()["detail"].is_string()
    );
    assert!(!others.text().contains("canary-10"));
    rig.gateway.stranger().get(&path).await.expect(401);
    rig.ends_unharmed("x10").await;
}

#[tokio::test]
async fn x11_every_form_of_a_key_is_checked_alike_and_two_are_refused() {
    let rig = asking_who("").await;
    let bearer = |key: &str| {
        rig.gateway
            .stranger()
            .with("authorization", &format!("Bearer {key}"))
    };
    let named = |key: &str| rig.gateway.stranger().with("x-api-key", key);
    for client in [bearer(USER_KEY), named(USER_KEY)] {
        let text = client.chat(&chat("echo", "hi")).await.expect(400).text();
        assert!(text.contains(&format!("{USER_ID} user")), "{text}");
        client.get("/api/v1/functions/list").await.expect(401);
        client.get("/metrics").await.expect(403);
    }
    let two = [
        bearer(USER_KEY).with("x-api-key", ADMIN_KEY),
        bearer(ADMIN_KEY).with("x-api-key", USER_KEY),
        bearer(USER_KEY).with("authorization", &format!("Bearer {ADMIN_KEY}")),
        named(USER_KEY).with("x-api-key", ADMIN_KEY),
        bearer(USER_KEY).with("x-api-key", "sk-unknown"),
    ];
    for client in two {
        client.chat(&chat("echo", "hi")).await.expect(400);
        client.get("/metrics").await.expect(400);
    }
    let basic = rig.gateway.stranger().with("authorization", "Basic YTpi");
    basic.get("/v1/models").await.expect(401);
    let query = format!("/v1/models?api_key={ADMIN_KEY}&key={ADMIN_KEY}");
    rig.gateway.stranger().get(&query).await.expect(401);
    let cookie = rig
        .gateway
        .stranger()
        .with("cookie", &format!("token={ADMIN_KEY}"));
    cookie.get("/v1/models").await.expect(401);
    rig.ends_unharmed("x11").await;
}

#[tokio::test]
async fn x14_what_functions_tell_goes_to_the_request_that_they_serve() {
    let code = "class Filter:\n    async def inlet(self, body, __event_emitter__=None):\n        await __event_emitter__({\"type\": \"status\", \"data\": {\"description\": body[\"messages\"][-1][\"content\"], \"done\": True}})\n        return body\n";
    let setup = TestGateway::setup().python().function("teller", code);
    let rig = Rig::with(setup, FakeUpstream::echo().await).await;
    let victim = rig
        .gateway
        .admin()
        .chat(&chat("echo", "of the victim"))
        .await
        .expect(200);
    let session = victim.header("x-request-id").to_owned();
    let mut body = chat("echo", "of the attacker");
    for key in ["session_id", "chat_id", "id", "message_id", "request_id"] {
        body[key] = json!(session);
    }
    body["metadata"] = json!({"session_id": session, "chat_id": session, "message_id": session, "user_id": ADMIN_ID});
    for path in ["/v1/chat/completions", "/api/chat/completions"] {
        let client = rig.gateway.user().with("x-request-id", &session);
        client.post(path, &body).await.expect(200);
    }
    let told = rig
        .gateway
        .admin()
        .get(&format!("/api/chat/events/{session}"))
        .await
        .expect(200)
        .text();
    assert!(
        told.contains("of the victim") && !told.contains("of the attacker"),
        "{told}"
    );
    rig.ends_unharmed("x14").await;
}

#[tokio::test]
async fn x17_who_tries_keys_is_slowed_down_and_others_are_not() {
    let rig = Rig::configured("[auth]\nunknown_keys_per_minute = 10", |_| {
        answer_of("fine")
    })
    .await;
    let mut statuses = Vec::new();
    let mut texts = Vec::new();
    for number in 0..15 {
        let guess = rig
            .gateway
            .stranger()
            .with_key(&format!("sk-guess-{number}"));
        let answer = guess.chat(&chat("echo", "hi")).await;
        if answer.status == 401 {
            texts.push(answer.text());
        } else {
            assert!(!answer.header("retry-after").is_empty());
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [vec![401; 10], vec![429; 5]].concat());
    texts.dedup();
    assert_eq!(texts.len(), 1);
    // The administrator's key was not in use from here before.
    rig.gateway
        .admin()
        .chat(&chat("echo", "hi"))
        .await
        .expect(429);
    // The neighbours' key was.
    rig.gateway
        .user()
        .chat(&chat("echo", "hi"))
        .await
        .expect(200);
    assert_eq!(rig.upstream.request_count(), 1);
    rig.ends_unharmed("x17").await;
}

#[tokio::test]
async fn x18_headers_that_only_a_trusted_proxy_may_set_are_dropped() {
    let mut rig = Rig::new(|_| answer_of("fine")).await;
    let names = [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-user",
        "forwarded",
        "x-real-ip",
        "x_forwarded_for",
        "x_real_ip",
        "x-openwebui-user-id",
        "x_openwebui_user_role",
        "x-sluicegate-generation",
        "x_api_key_",
        "cookie",
        "proxy-authorization",
    ];
    let client = names.iter().fold(rig.gateway.user(), |client, name| {
        client.with(name, "canary-18")
    });
    let client = client
        .with("connection", "x-kept-out, authorization")
        .with("x-kept-out", "canary-18");
    client.chat(&chat("echo", "hi")).await.expect(200);
    let request = rig.upstream.request().await;
    for name in names
        .iter()
        .filter(|name| **name != "x_api_key_")
        .chain(&["x-kept-out"])
    {
        assert_eq!(request.header(name), "", "{name}");
    }
    assert_eq!(request.header("authorization"), "Bearer sk-upstream");
    rig.ends_unharmed("x18").await;
}

#[tokio::test]
async fn x18_a_stranger_names_nobody_and_a_trusted_proxy_lends_no_rights() {
    for (settings, expected) in [
        ("", USER_ID),
        ("trusted_proxies = [\"127.0.0.1\"]", "mallory"),
    ] {
        let rig = asking_who(settings).await;
        let client = rig
            .gateway
            .user()
            .with("x-openwebui-user-id", "mallory")
            .with("x-openwebui-user-role", "admin");
        let text = client.chat(&chat("echo", "hi")).await.expect(400).text();
        assert!(text.contains(expected), "{settings}: {text}");
        client.get("/metrics").await.expect(403);
        client.get("/api/v1/functions/list").await.expect(401);
        rig.ends_unharmed("x18 proxy").await;
    }
}
