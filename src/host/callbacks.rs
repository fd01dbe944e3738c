//! What functions ask of the gateway, and tell it, while they work for a request.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::sync::Notify;

use crate::registry::FunctionId;
use crate::wire::json::Document;

/// The gateway as the functions of one request reach it. Implemented above: a function may ask for anything that a
/// caller may, another completion included.
pub trait Callbacks: fmt::Debug + Send + Sync {
    /// Answers a question of function `asker`, as JSON.
    fn answer(
        &self,
        asker: &FunctionId,
        question: Question,
    ) -> BoxFuture<'static, Result<Bytes, Refusal>>;

    /// Takes an event that function `emitter` tells: any JSON.
    fn take_event(&self, emitter: &FunctionId, event: Bytes);
}

/// What a function asks for.
#[derive(Clone, Debug)]
pub struct Question {
    /// What it wants done, such as `users.get`.
    pub method: String,
    /// With what: a JSON object.
    pub arguments: Document,
}

impl Question {
    /// The question of a payload, and the request that it belongs to; none where a function is being loaded.
    fn read(payload: Bytes) -> Option<(Option<u32>, Self)> {
        let document = Document::parse(payload).ok()?;
        let request = serde_json::from_slice(&document.raw("request")?).ok()?;
        let question = Self {
            method: document.string("method")?.into_owned(),
            arguments: Document::parse(document.raw("arguments")?).ok()?,
        };
        Some((request, question))
    }
}

/// Why a question is not answered; the function sees an exception.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The text.
    pub message: String,
    /// The HTTP status that goes with it, if one does.
    pub status: Option<u16>,
}

impl Refusal {
    /// A refusal without a status.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            status: None,
        }
    }

    pub(super) fn to_json(&self) -> Bytes {
        let error = json!({
            "type": if self.status.is_some() { "HTTPException" } else { "RuntimeError" },
            "message": self.message,
            "status": self.status,
            "detail": self.status.is_some().then_some(&self.message),
        });
        json!({ "error": error }).to_string().into()
    }
}

/// The gateway where there is none: a function that is tried out alone.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Callbacks for Alone {
    fn answer(
        &self,
        _: &FunctionId,
        question: Question,
    ) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        let refusal = Refusal::new(format!("`{}` is not available here", question.method));
        Box::pin(std::future::ready(Err(refusal)))
    }

    fn take_event(&self, _: &FunctionId, _: Bytes) {}
}

/// Requests that are over whose functions may still ask: tasks outlive the answer.
const REMEMBERED: usize = 64;

/// Who asks, by the id of the request in a worker.
#[derive(Debug, Default)]
pub(super) struct Desks {
    desks: Mutex<Open>,
    are_closed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    by_request: HashMap<u32, Desk>,
    over: VecDeque<u32>,
}

impl Open {
    fn are_all_over(&self) -> bool {
        self.over.len() == self.by_request.len()
    }
}

/// One function's way to the gateway in one request.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) function: FunctionId,
    pub(super) callbacks: Arc<dyn Callbacks>,
}

impl Desks {
    pub(super) fn open(&self, request: u32, desk: Desk) {
        self.lock().by_request.insert(request, desk);
    }

    /// Notes that a request is over; the one that has been over for longest is forgotten.
    pub(super) fn close(&self, request: u32) {
        let mut open = self.lock();
        open.over.push_back(request);
        if open.are_all_over() {
            self.are_closed.notify_waiters();
        }
        if open.over.len() > REMEMBERED
            && let Some(oldest) = open.over.pop_front()
        {
            open.by_request.remove(&oldest);
        }
    }

    /// Resolves once every request that was opened is over. Cancel safe.
    pub(super) async fn closed(&self) {
        loop {
            let are_closed = self.are_closed.notified();
            if self.lock().are_all_over() {
                return;
            }
            are_closed.await;
        }
    }

    /// Hands an event over; one of a request that is forgotten is dropped.
    pub(super) fn take_event(&self, request: u32, event: Bytes) {
        if let Some(desk) = self.find(request) {
            desk.callbacks.take_event(&desk.function, event);
        }
    }

    /// The payload that answers a `Callback` frame's.
    pub(super) fn answer(&self, payload: Bytes) -> BoxFuture<'static, Bytes> {
        let Some((request, question)) = Question::read(payload) else {
            return refused("the question makes no sense");
        };
        let Some(desk) = request.and_then(|request| self.find(request)) else {
            return refused("only code that works for a request can ask the gateway");
        };
        let answer = desk.callbacks.answer(&desk.function, question);
        Box::pin(async move {
            match answer.await {
                Ok(result) => [b"{\"result\":", &result[..], b"}"].concat().into(),
                Err(refusal) => refusal.to_json(),
            }
        })
    }

    fn find(&self, request: u32) -> Option<Desk> {
        self.lock().by_request.get(&request).cloned()
    }

    /// Held for map operations only.
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.desks
            .lock()
            .expect("no code that holds this lock panics")
    }
}

fn refused(why: &str) -> BoxFuture<'static, Bytes> {
    Box::pin(std::future::ready(Refusal::new(why).to_json()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Echo;

    impl Callbacks for Echo {
        fn answer(
            &self,
            asker: &FunctionId,
            question: Question,
        ) -> BoxFuture<'static, Result<Bytes, Refusal>> {
            let text = json!([asker.as_str(), question.method]).to_string();
            Box::pin(std::future::ready(Ok(text.into())))
        }

        fn take_event(&self, _: &FunctionId, _: Bytes) {}
    }

    fn asked(request: u32) -> Bytes {
        json!({"request": request, "method": "users.list", "arguments": {}})
            .to_string()
            .into()
    }

    #[tokio::test]
    async fn requests_that_are_over_may_ask_for_a_while() {
        let desks = Desks::default();
        let desk = Desk {
            function: FunctionId::parse("memory").unwrap(),
            callbacks: Arc::new(Echo),
        };
        for request in 0..=u32::try_from(REMEMBERED).unwrap() {
            desks.open(request, desk.clone());
            desks.close(request);
        }
        let answer = desks.answer(asked(1)).await;
        assert_eq!(&answer[..], br#"{"result":["memory","users.list"]}"#);
        let forgotten = desks.answer(asked(0)).await;
        assert!(forgotten.starts_with(b"{\"error\":"), "{forgotten:?}");
    }

    #[tokio::test]
    async fn questions_without_sense_are_refused() {
        let desks = Desks::default();
        let answer = desks.answer(Bytes::from_static(b"[]")).await;
        assert!(answer.starts_with(b"{\"error\":"), "{answer:?}");
    }
}
