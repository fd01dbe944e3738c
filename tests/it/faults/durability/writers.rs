//! G05: many writers at once, each of which reads, changes and writes: no change is lost.

use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::faults::rig::Rig;
use crate::support::{Answer, Client, FakeUpstream, TestGateway, source, source_with};

/// How many write at once.
const WRITERS: usize = 32;
/// Changes that each of them makes.
const CHANGES: usize = 2;

const FUNCTIONS: &str = "/api/v1/functions";
const MODELS: &str = "/api/v1/models";
const TOOLS: &str = "/api/v1/tools";

fn tag(answer: &Answer) -> String {
    let tag = answer.header("etag").to_owned();
    assert!(tag.len() > 2 && tag.starts_with('"'), "{tag:?}");
    tag
}

/// Reads, changes and writes until nobody came between; how often somebody did.
async fn change(client: &Client, read: &str, write: &str, change: impl Fn(&mut Value)) -> usize {
    let mut lost = 0;
    loop {
        let answer = client.get(read).await.expect(200);
        let mut value = answer.json();
        change(&mut value);
        let conditional = client.clone().with("if-match", &tag(&answer));
        let written = conditional.post(write, &value).await;
        match written.status {
            200 => return lost,
            412 => {
                // The answer says what it is now, which is not what it was.
                assert_ne!(tag(&written), tag(&answer));
                lost += 1;
            }
            _ => panic!("{}: {}", written.status, written.text()),
        }
    }
}

/// Lets every writer make its changes to the thing of its number; how many were refused on the way.
async fn write_all<F, W>(gateway: &TestGateway, writer: F) -> usize
where
    F: Fn(Client, usize) -> W,
    W: Future<Output = usize> + Send + 'static,
{
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        writers.spawn(writer(gateway.admin(), number));
    }
    let mut refused = 0;
    while let Some(writer) = writers.join_next().await {
        refused += writer.unwrap();
    }
    refused
}

fn count_up(value: &mut Value, pointer: &str) {
    let counter = value.pointer_mut(pointer).expect("there is a counter");
    *counter = json!(counter.as_u64().unwrap() + 1);
}

#[tokio::test]
async fn g05_no_valves_are_lost_among_writers_of_the_same_and_of_different_functions() {
    let upstream = FakeUpstream::echo().await;
    let setup = TestGateway::setup()
        .python()
        .function("calm", &source("calm"))
        .tables("[function.calm]\nglobal = false\nmodels = [\"echo\"]");
    let rig = Rig::with(setup, upstream).await;
    let gateway = &rig.gateway;
    let keys = ["stamp", "stamp2", "stamp3"];
    for key in keys {
        let management = gateway.management();
        management.install(key, &source_with("stamp", &[])).await;
        let values = json!({"number": 0});
        management.set_valves(key, &values).await.expect(200);
    }
    let refused = write_all(gateway, |client, number| async move {
        let key = keys[number % keys.len()];
        // Some come through the protocol of the Pipelines server.
        let path = match number % 2 {
            0 => format!("{FUNCTIONS}/id/{key}/valves"),
            _ => format!("/v1/{key}/valves"),
        };
        let mut lost = 0;
        for _ in 0..CHANGES {
            let up = |values: &mut Value| count_up(values, "/number");
            lost += change(&client, &path, &format!("{path}/update"), up).await;
        }
        lost
    });
    assert!(
        refused.await > 0,
        "nobody came between: the test shows nothing"
    );
    let mut total = 0;
    for key in keys {
        let path = format!("{FUNCTIONS}/id/{key}/valves");
        total += gateway.admin().get(&path).await.json()["number"]
            .as_u64()
            .unwrap();
    }
    assert_eq!(total, (WRITERS * CHANGES) as u64);
    rig.leaves_nothing_but_processes("g05").await;
}

#[tokio::test]
async fn g05_no_preset_is_lost_among_writers() {
    let gateway = TestGateway::setup().start().await;
    let admin = gateway.admin();
    let form =
        json!({"id": "p", "name": "P", "base_model_id": "b", "params": {}, "meta": {"count": 0}});
    let create = format!("{MODELS}/create");
    admin.post(&create, &form).await.expect(200);
    let refused = write_all(&gateway, |client, _| async move {
        let mut lost = 0;
        for _ in 0..CHANGES {
            let up = |preset: &mut Value| count_up(preset, "/meta/count");
            let (read, write) = ("/model?id=p", "/model/update");
            lost += change(
                &client,
                &format!("{MODELS}{read}"),
                &format!("{MODELS}{write}"),
                up,
            )
            .await;
        }
        lost
    });
    assert!(
        refused.await > 0,
        "nobody came between: the test shows nothing"
    );
    let preset = admin.get(&format!("{MODELS}/model?id=p")).await.json();
    assert_eq!(preset["meta"]["count"], WRITERS * CHANGES);
    // Who wants to be the first is told that it is not.
    admin
        .clone()
        .with("if-none-match", "*")
        .post(&create, &form)
        .await
        .expect(412);
    admin.post(&create, &form).await.expect(400);
}

