//! Names and paths that mean something else to somebody else.

use serde_json::json;

use crate::faults::rig::{Rig, authorized};
use crate::support::{ADMIN_KEY, FakeUpstream, TestGateway, answer_of, chat, source};

#[tokio::test]
async fn x06_no_spelling_of_a_path_gets_round_the_key() {
    let rig = Rig::new(|_| answer_of("fine")).await;
    let paths = [
        "/v1/models",
        "//v1/models",
        "/v1//models",
        "/V1/models",
        "/v1/models/",
        "/v1/models/.",
        "/v1/./models",
        "/healthz/../v1/models",
        "/healthz/..;/v1/models",
        "/healthz/%2e%2e/v1/models",
        "/healthz%2f..%2fv1/models",
        "/healthz;/v1/models",
        "/healthz?/v1/models/..",
        "/readyz/../metrics",
        "/metrics",
        "/metrics/",
        "//metrics",
        "/%6detrics",
        "/api/v1/functions/list",
        "/healthz/../api/v1/functions/list",
        "/api/v1/functions/%6cist",
        "/API/v1/functions/list",
        "/api//v1/functions/list",
        "/api/v1/functions;a=b/list",
        "/healthz\\..\\metrics",
    ];
    for path in paths {
        for host in [
            "Host: gateway\r\n",
            "Host: healthz\r\n",
            "Host: 127.0.0.1\r\nX-Original-URL: /healthz\r\nX-Rewrite-URL: /healthz\r\n",
        ] {
            let request = format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
            let reply = rig.exchange(&request).await;
            let is_health = path.starts_with("/healthz?");
            assert!(
                matches!(reply.status(), 400 | 401 | 404) || is_health,
                "{path} {host}: {}",
                reply.text()
            );
            assert!(!reply.text().contains("echo"), "{path}: {}", reply.text());
        }
    }
    for target in [
        "http://other/v1/models",
        "http://gateway@other/v1/models",
        "http://other:80/metrics",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\n{}\r\n", authorized());
        assert_eq!(rig.exchange(request).await.status(), 400, "{target}");
    }
    rig.ends_unharmed("x06").await;
}

#[tokio::test]
async fn x19_ids_are_names_and_never_paths() {
    let upstream = FakeUpstream::start(|_| answer_of("fine")).await;
    let setup = TestGateway::setup()
        .python()
        .function("calm", &source("calm"));
    let rig = Rig::with(setup, upstream).await;
    let secret = rig.gateway.home().join("secret.py");
    std::fs::write(&secret, "canary-19").unwrap();
    let long = "a".repeat(65);
    let ids = [
        "../secret",
        "..",
        ".",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "a.b",
        "a b",
        "",
        "1a",
        "a-b",
        "\u{430}lpha",
        "a\0b",
        "a\nb",
        "%2e%2e",
        "a%00",
        &long,
        "~root",
        "$HOME",
        "CON:",
    ];
    let before = std::fs::read_dir(rig.gateway.data_dir().join("functions"))
        .unwrap()
        .count();
    for id in ids {
        let form = json!({"id": id, "name": "x", "content": source("calm"), "meta": {}});
        let answer = rig
            .gateway
            .admin()
            .post("/api/v1/functions/create", &form)
            .await;
        assert!(
            matches!(answer.status, 400 | 422),
            "{id:?}: {} {}",
            answer.status,
            answer.text()
        );
    }
    let after = std::fs::read_dir(rig.gateway.data_dir().join("functions"))
        .unwrap()
        .count();
    assert_eq!(before, after, "no file was made");
    for path in [
        "..%2f..%2fsecret",
        "..%2Fsecret",
        "%2e%2e%2fsecret",
        "..",
        "....//secret",
        "%00",
        "calm%00",
        "calm%2f..%2fcalm",
    ] {
        for what in ["", "/valves", "/output"] {
            let request = format!(
                "GET /api/v1/functions/id/{path}{what} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {ADMIN_KEY}\r\n\r\n"
            );
            let reply = rig.exchange(request).await;
            assert!(
                matches!(reply.status(), 400..=499),
                "{path}{what}: {}",
                reply.text()
            );
            assert!(!reply.text().contains("canary-19"));
        }
    }
    for model in [
        "../secret",
        "calm/../x",
        "echo\0",
        "..%2f",
        "\u{435}cho",
        "echo.",
        ".echo",
        "calm...",
        &"m".repeat(100_000),
    ] {
        let answer = rig.gateway.user().chat(&chat(model, "hi")).await;
        assert_eq!(answer.status, 404, "{model:.20}: {}", answer.text());
    }
    assert_eq!(rig.upstream.request_count(), 0);
    rig.ends_unharmed("x19").await;
}

#[tokio::test]
async fn x23_requirements_are_names_with_versions() {
    // One function is there already, and with it the folder of environments.
    let setup = TestGateway::setup()
        .python()
        .function("calm", &source("calm"));
    let rig = Rig::with(setup, FakeUpstream::echo().await).await;
    let management = rig.gateway.management();
    let before = rig.gateway.process().descendants().len();
    for (number, requirement) in [
        "--index-url http://127.0.0.1:9/x",
        "--extra-index-url=http://127.0.0.1:9",
        "-e .",
        "-r /etc/passwd",
        "--target=/tmp",
        "./package",
        "/tmp/package",
        "git+https://example.invalid/x.git",
        "https://example.invalid/x.whl",
        "file:///etc/passwd",
        "x @ https://example.invalid/x.whl",
        "x; os.system('id')",
        "$(id)",
        "`id`",
        "x\\",
        "--no-index",
        "x --hash=sha256:0",
    ]
    .iter()
    .enumerate()
    {
        let code = format!(
            "\"\"\"\ntitle: x\nrequirements: {requirement}\n\"\"\"\n\nclass Filter:\n    pass\n"
        );
        let id = format!("needy_{number}");
        let answer = management.create(&id, &code).await;
        let is_refused = answer.status == 400;
        let is_inactive = answer.status == 200 && answer.json()["is_active"] == false;
        assert!(
            is_refused || is_inactive,
            "{requirement}: {} {}",
            answer.status,
            answer.text()
        );
        if is_inactive {
            let answer = rig
                .gateway
                .admin()
                .post(&format!("/api/v1/functions/id/{id}/toggle"), &json!({}))
                .await;
            assert_eq!(answer.status, 400, "{requirement}: {}", answer.text());
            management.delete(&id).await;
        }
    }
    assert!(rig.gateway.process().descendants().len() <= before + 2);
    rig.ends_unharmed("x23").await;
}
