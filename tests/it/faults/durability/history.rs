//! G06: clients read, write and swap while the gateway is killed and started again; the history of each key is checked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::Method;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::checker::{Operation, What, check};
use crate::PATIENCE;
use crate::faults::rig::Random;
use crate::support::{
    ADMIN_KEY, Answer, Client, Lost, Setup, TestGateway, say, source_with, within,
};

/// How often the gateway is killed; this variable says otherwise.
const KILLS: usize = 4;
const VARIABLE: &str = "SLUICEGATE_HISTORY_KILLS";
const CLIENTS: usize = 4;
/// How many operations there are between two kills: so many, and fewer than twice as many.
const BETWEEN: usize = 12;

/// A register: something that the management can read and change as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Valves,
    Code,
    Preset,
}

const KEYS: &[Key] = &[Key::Valves, Key::Code, Key::Preset];

impl Key {
    fn path(self) -> &'static str {
        match self {
            Self::Valves => "/api/v1/functions/id/valves_/valves",
            Self::Code => "/api/v1/functions/id/code_",
            Self::Preset => "/api/v1/models/model?id=p",
        }
    }

    fn path_of_update(self) -> &'static str {
        match self {
            Self::Valves => "/api/v1/functions/id/valves_/valves/update",
            Self::Code => "/api/v1/functions/id/code_/update",
            Self::Preset => "/api/v1/models/model/update",
        }
    }

    fn form(self, value: u64) -> Value {
        match self {
            Self::Valves => json!({"number": value}),
            Self::Code => function("code_", value),
            Self::Preset => preset(value),
        }
    }

    fn value_in(self, answer: &Answer) -> u64 {
        let json = answer.json();
        match self {
            Self::Valves => json["number"].as_u64().unwrap_or_default(),
            Self::Code => {
                let mut lines = json["content"].as_str().unwrap().lines();
                let value = lines.find_map(|line| line.strip_prefix("CODE = "));
                value.unwrap().parse().unwrap()
            }
            Self::Preset => json["meta"]["value"].as_u64().unwrap(),
        }
    }
}

fn function(id: &str, value: u64) -> Value {
    let code = source_with("stamp", &[("CODE", &value.to_string())]);
    json!({"id": id, "name": id, "content": code, "meta": {}})
}

fn preset(value: u64) -> Value {
    json!({"id": "p", "name": "P", "base_model_id": "b", "params": {}, "meta": {"value": value}})
}

/// What all clients and the one who kills share.
struct Shared {
    clock: AtomicUsize,
    values: AtomicUsize,
    histories: Mutex<Vec<(Key, Operation)>>,
    happened: Notify,
    address: watch::Receiver<Option<Client>>,
}

