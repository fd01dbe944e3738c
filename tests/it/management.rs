//! Functions as administrators manage them: versions to go back to, and many functions at once.

use serde_json::{Value, json};

use crate::support::{Client, FakeUpstream, TestGateway, Web, chat, source, source_with};

const MISSING: &str = "We could not find what you're looking for :/";

async fn gateway_with(upstream: &FakeUpstream) -> TestGateway {
    TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url())
        .start()
        .await
}

async fn content(client: &Client) -> String {
    let answer = client.chat(&chat("echo", "hi")).await;
    answer.expect(200).content()
}

/// The ids of the versions of a function with whether they serve, the newest first.
async fn versions(gateway: &TestGateway, id: &str) -> Vec<(String, bool)> {
    let history = gateway.management().get(id, "history").await.expect(200);
    let entry = |entry: &Value| {
        assert_eq!(entry["user"]["name"], "Admin One");
        let id = entry["id"].as_str().unwrap().to_owned();
        (id, entry["current"] == true)
    };
    history
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(entry)
        .collect()
}

#[tokio::test]
async fn an_earlier_version_serves_again() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let management = gateway.management();
    management.install_filter("mark", &source("mark")).await;
    let changed = source_with("mark", &[("MARK", "\"changed\"")]);
    management.update("mark", &changed).await.expect(200);
    assert_eq!(content(&gateway.user()).await, "echo: hi changed");
    let known = versions(&gateway, "mark").await;
    let [(second, true), (first, false)] = &known[..] else {
        panic!("not the two versions: {known:?}");
    };
    let read = management.get("mark", &format!("history/{first}")).await;
    assert_eq!(read.expect(200).json()["content"], source("mark"));
    let back = json!({"version_id": first});
    let restored = management.post("mark", "update/version", &back).await;
    assert_eq!(restored.expect(200).json()["version_id"], **first);
    assert_eq!(content(&gateway.user()).await, "echo: hi mark");
    let known = versions(&gateway, "mark").await;
    assert_eq!(known, [(second.clone(), false), (first.clone(), true)]);
    let unknown = json!({"version_id": "none"});
    let refused = management.post("mark", "update/version", &unknown).await;
    assert_eq!(refused.expect(404).json()["detail"], MISSING);
}

#[tokio::test]
async fn a_version_that_no_longer_loads_does_not_come_back() {
    let upstream = FakeUpstream::echo().await;
    let readable = tempfile::tempdir().unwrap();
    let setup = TestGateway::setup().python().readable(readable.path());
    let gateway = setup.upstream("fake", &upstream.base_url()).start().await;
    let management = gateway.management();
    let flag = readable.path().join("flag");
    std::fs::write(&flag, "").unwrap();
    let fragile = format!("open({:?})\n{}", flag.to_str().unwrap(), source("mark"));
    management.install_filter("mark", &fragile).await;
    let steady = source_with("mark", &[("MARK", "\"steady\"")]);
    management.update("mark", &steady).await.expect(200);
    std::fs::remove_file(&flag).unwrap();
    let first = versions(&gateway, "mark").await[1].0.clone();
    let back = json!({"version_id": first});
    let refused = management.post("mark", "update/version", &back).await;
    refused.expect(400);
    assert_eq!(content(&gateway.user()).await, "echo: hi steady");
    assert!(versions(&gateway, "mark").await[0].1);
}

