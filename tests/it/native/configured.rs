//! Filters in Rust that the configuration names, in the place of files.

use std::process::Command;

use serde_json::json;

use super::{native, setup};
use crate::support::{FakeUpstream, TestGateway, chat};

const PII: &str = "[function.pii]\nnative = \"redact\"\nvalves = { replacement = \"*\" }\n";

async fn status(gateway: &TestGateway) -> u16 {
    gateway.user().chat(&chat("echo", "hi")).await.status
}

#[tokio::test]
async fn the_configuration_alone_makes_a_native_filter() {
    let upstream = FakeUpstream::echo().await;
    let gateway = setup(&upstream).tables(PII).start().await;
    let says = async || {
        let answer = gateway.user().chat(&chat("echo", "ann@example.com")).await;
        answer.expect(200).content()
    };
    assert_eq!(says().await, "echo: *");
    let management = gateway.management();
    let listed = management.get_all("").await.expect(200).json();
    assert_eq!(
        (&listed[0]["id"], &listed[0]["native"]),
        (&json!("pii"), &json!("redact"))
    );
    assert_eq!(listed[0]["is_global"], true);
    management.update("pii", &native("clamp")).await.expect(409);
    let valves = json!({"replacement": "#"});
    management.set_valves("pii", &valves).await.expect(200);
    assert_eq!(says().await, "echo: #", "those set over the API win");
    gateway
        .reconfigure("native = \"redact\"", "native = \"clamp\"\nactive = false")
        .await;
    assert_eq!(says().await, "echo: ann@example.com");
    assert!(gateway.process().descendants().is_empty(), "no zygote");
}

#[tokio::test]
async fn filters_of_the_configuration_come_and_go_while_the_folder_cannot_be_read() {
    let upstream = FakeUpstream::echo().await;
    let turns = native("limits");
    let setup = setup(&upstream)
        .tables("# nothing yet")
        .function("turns", &turns);
    let gateway = setup.start().await;
    let ids = async || {
        let listed = gateway.management().get_all("").await.expect(200).json();
        let listed = listed.as_array().unwrap();
        let ids = listed.iter().map(|function| function["id"].clone());
        ids.collect::<Vec<_>>()
    };
    let status = async || gateway.admin().get("/api/v1/status").await.json();
    let says = async || {
        let answer = gateway.user().chat(&chat("echo", "ann@example.com")).await;
        answer.expect(200).content()
    };
    let (folder, aside) = (
        gateway.data_dir().join("functions"),
        gateway.home().join("aside"),
    );
    std::fs::rename(&folder, &aside).unwrap();
    std::fs::write(&folder, "no folder").unwrap();
    gateway.reconfigure("# nothing yet", PII).await;
    assert_eq!(says().await, "echo: *");
    assert_eq!(ids().await, ["pii", "turns"]);
    let reload = status().await["reload"].take();
    assert_eq!(reload["state"], "failed");
    assert!(
        reload["mistakes"].to_string().contains("functions folder"),
        "{reload}"
    );
    gateway.reconfigure(PII, "# nothing any more").await;
    assert_eq!(ids().await, ["turns"]);
    std::fs::remove_file(&folder).unwrap();
    std::fs::rename(&aside, &folder).unwrap();
    gateway.reload().await;
    assert_eq!(status().await["reload"]["state"], "ok");
    assert_eq!(ids().await, ["turns"]);
}

#[tokio::test]
async fn a_file_of_the_same_id_serves_and_a_file_may_be_native() {
    let upstream = FakeUpstream::echo().await;
    let words =
        "[function.pii]\nnative = \"redact\"\nvalves = { words = \"ann\", action = \"replace\" }\n";
    let setup = setup(&upstream)
        .tables(words)
        .function("pii", &native("words"));
    let gateway = setup.start().await;
    let answer = gateway.user().chat(&chat("echo", "ann@example.com")).await;
    assert_eq!(answer.expect(200).content(), "echo: [removed]@example.com");
    assert!(
        gateway.log().contains("the file serves"),
        "{}",
        gateway.log()
    );
    assert!(gateway.process().descendants().is_empty(), "no zygote");
}

#[tokio::test]
async fn valves_that_do_not_fit_fail_requests_unless_the_operator_lets_them_pass() {
    for (more, expected) in [("", 503), ("on_error = \"open\"\n", 200)] {
        let upstream = FakeUpstream::echo().await;
        let table =
            format!("[function.turns]\nnative = \"limits\"\n{more}valves = {{ max_turns = -3 }}\n");
        let gateway = setup(&upstream).tables(&table).start().await;
        assert_eq!(status(&gateway).await, expected);
        if expected == 503 {
            let failed = gateway.user().chat(&chat("echo", "hi")).await.text();
            assert!(
                failed.contains("`max_turns`") && !failed.contains("-3"),
                "{failed}"
            );
        }
    }
}

#[tokio::test]
async fn an_outlet_whose_valves_do_not_fit_withholds_answers() {
    let upstream = FakeUpstream::echo().await;
    let table =
        "[function.pii]\nnative = \"redact\"\noutlet_error = \"open\"\nvalves = { mail = 7 }\n";
    let gateway = setup(&upstream).tables(table).start().await;
    let answer = json!({"id": "m2", "role": "assistant", "content": "ann@example.com"});
    let body = json!({"model": "echo", "id": "m2", "messages": [answer]});
    gateway
        .user()
        .post("/api/chat/completed", &body)
        .await
        .expect(503);
    assert_eq!(status(&gateway).await, 503);
}

#[test]
fn check_names_what_is_wrong_with_a_native_filter() {
    let home = tempfile::tempdir().unwrap();
    let check = |table: &str| {
        let config = home.path().join("sluicegate.toml");
        let data = home.path().join("data");
        std::fs::write(
            &config,
            format!("data_dir = {data:?}\n[python]\nbase = false\n{table}"),
        )
        .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
        let output = command
            .arg("check")
            .arg("--config")
            .arg(&config)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    let (code, said) = check("[function.pii]\nnative = \"redcat\"\n");
    assert!(
        code == Some(64) && said.contains("redact"),
        "{code:?} {said}"
    );
    let (code, said) = check("[function.pii]\nnative = \"redact\"\nvalves = { mial = true }\n");
    assert!(
        code == Some(64) && said.contains("`mial`"),
        "{code:?} {said}"
    );
    let (_, said) = check("[function.pii]\nnative = \"redact\"\n");
    assert!(said.contains("function `pii`: filter"), "{said}");
}
