//! G09: ten thousand functions, some of them large, and a thousand models: starting and serving cost what is used.

use std::fmt::Write;

use serde_json::json;

use super::tamper;
use crate::support::{FakeUpstream, Setup, TestGateway, chat, say, source};

const FUNCTIONS: usize = 10_000;
/// Every so manieth has 1 MB of code.
const LARGE: usize = 500;
const MODELS: usize = 1_000;
/// Requests whose work is compared.
const REQUESTS: usize = 100;
/// Hundredths of a second that each may take. Code that is not optimized was seen to need 70, 25 and 12; with a look at
/// every filter for every model the last would be 51.
const START: u64 = 300;
const LIST: u64 = if cfg!(debug_assertions) { 60 } else { 10 };
const LISTED_MODELS: u64 = 30;

fn setup(upstream: &FakeUpstream) -> Setup {
    TestGateway::setup()
        .python()
        .settings("threads = 1")
        .upstream("fake", &upstream.base_url())
}

/// Copies of one function, all active and none for any model, and copies of one model.
fn multiply(gateway: &TestGateway) {
    let mut sql = String::from("BEGIN;");
    for number in 0..FUNCTIONS {
        let padding = if number % LARGE == 0 { 1_000_000 } else { 0 };
        write!(
            sql,
            "INSERT INTO functions SELECT 'copy_{number}', user_id, 'Copy {number}', kind, content || printf('%*s', {padding}, ''),
                meta, valves, 1, 0, 'version-{number}', learnt, created_at, updated_at FROM functions WHERE id = 'mark';"
        )
        .unwrap();
    }
    for number in 0..MODELS {
        write!(
            sql,
            "INSERT INTO models SELECT 'preset-{number}', user_id, base_model_id, 'Preset {number}', params, meta,
                access_grants, 1, created_at, updated_at FROM models WHERE id = 'preset';"
        )
        .unwrap();
    }
    tamper(gateway, &(sql + "COMMIT;"));
}

/// Hundredths of a second that the gateway works for this.
async fn work(gateway: &TestGateway, task: impl AsyncFn()) -> u64 {
    let before = gateway.process().cpu_ticks();
    task().await;
    gateway.process().cpu_ticks() - before
}

#[tokio::test]
async fn g09_ten_thousand_functions_cost_little_until_they_are_used() {
    let upstream = FakeUpstream::echo().await;
    let mut gateway = setup(&upstream).start().await;
    let chats = async |gateway: &TestGateway| {
        let client = gateway.user();
        for _ in 0..REQUESTS {
            client.chat(&chat("echo", "hi")).await.expect(200);
        }
    };
    chats(&gateway).await;
    let alone = work(&gateway, async || chats(&gateway).await).await;
    gateway.management().install("mark", &source("mark")).await;
    let form = json!({"id": "preset", "name": "P", "base_model_id": "echo", "params": {}, "meta": {}, "access_grants": null});
    let created = gateway.admin().post("/api/v1/models/create", &form).await;
    created.expect(200);
    gateway.kill().await;
    multiply(&gateway);
    gateway = setup(&upstream).home_of(&gateway).start().await;
    let start = gateway.process().cpu_ticks();
    let rss = gateway.process().rss_kib() / 1024;
    let list = work(&gateway, async || {
        for _ in 0..4 {
            gateway.management().get_all("").await.expect(200);
        }
    });
    let list = list.await / 4;
    let models = work(&gateway, async || {
        let models = gateway.user().get("/api/models").await.expect(200).json();
        assert!(models["data"].as_array().unwrap().len() > MODELS);
    });
    let models = models.await;
    chats(&gateway).await;
    let among_many = work(&gateway, async || chats(&gateway).await).await;
    say(&format!(
        "faults: g09: {FUNCTIONS} functions and {MODELS} models: started in {start}0 ms of work and {rss} MiB, listed in {list}0 ms, \
         models in {models}0 ms; {REQUESTS} requests took {among_many}0 ms, {alone}0 ms alone"
    ));
    assert_eq!(gateway.process().descendants(), [], "no function was used");
    assert!(start < START, "{start}0 ms to start");
    assert!(list < LIST, "{list}0 ms for the list");
    assert!(models < LISTED_MODELS, "{models}0 ms for the models");
    // A tick or two are a matter of chance.
    assert!(
        among_many <= alone * 3 / 2 + 3,
        "{among_many}0 ms, {alone}0 ms alone"
    );
    assert!(rss < 512, "{rss} MiB");
    // One of them is used after all.
    let form = json!({"id": "preset", "name": "P", "base_model_id": "echo", "params": {}, "meta": {"filterIds": ["copy_500"]}, "access_grants": null});
    let updated = gateway
        .admin()
        .post("/api/v1/models/model/update", &form)
        .await;
    updated.expect(200);
    let answer = gateway.user().chat(&chat("preset", "hi")).await.expect(200);
    assert_eq!(answer.content(), "echo: hi mark");
}
