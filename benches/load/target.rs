//! Whom clients ask, and the bytes that they send.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::generator::{Answers, Load};

/// Found by whoever redacts, and by nobody else.
const ADDRESS: &str = "ann@example.com ";
const FILLER: &str = "a word ";

/// Where OpenAI takes chats.
pub(crate) const CHATS: &str = "/v1/chat/completions";

/// Whom the clients ask, and how.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    /// Where it takes chats.
    pub(crate) path: &'static str,
    /// The key that it wants.
    pub(crate) key: Option<String>,
    /// The model.
    pub(crate) model: &'static str,
}

impl Target {
    /// One that takes chats where OpenAI does, of everybody.
    pub(crate) fn open(addr: SocketAddr, model: &'static str) -> Self {
        Self {
            addr,
            path: CHATS,
            key: None,
            model,
        }
    }

    /// A request of `load`.
    pub(crate) fn request(&self, load: &Load) -> Arc<[u8]> {
        let body = body(self.model, load.request_bytes, load.answers);
        let Self { addr, path, .. } = self;
        let key = self.key.as_ref();
        let key = key.map_or_else(String::new, |key| {
            format!("authorization: Bearer {key}\r\n")
        });
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {addr}\r\ncontent-type: application/json\r\n\
             accept: */*\r\nuser-agent: bench\r\n{key}content-length: {}\r\n\r\n",
            body.len()
        );
        Arc::from([head, body].concat().into_bytes())
    }
}

/// The body of a request, about so long.
pub(crate) fn body(model: &str, bytes: usize, answers: Answers) -> String {
    let (is_stream, wish) = match answers {
        Answers::Whole => (false, String::new()),
        Answers::Events(wish) => (true, wish.to_string()),
    };
    let before = format!(
        r#"{{"model":"{model}","stream":{is_stream},"temperature":0.7,"messages":[{{"role":"user","content":"{wish}{ADDRESS}"#
    );
    let after = r#""}]}"#;
    let room = bytes.saturating_sub(before.len() + after.len());
    let filler = FILLER.repeat(room / FILLER.len());
    [&before, &filler, after].concat()
}
