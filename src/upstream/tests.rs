//! The module against real sockets: a scripted server on the other side, every wait on an event.

mod catalog;
mod chats;
mod fake;
mod faults;
mod ollama;
mod pool;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::timeout;

use super::{Answer, Contract, Directory, Outgoing, Reply, StreamAnswer, Target, Upstreams};
use crate::config::{Affinity, Secret, UpstreamConfig, UpstreamKind, UpstreamSettings};
use crate::error::{Error, Result};
use crate::wire::json::Document;

/// So long that it never decides a test that passes.
const LONG: Duration = Duration::from_secs(20);

fn settings() -> UpstreamSettings {
    UpstreamSettings {
        connect: LONG,
        head: LONG,
        idle: LONG,
        ca_file: None,
        health: Duration::ZERO,
        eject_failures: 2,
        eject: LONG,
    }
}

fn config<'a>(name: &str, base_urls: impl IntoIterator<Item = &'a String>) -> UpstreamConfig {
    UpstreamConfig {
        name: name.to_owned(),
        kind: UpstreamKind::OpenAi,
        base_urls: base_urls.into_iter().cloned().collect(),
        api_key: Some(Secret::new("sk-canary")),
        prefix: String::new(),
        models: Vec::new(),
        headers: Vec::new(),
        affinity: Affinity::None,
        max_in_flight: 0,
        filters: Default::default(),
    }
}

fn directory(configs: &[UpstreamConfig]) -> Arc<Directory> {
    Arc::new(Directory::build(configs, &settings()).unwrap())
}

/// The only upstream, a group of `base_urls`.
fn upstreams<'a>(base_urls: impl IntoIterator<Item = &'a String>) -> Upstreams {
    Upstreams::new(directory(&[config("pool", base_urls)]))
}

fn with_settings(base_url: &String, change: impl Fn(&mut UpstreamSettings)) -> Upstreams {
    let mut settings = settings();
    change(&mut settings);
    let configs = [config("pool", [base_url])];
    Upstreams::new(Arc::new(Directory::build(&configs, &settings).unwrap()))
}

fn target(model: &str) -> Target {
    Target {
        upstream: 0,
        model: model.to_owned(),
    }
}

fn document(text: &str) -> Document {
    Document::parse(Bytes::from(text.to_owned())).unwrap()
}

fn headers(lines: &str) -> HeaderMap {
    let pair = |line: &str| {
        let (name, value) = line.trim().split_once(": ").unwrap();
        let value = HeaderValue::try_from(value).unwrap();
        (HeaderName::try_from(name).unwrap(), value)
    };
    lines.trim().lines().map(pair).collect()
}

/// What is sent unless a test says otherwise.
struct Request {
    body: &'static str,
    headers: HeaderMap,
    contract: Contract,
    conversation: Option<u64>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            body: r#"{"model":"m","messages":[]}"#,
            headers: HeaderMap::new(),
            contract: Contract::OpenAi,
            conversation: None,
        }
    }
}

impl Request {
    fn streamed() -> Self {
        Self {
            body: r#"{"model":"m","stream":true,"messages":[]}"#,
            ..Self::default()
        }
    }

    fn on(contract: Contract) -> Self {
        Self {
            contract,
            ..Self::default()
        }
    }

    async fn send(&self, upstreams: &Upstreams, model: &str) -> Result<Reply> {
        let document = document(self.body);
        let outgoing = Outgoing {
            document: &document,
            stream: document.boolean("stream") == Some(true),
            headers: &self.headers,
            contract: self.contract,
            conversation: self.conversation,
            request_id: "1",
            created: 5,
        };
        timeout(LONG, upstreams.send(&target(model), &outgoing))
            .await
            .expect("the upstream is not waited for without end")
    }

    async fn whole(&self, upstreams: &Upstreams) -> Answer {
        match self.send(upstreams, "m").await.unwrap() {
            Reply::Whole(answer) => answer,
            Reply::Stream(_) => panic!("a stream came"),
        }
    }

    async fn stream(&self, upstreams: &Upstreams) -> StreamAnswer {
        match self.send(upstreams, "m").await.unwrap() {
            Reply::Stream(answer) => answer,
            Reply::Whole(_) => panic!("a whole answer came"),
        }
    }

    async fn error(&self, upstreams: &Upstreams) -> Error {
        self.send(upstreams, "m").await.unwrap_err()
    }
}

/// Everything up to the end, and how it ended.
async fn drain(answer: StreamAnswer) -> (String, Result<()>) {
    let mut body = answer.body;
    let mut all = Vec::new();
    while let Some(piece) = timeout(LONG, body.next()).await.unwrap() {
        match piece {
            Ok(piece) => all.extend_from_slice(&piece),
            Err(error) => return (String::from_utf8(all).unwrap(), Err(error)),
        }
    }
    (String::from_utf8(all).unwrap(), Ok(()))
}