impl Shared {
    fn now(&self) -> usize {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn keep(&self, key: Key, operation: Operation) {
        self.histories.lock().unwrap().push((key, operation));
        self.happened.notify_one();
    }

    fn count(&self) -> usize {
        self.histories.lock().unwrap().len()
    }
}

/// Does one thing after the other until there is no gateway any more.
async fn live(shared: Arc<Shared>, client: usize) {
    let mut random = Random::from(client + 1);
    let mut address = shared.address.clone();
    let mut seen: Vec<Option<(u64, String)>> = vec![None; KEYS.len()];
    loop {
        let Some(gateway) = address.borrow_and_update().clone() else {
            return;
        };
        let at = random.below(KEYS.len());
        let known = match random.below(4) {
            0 => Turn::Read,
            1 => Turn::Write,
            _ => seen[at]
                .take()
                .map_or(Turn::Read, |(value, tag)| Turn::Swap(value, tag)),
        };
        let (is_reached, read) = take(&shared, &gateway, client, KEYS[at], known).await;
        seen[at] = read.or(seen[at].take());
        if !is_reached {
            // Killed: the next one tells where it is. An error says that there is none.
            let _ = within(PATIENCE, "the next gateway", address.changed()).await;
        }
    }
}

/// What a client does next.
enum Turn {
    Read,
    Write,
    Swap(u64, String),
}

/// Does it and notes it: whether there was a gateway, and what was read.
async fn take(
    shared: &Shared,
    gateway: &Client,
    client: usize,
    key: Key,
    turn: Turn,
) -> (bool, Option<(u64, String)>) {
    let new = shared.values.fetch_add(1, Ordering::SeqCst) as u64;
    let began = shared.now();
    let answer = match &turn {
        Turn::Read => {
            gateway
                .attempt(Method::GET, key.path(), Default::default())
                .await
        }
        Turn::Write => write(gateway, key, new).await,
        Turn::Swap(_, tag) => write(&gateway.clone().with("if-match", tag), key, new).await,
    };
    let is_reached = answer.is_ok();
    let ended = is_reached.then(|| shared.now());
    let what = match (&turn, &answer) {
        (_, Err(Lost::Unsent)) | (Turn::Read, Err(_)) => return (is_reached, None),
        (Turn::Read, Ok(answer)) => {
            assert_eq!(answer.status, 200, "{}", answer.text());
            What::Read(key.value_in(answer))
        }
        (Turn::Write, _) => What::Write(new),
        (Turn::Swap(from, _), answer) => What::Swap {
            from: *from,
            to: new,
            is_done: answer.as_ref().map_or(true, |answer| answer.status != 412),
        },
    };
    if let Ok(answer) = &answer {
        let is_told = answer.status == 200 || answer.status == 412;
        assert!(is_told, "{key:?} {what:?}: {}", answer.text());
    }
    shared.keep(
        key,
        Operation {
            client,
            began,
            ended,
            what,
        },
    );
    let read = answer.ok().filter(|answer| answer.status == 200);
    let read = read.map(|answer| (key.value_in(&answer), answer.header("etag").to_owned()));
    (is_reached, read.filter(|_| matches!(turn, Turn::Read)))
}

async fn write(client: &Client, key: Key, value: u64) -> Result<Answer, Lost> {
    let client = client.clone().with("content-type", "application/json");
    let body = key.form(value).to_string();
    client
        .attempt(Method::POST, key.path_of_update(), body.into())
        .await
}

fn setup() -> Setup {
    TestGateway::setup().python()
}

async fn prepare(gateway: &TestGateway) {
    let create = "/api/v1/functions/create";
    for id in ["valves_", "code_"] {
        gateway
            .admin()
            .post(create, &function(id, 0))
            .await
            .expect(200);
    }
    let created = "/api/v1/models/create";
    gateway.admin().post(created, &preset(0)).await.expect(200);
}

#[tokio::test]
async fn g06_what_clients_saw_over_kills_can_be_explained() {
    let kills = std::env::var(VARIABLE)
        .ok()
        .and_then(|text| text.parse().ok());
    let kills: usize = kills.unwrap_or(KILLS);
    let mut gateway = setup().start().await;
    prepare(&gateway).await;
    let client_of = |gateway: &TestGateway| Client::new(gateway.address).with_key(ADMIN_KEY);
    let (tell, address) = watch::channel(Some(client_of(&gateway)));
    let shared = Arc::new(Shared {
        clock: AtomicUsize::new(0),
        values: AtomicUsize::new(1),
        histories: Mutex::default(),
        happened: Notify::new(),
        address,
    });
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(live(Arc::clone(&shared), client));
    }
    let mut random = Random::seeded();
    for round in 0..=kills {
        let until = shared.count() + BETWEEN + random.below(BETWEEN);
        while shared.count() < until {
            within(PATIENCE, "the next operation", shared.happened.notified()).await;
        }
        if round < kills {
            gateway.kill().await;
            gateway = setup().home_of(&gateway).start().await;
            tell.send_replace(Some(client_of(&gateway)));
        }
    }
    tell.send_replace(None);
    clients.join_all().await;
    let histories = std::mem::take(&mut *shared.histories.lock().unwrap());
    let lost = histories
        .iter()
        .filter(|(_, it)| it.ended.is_none())
        .count();
    let count = histories.len();
    for key in KEYS {
        let of_key = histories.iter().filter(|(of, _)| of == key);
        let history: Vec<Operation> = of_key.map(|(_, operation)| *operation).collect();
        check(&history, 0).unwrap_or_else(|error| panic!("{key:?}: {error}"));
    }
    say(&format!(
        "faults: g06: {count} operations over {kills} kills, {lost} never answered"
    ));
}
