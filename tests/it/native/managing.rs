//! Their life over the management API.

use serde_json::{Value, json};

use super::{native, setup};
use crate::PATIENCE;
use crate::support::{FakeUpstream, TestGateway, chat, source, within};

const ASK: &str = "mail ann@example.com";

async fn says(gateway: &TestGateway) -> String {
    let answer = gateway.user().chat(&chat("echo", ASK)).await;
    answer.expect(200).content()
}

#[tokio::test]
async fn a_native_filter_lives_as_any_function_does_and_starts_no_process() {
    let upstream = FakeUpstream::echo().await;
    let gateway = setup(&upstream).start().await;
    let management = gateway.management();
    let form =
        json!({"id": "pii", "name": "PII", "native": "redact", "meta": {"description": "d"}});
    let made = management
        .post_all("create", &form)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&made["type"], &made["native"]),
        (&json!("filter"), &json!("redact"))
    );
    assert_eq!(made["meta"]["manifest"]["native"], "redact");
    assert_eq!(says(&gateway).await, "echo: mail ann@example.com");
    management.toggle("pii").await;
    management.toggle_global("pii").await;
    assert_eq!(says(&gateway).await, "echo: mail [mail]");
    let spec = management
        .get("pii", "valves/spec")
        .await
        .expect(200)
        .json();
    assert_eq!(spec["properties"]["mail"]["type"], "boolean");
    let valves = json!({"replacement": "<{kind}>", "priority": 3});
    management.set_valves("pii", &valves).await.expect(200);
    assert_eq!(says(&gateway).await, "echo: mail <mail>");
    let wrong = json!({"mail": "perhaps", "mial": true});
    let refused = management
        .set_valves("pii", &wrong)
        .await
        .expect(400)
        .json();
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.contains("`mail`") && detail.contains("`mial`"),
        "{detail}"
    );
    let stored = management.get("pii", "valves").await.expect(200).json();
    assert_eq!(stored, valves, "what is refused changes nothing");
    management.delete("pii").await.expect(200);
    assert_eq!(says(&gateway).await, "echo: mail ann@example.com");
    assert!(gateway.process().descendants().is_empty(), "no zygote");
}

#[tokio::test]
async fn the_kinds_are_listed_and_no_other_is_made() {
    let upstream = FakeUpstream::echo().await;
    let gateway = setup(&upstream).start().await;
    let management = gateway.management();
    let kinds = management.get_all("native").await.expect(200).json();
    for kind in kinds.as_array().unwrap() {
        let name = kind["native"].as_str().unwrap();
        management.create(name, &native(name)).await.expect(200);
        let spec = management.get(name, "valves/spec").await.expect(200).json();
        assert_eq!(spec, kind["valves_spec"], "{name}");
        assert!(spec["properties"]["priority"].is_object(), "{name}");
    }
    let refused = management.create("other", &native("redcat")).await;
    let detail = refused.expect(400).json()["detail"].to_string();
    assert!(
        detail.contains("`redcat`") && detail.contains("redact"),
        "{detail}"
    );
    let both = json!({"id": "x", "name": "X", "native": "redact", "content": "", "meta": {}});
    management.post_all("create", &both).await.expect(422);
    gateway
        .user()
        .get("/api/v1/functions/native")
        .await
        .expect(401);
}

#[tokio::test]
async fn a_user_sets_valves_of_his_own() {
    let upstream = FakeUpstream::echo().await;
    let gateway = setup(&upstream).start().await;
    let management = gateway.management();
    management.install_filter("turns", &native("limits")).await;
    let valves = json!({"max_turns": 1});
    management.set_valves("turns", &valves).await.expect(200);
    let turn = json!({"role": "user", "content": "hi"});
    let body = json!({"model": "echo", "messages": [turn, turn]});
    gateway.user().chat(&body).await.expect(403);
    let (user, own) = (gateway.user(), json!({"bonus_turns": 1}));
    user.set_user_valves("turns", &own).await.expect(200);
    gateway.user().chat(&body).await.expect(200);
    let wrong = json!({"bonus_turns": -1});
    let refused = user.set_user_valves("turns", &wrong).await;
    let detail = refused.expect(400).json()["detail"].to_string();
    assert!(detail.contains("`bonus_turns`"), "{detail}");
    let path = "/api/v1/functions/id/turns/valves/user/spec";
    let spec = gateway.user().get(path).await.expect(200).json();
    assert_eq!(spec["properties"]["bonus_turns"]["minimum"], 0);
}

