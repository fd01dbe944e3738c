//! What the filters in Rust make of texts, whole and in pieces, by themselves.

mod kinds;
mod redacting;
mod streams;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Filter, Kind, Refusal, Session, User};
use crate::wire::json::Tape;

fn values(values: Value) -> Map<String, Value> {
    match values {
        Value::Object(values) => values,
        other => panic!("{other} is no object"),
    }
}

fn filter(kind: &str, valves: &Value) -> Arc<dyn Filter> {
    let kind = Kind::find(kind).unwrap();
    kind.filter(valves.to_string().as_bytes()).unwrap()
}

fn session(kind: &str, valves: &Value) -> Session {
    Session::new(filter(kind, valves), Arc::new(user("user")), None)
}

fn user(role: &str) -> User {
    User {
        id: "u1".to_owned(),
        name: "Ann".to_owned(),
        email: "ann@example.com".to_owned(),
        role: role.to_owned(),
        // Saturday, 2026-01-31 18:05 UTC
        now: 1_769_882_700,
    }
}

fn bytes(json: &Value) -> Bytes {
    json.to_string().into()
}

fn parsed(json: &Bytes) -> Value {
    serde_json::from_slice(json).unwrap()
}

/// What a filter makes of an event, the same one if that stays as it is.
fn event(session: &mut Session, event: &Value) -> Result<Value, Refusal> {
    let changed = session.event(&Tape::parse(bytes(event)).unwrap())?;
    Ok(changed.map_or_else(|| event.clone(), |event| parsed(&event)))
}

/// What a filter makes of a request.
fn inlet(session: &Session, body: &Value) -> Result<Value, Refusal> {
    session.inlet(&bytes(body)).map(|body| parsed(&body))
}

/// A request with these messages, each a role and a content.
fn request(messages: &[(&str, Value)]) -> Value {
    let messages = messages.iter();
    let messages = messages.map(|(role, content)| json!({"role": role, "content": content}));
    json!({"model": "m", "messages": messages.collect::<Vec<_>>()})
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}