#[tokio::test]
async fn g05_one_of_many_toggles_and_deletions_for_one_state_wins() {
    let gateway = TestGateway::setup().python().start().await;
    let management = gateway.management();
    management.create("mark", &source("mark")).await.expect(200);
    let path = format!("{FUNCTIONS}/id/mark");
    let seen = tag(&gateway.admin().get(&path).await);
    let (client, route) = (
        gateway.admin().with("if-match", &seen),
        format!("{path}/toggle/global"),
    );
    let mut answers = JoinSet::new();
    for _ in 0..WRITERS {
        let (client, route) = (client.clone(), route.clone());
        answers.spawn(async move { client.post(&route, &json!({})).await.status });
    }
    let mut statuses = answers.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert!(
        statuses[1..].iter().all(|status| *status == 412),
        "{statuses:?}"
    );
    let delete = async |client: Client| {
        let path = format!("{path}/delete");
        client
            .call(Method::DELETE, &path, Default::default())
            .await
            .status
    };
    assert_eq!(delete(client.clone()).await, 412);
    let now = tag(&gateway.admin().get(&path).await);
    let current = gateway.admin().with("if-match", &now);
    assert_eq!(delete(current.clone()).await, 200);
    assert_eq!(delete(current).await, 412);
    assert_eq!(delete(gateway.admin()).await, 200);
}

/// Every kind of change makes another state; what changes nothing leaves it; it outlives the process.
#[tokio::test]
async fn g05_a_state_changes_with_everything_that_is_shown() {
    let mut gateway = TestGateway::setup().python().start().await;
    let management = gateway.management();
    management
        .create("stamp", &source_with("stamp", &[]))
        .await
        .expect(200);
    let path = format!("{FUNCTIONS}/id/stamp");
    let state = async |gateway: &TestGateway| tag(&gateway.admin().get(&path).await.expect(200));
    let mut seen = vec![state(&gateway).await];
    for (what, body) in [
        ("toggle", json!({})),
        ("toggle/global", json!({})),
        ("valves/update", json!({"number": 1})),
        (
            "update",
            json!({"id": "stamp", "name": "other", "content": source_with("stamp", &[]), "meta": {}}),
        ),
        (
            "update",
            json!({"id": "stamp", "name": "other", "content": source_with("stamp", &[("CODE", "7")]), "meta": {"description": "d"}}),
        ),
    ] {
        let answer = management.post("stamp", what, &body).await.expect(200);
        let now = state(&gateway).await;
        assert_eq!(tag(&answer), now, "{what} answers with the new state");
        assert!(!seen.contains(&now), "{what} makes another state");
        seen.push(now);
    }
    let valves = management.get("stamp", "valves").await;
    assert_eq!(
        Some(&tag(&valves)),
        seen.last(),
        "valves are a part of their function"
    );
    gateway.kill().await;
    gateway = TestGateway::setup()
        .python()
        .home_of(&gateway)
        .start()
        .await;
    assert_eq!(Some(state(&gateway).await), seen.pop());
    let wrong = gateway.admin().with("if-match", "no-quotes");
    let refused = wrong
        .post(&format!("{path}/toggle"), &json!({}))
        .await
        .expect(400);
    assert!(refused.text().contains("If-Match"), "{}", refused.text());
}