#[tokio::test]
async fn an_export_brings_native_filters_to_another_gateway_and_history_leads_back() {
    let upstream = FakeUpstream::echo().await;
    let gateway = setup(&upstream).start().await;
    let management = gateway.management();
    management.install_filter("pii", &native("redact")).await;
    let valves = json!({"replacement": "*"});
    management.set_valves("pii", &valves).await.expect(200);
    let exported = management.get_all("export?include_valves=true").await;
    let exported = exported.expect(200).json();

    let other = setup(&upstream).start().await;
    let placed = json!({"functions": exported});
    other
        .management()
        .post_all("import", &placed)
        .await
        .expect(200);
    assert_eq!(says(&other).await, "echo: mail *");

    let emptied = management.set_valves("pii", &json!({})).await;
    emptied.expect(200);
    management.update("pii", &native("clamp")).await.expect(200);
    assert_eq!(says(&gateway).await, "echo: mail ann@example.com");
    let history = management.get("pii", "history").await.expect(200).json();
    let versions: &Vec<Value> = history.as_array().unwrap();
    let before = versions.iter().find(|version| version["current"] != true);
    let back = json!({"version_id": before.unwrap()["id"]});
    management
        .post("pii", "update/version", &back)
        .await
        .expect(200);
    assert_eq!(says(&gateway).await, "echo: mail [mail]");
}

#[tokio::test]
async fn a_filter_in_python_becomes_native_and_keeps_its_valves() {
    let upstream = FakeUpstream::echo().await;
    let gateway = setup(&upstream).python().start().await;
    let management = gateway.management();
    let sample = include_str!("../../../filters/turn_limit.py");
    management.install_filter("turns", sample).await;
    let valves = json!({"max_turns": 1, "exempt_admins": false});
    management.set_valves("turns", &valves).await.expect(200);
    management
        .update("turns", &native("limits"))
        .await
        .expect(200);
    let turn = json!({"role": "user", "content": "hi"});
    let body = json!({"model": "echo", "messages": [turn, turn]});
    gateway.admin().chat(&body).await.expect(403);
    let stored = management.get("turns", "valves").await.expect(200).json();
    assert_eq!(stored, valves);
    let refused = management
        .update("turns", &native("redact"))
        .await
        .expect(400);
    let detail = refused.json()["detail"].to_string();
    assert!(
        detail.contains("`max_turns`"),
        "valves that do not fit: {detail}"
    );
}

#[tokio::test]
async fn native_filters_outlive_the_gateway_and_code_is_code() {
    let upstream = FakeUpstream::echo().await;
    let mut gateway = setup(&upstream).start().await;
    gateway
        .management()
        .install_filter("pii", &native("redact"))
        .await;
    let setup = setup(&upstream).home_of(&gateway).python();
    gateway.terminate();
    gateway.ended().await;
    let gateway = setup.start().await;
    assert_eq!(says(&gateway).await, "echo: mail [mail]");
    let code = source("mark");
    let code = format!("\"\"\"\ntitle: mark\nnative: redact\n\"\"\"\n{code}");
    gateway.management().install_filter("mark", &code).await;
    assert_eq!(says(&gateway).await, "echo: mail [mail] mark");
}

#[tokio::test]
async fn a_native_filter_is_tried_out_without_a_gateway() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    std::fs::write(path("pii.py"), native("redact")).unwrap();
    std::fs::write(path("body.json"), chat("m", ASK).to_string()).unwrap();
    let event = json!({"choices": [{"index": 0, "delta": {"content": "ask ann"}}]});
    std::fs::write(path("events.txt"), event.to_string()).unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    command
        .args(["functions", "test", "--json", "--data-dir"])
        .arg(path("data"));
    command.arg("--body").arg(path("body.json"));
    command
        .arg("--stream-events")
        .arg(path("events.txt"))
        .arg(path("pii.py"));
    let output = within(PATIENCE, "the end of the command", command.output()).await;
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("mail [mail]"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        said.contains("\"ann\""),
        "what was held back comes last: {said}"
    );
}