#[tokio::test]
async fn an_import_is_whole_or_nothing() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let management = gateway.management();
    management.install_filter("mark", &source("mark")).await;
    let changed = json!({
        "id": "mark", "name": "Mark", "content": source("mark"), "meta": {"description": "d"},
        "is_active": true, "is_global": true, "valves": {"mark": "imported"},
    });
    let broken = json!({"id": "broken", "name": "B", "content": "x = 1", "meta": {}});
    let fresh = json!({"id": "calm", "name": "C", "content": source("calm"), "meta": {}});
    let refused = management
        .post_all("import", &json!([changed, broken, fresh]))
        .await
        .expect(400);
    let refused = refused.json();
    assert_eq!(
        refused["errors"],
        json!({"broken": "No Function class found in the module"})
    );
    assert!(refused["detail"].as_str().unwrap().contains("`broken`"));
    assert_eq!(content(&gateway.user()).await, "echo: hi mark");
    assert_eq!(management.get("calm", "").await.status, 404);
    let placed = management
        .post_all("import", &json!([changed, fresh]))
        .await
        .expect(200);
    let states: Vec<(Value, Value)> = placed
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|function| (function["id"].clone(), function["is_active"].clone()))
        .collect();
    assert_eq!(
        states,
        [(json!("calm"), json!(false)), (json!("mark"), json!(true))]
    );
    assert_eq!(content(&gateway.user()).await, "echo: hi imported");
    // Code that is as before is no new version.
    assert_eq!(versions(&gateway, "mark").await.len(), 1);
}

#[tokio::test]
async fn an_export_moves_to_another_gateway() {
    let upstream = FakeUpstream::echo().await;
    let first = gateway_with(&upstream).await;
    first
        .management()
        .install_filter("mark", &source("mark"))
        .await;
    let valves = json!({"mark": "moved"});
    let management = first.management();
    management.set_valves("mark", &valves).await.expect(200);
    let export = management.get_all("export?include_valves=true").await;
    let export = export.expect(200).json();
    let second = gateway_with(&upstream).await;
    second
        .management()
        .install_filter("stamp", &source("stamp"))
        .await;
    let sync = json!({"functions": export});
    let synced = second.management().post_all("sync", &sync).await;
    synced.expect(200);
    assert_eq!(content(&second.user()).await, "echo: hi moved");
    let left = second.management().get_all("list").await.json();
    assert_eq!(left.as_array().unwrap().len(), 1, "{left}");
}

#[tokio::test]
async fn files_are_fetched_from_the_web_only_if_the_operator_wants_it() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream).await;
    let url = json!({"url": "http://127.0.0.1:9/mark.py"});
    let refused = gateway.management().post_all("load/url", &url).await;
    let refused = refused.expect(403).json();
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("functions.load_url")
    );
    let place = upstream.base_url();
    let place = place.trim_start_matches("http://").split('/').next();
    let tables = format!(
        "[functions]\nload_url = true\nload_url_hosts = [{:?}]",
        place.unwrap()
    );
    let gateway = TestGateway::setup().tables(&tables).start().await;
    let management = gateway.management();
    let file = json!({"url": "file:///etc/hostname"});
    management.post_all("load/url", &file).await.expect(422);
    // What is no text is told, and so is that it was asked for: the fake server's list of models is JSON.
    let url = json!({"url": format!("{}/models", upstream.base_url())});
    let fetched = management.post_all("load/url", &url).await;
    let fetched = fetched.expect(200).json();
    assert_eq!(fetched["name"], "models");
    assert!(fetched["content"].as_str().unwrap().contains("echo"));
}

#[tokio::test]
async fn x13_private_addresses_are_fetched_from_only_if_they_are_named() {
    let hidden = Web::saying("secret").await;
    let leading = Web::leading_to(&format!("http://{}/", hidden.place())).await;
    let tables = format!(
        "[functions]\nload_url = true\nload_url_hosts = [\"{}\"]",
        leading.place()
    );
    let gateway = TestGateway::setup().tables(&tables).start().await;
    let port = hidden.port;
    for host in [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
        "100.64.0.1",
    ] {
        let url = json!({"url": format!("http://{host}:{port}/x.py")});
        let answer = gateway.management().post_all("load/url", &url).await;
        let answer = answer.expect(500).text();
        assert!(
            answer.contains("the server is not asked"),
            "{host}: {answer}"
        );
        assert!(answer.contains("load_url_hosts"), "{host}: {answer}");
    }
    // One that is named leads to one that is not.
    let url = json!({"url": format!("http://{}/x.py", leading.place())});
    let answer = gateway.management().post_all("load/url", &url).await;
    let answer = answer.expect(500).text();
    assert!(answer.contains("the server is not asked"), "{answer}");
}