#[tokio::test]
async fn g05_tools_and_user_valves_have_states_too() {
    let gateway = TestGateway::setup().python().start().await;
    let code = "from pydantic import BaseModel\n\n\nclass Tools:\n    class Valves(BaseModel):\n        a: int = 0\n\n    class UserValves(BaseModel):\n        b: int = 0\n\n    def __init__(self):\n        self.valves = self.Valves()\n\n    def add(self, a: int) -> int:\n        return a\n";
    let form = json!({"id": "box", "name": "Box", "content": code, "meta": {}, "access_grants": [{"principal_type": "user", "principal_id": "*", "permission": "read"}]});
    let admin = gateway.admin();
    let created = admin
        .post(&format!("{TOOLS}/create"), &form)
        .await
        .expect(200);
    let path = format!("{TOOLS}/id/box");
    assert_eq!(tag(&created), tag(&admin.get(&path).await));
    for (client, what) in [(admin.clone(), "valves"), (gateway.user(), "valves/user")] {
        let read = client.get(&format!("{path}/{what}")).await.expect(200);
        let conditional = client.clone().with("if-match", &tag(&read));
        let update = format!("{path}/{what}/update");
        let values = json!({"a": 1, "b": 1});
        let written = conditional.post(&update, &values).await.expect(200);
        conditional.post(&update, &values).await.expect(412);
        assert_eq!(
            tag(&written),
            tag(&client.get(&format!("{path}/{what}")).await)
        );
    }
    let late = admin.with("if-match", &tag(&created));
    late.post(&format!("{path}/update"), &form)
        .await
        .expect(412);
}

#[tokio::test]
async fn g05_no_model_is_lost_among_writers_of_the_whole_list() {
    let gateway = TestGateway::setup().start().await;
    let refused = write_all(&gateway, |client, number| async move {
        let add = |models: &mut Value| {
            let id = format!("m{number}");
            let model = json!({"id": id, "name": id, "base_model_id": "b"});
            models.as_array_mut().unwrap().push(model);
        };
        let (read, write) = (format!("{MODELS}/export"), format!("{MODELS}/sync"));
        change(&client, &read, &write, |models| {
            // What is synced is the list under its name, what is exported the list alone.
            let list = models.get("models").cloned();
            let mut list = list.unwrap_or_else(|| models.take());
            add(&mut list);
            *models = json!({"models": list});
        })
        .await
    });
    assert!(
        refused.await > 0,
        "nobody came between: the test shows nothing"
    );
    let models = gateway.admin().get(&format!("{MODELS}/export")).await;
    assert_eq!(models.json().as_array().unwrap().len(), WRITERS);
}

#[tokio::test]
async fn g05_lists_are_replaced_only_as_they_were_read() {
    let mut gateway = TestGateway::setup().python().start().await;
    let admin = gateway.admin();
    let model = json!({"id": "p", "name": "P", "base_model_id": "b"});
    let all = format!("{MODELS}/delete/all");
    for root in [FUNCTIONS, MODELS] {
        let export = admin.get(&format!("{root}/export")).await.expect(200);
        let body = match root {
            FUNCTIONS => json!({"functions": export.json()}),
            _ => json!({"models": export.json()}),
        };
        let (sync, import) = (format!("{root}/sync"), format!("{root}/import"));
        let if_match = |tag: &str| admin.clone().with("if-match", tag);
        let synced = if_match(&tag(&export)).post(&sync, &body).await.expect(200);
        assert_eq!(tag(&synced), tag(&export), "{root}: nothing has changed");
        // Somebody adds what the list does not have.
        gateway
            .management()
            .create("mark", &source("mark"))
            .await
            .expect(200);
        let create = format!("{MODELS}/create");
        admin.post(&create, &model).await.expect(200);
        let late = if_match(&tag(&export));
        for route in [&sync, &import] {
            let refused = late.post(route, &body).await.expect(412);
            let now = admin.get(&format!("{root}/export")).await;
            assert_eq!(tag(&refused), tag(&now), "{route} says what it is now");
        }
        late.call(Method::DELETE, &all, Default::default())
            .await
            .expect(412);
        admin.get(&format!("{FUNCTIONS}/id/mark")).await.expect(200);
        admin.get(&format!("{MODELS}/model?id=p")).await.expect(200);
        gateway.management().delete("mark").await.expect(200);
        let models = admin.get(&format!("{MODELS}/export")).await;
        let current = if_match(&tag(&models));
        current
            .call(Method::DELETE, &all, Default::default())
            .await
            .expect(200);
        let again = admin.get(&format!("{root}/export")).await;
        assert_eq!(tag(&again), tag(&export), "{root}: it is what it was");
    }
    let before = tag(&admin.get(&format!("{FUNCTIONS}/list")).await);
    gateway.kill().await;
    let setup = TestGateway::setup().python().home_of(&gateway);
    gateway = setup.start().await;
    let after = gateway.admin().get(&format!("{FUNCTIONS}/export")).await;
    assert_eq!(tag(&after), before, "states outlive the process");
}
