//! What functions tell of their work while a request lives: status, citations, notifications.
//!
//! A client that asks for them gets them within the stream; for everybody else they are kept for a while, by the
//! request's id (ruling R22).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::HeaderMap;
use serde_json::{Value, json};

use crate::registry::FunctionId;
use crate::telemetry::metrics;
use crate::wire::sse;

/// The header by which a client asks for events; its value is `inline`.
const HEADER: &str = "x-sluicegate-events";

/// Events kept of one request; what comes after is counted only.
const MAX_EVENTS: usize = 256;

/// Bytes of events kept of one request.
const MAX_BYTES: usize = 64 * 1024;

/// Bytes of events that may wait for a slow client.
const MAX_UNSENT_BYTES: usize = 1024 * 1024;

/// Requests whose events are kept.
const KEPT_REQUESTS: usize = 256;

/// Whether a client asks for events by a header.
pub(super) fn are_wanted(headers: &HeaderMap) -> bool {
    headers
        .get(HEADER)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"inline"))
}

/// The events of one request.
#[derive(Debug)]
pub struct Events {
    request_id: Arc<str>,
    user_id: String,
    is_inline: bool,
    logs: EventLogs,
    state: Mutex<State>,
    arrived: AtomicWaker,
}

#[derive(Debug, Default)]
struct State {
    kept: Vec<(FunctionId, Bytes)>,
    kept_bytes: usize,
    dropped: u64,
    unsent: VecDeque<Bytes>,
    unsent_bytes: usize,
    is_over: bool,
}

impl Events {
    /// No events yet; `is_inline` says whether they go to the client.
    #[must_use]
    pub fn new(
        logs: EventLogs,
        request_id: &Arc<str>,
        user_id: &str,
        is_inline: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            request_id: Arc::clone(request_id),
            user_id: user_id.to_owned(),
            is_inline,
            logs,
            state: Mutex::default(),
            arrived: AtomicWaker::new(),
        })
    }

    /// Takes an event of function `emitter`, any JSON. Neither fails nor waits.
    pub fn take(self: &Arc<Self>, emitter: &FunctionId, event: &Bytes) {
        metrics::event_emitted();
        let mut state = self.lock();
        let is_first = state.kept.is_empty() && state.dropped == 0;
        if state.kept.len() < MAX_EVENTS && state.kept_bytes + event.len() <= MAX_BYTES {
            state.kept_bytes += event.len();
            state.kept.push((emitter.clone(), event.clone()));
        } else {
            state.dropped += 1;
        }
        let is_object = event.first() == Some(&b'{');
        if self.is_inline
            && !state.is_over
            && is_object
            && state.unsent_bytes + event.len() <= MAX_UNSENT_BYTES
        {
            state.unsent_bytes += event.len();
            let data = [b"{\"event\":", &event[..], b"}"].concat();
            state.unsent.push_back(sse::encode_data(&data));
            self.arrived.wake();
        }
        drop(state);
        if is_first {
            self.logs.keep(Arc::clone(self));
        }
    }

    /// Whether they go to the client.
    #[must_use]
    pub fn are_inline(&self) -> bool {
        self.is_inline
    }

    /// The next event for the client, as it goes into the stream.
    #[must_use]
    pub fn next_unsent(&self) -> Option<Bytes> {
        let mut state = self.lock();
        let event = state.unsent.pop_front();
        if state.unsent.is_empty() {
            state.unsent_bytes = 0;
        }
        event
    }

    /// Lets go of what the client has not taken: it wants nothing any more.
    pub fn hush(&self) {
        let mut state = self.lock();
        state.is_over = true;
        state.unsent = VecDeque::new();
        state.unsent_bytes = 0;
    }

    /// Wakes `waker` when the next event for the client arrives; only the last waker given is kept.
    pub fn wake_on_arrival(&self, waker: &Waker) {
        self.arrived.register(waker);
    }

    /// Resolves when there is an event for the client; never for a client that did not ask. Cancel safe.
    pub async fn arrival(&self) {
        std::future::poll_fn(|context| {
            self.wake_on_arrival(context.waker());
            match self.lock().unsent.is_empty() {
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        })
        .await;
    }

    /// Held for a few operations on memory.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no code that holds this lock panics")
    }

    fn to_json(&self) -> Value {
        let state = self.lock();
        let kept = state.kept.iter().map(|(function, event)| {
            let event: Value = serde_json::from_slice(event).unwrap_or_default();
            json!({"function": function.as_str(), "event": event})
        });
        json!({
            "request_id": &*self.request_id,
            "events": kept.collect::<Vec<Value>>(),
            "dropped": state.dropped,
        })
    }
}

/// The events of the newest requests that had any. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct EventLogs(Arc<Mutex<VecDeque<Arc<Events>>>>);

impl EventLogs {
    fn keep(&self, events: Arc<Events>) {
        let mut kept = self.lock();
        if kept.len() == KEPT_REQUESTS {
            kept.pop_front();
        }
        kept.push_back(events);
    }

    /// The events of a request; `user_id` is whose request it must be, `None` for an administrator's look.
    #[must_use]
    pub fn read(&self, request_id: &str, user_id: Option<&str>) -> Option<Value> {
        let events = self.lock().iter().rev().find_map(|events| {
            let may_see = user_id.is_none_or(|user| user == events.user_id);
            (*events.request_id == *request_id && may_see).then(|| Arc::clone(events))
        })?;
        Some(events.to_json())
    }

    /// Held for operations on the list only.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Events>>> {
        self.0.lock().expect("no code that holds this lock panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emitter() -> FunctionId {
        FunctionId::parse("status").unwrap()
    }

    fn events(logs: &EventLogs, id: &str, is_inline: bool) -> Arc<Events> {
        Events::new(logs.clone(), &Arc::from(id), "ada", is_inline)
    }

    #[tokio::test]
    async fn events_go_to_clients_that_ask_in_order() {
        let events = events(&EventLogs::default(), "r", true);
        events.take(&emitter(), &Bytes::from_static(br#"{"type":"status"}"#));
        events.take(&emitter(), &Bytes::from_static(b"[1]"));
        events.take(&emitter(), &Bytes::from_static(br#"{"type":"files"}"#));
        events.arrival().await;
        let first = events.next_unsent().unwrap();
        assert_eq!(&first[..], b"data: {\"event\":{\"type\":\"status\"}}\n\n");
        assert!(
            events
                .next_unsent()
                .unwrap()
                .windows(5)
                .any(|w| w == b"files")
        );
        assert_eq!(events.next_unsent(), None);
    }

    #[test]
    fn logs_show_a_request_to_its_user_and_to_administrators() {
        let logs = EventLogs::default();
        events(&logs, "r", false).take(&emitter(), &Bytes::from_static(b"{\"type\":\"status\"}"));
        let seen = logs.read("r", Some("ada")).unwrap();
        assert_eq!(seen["events"][0]["function"], "status");
        assert_eq!(logs.read("r", None), Some(seen));
        assert_eq!(logs.read("r", Some("bob")), None);
        assert_eq!(logs.read("other", None), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let logs = EventLogs::default();
        let many = events(&logs, "many", true);
        for _ in 0..MAX_EVENTS + 3 {
            many.take(&emitter(), &Bytes::from_static(b"{}"));
        }
        let seen = logs.read("many", None).unwrap();
        assert_eq!(seen["events"].as_array().unwrap().len(), MAX_EVENTS);
        assert_eq!(seen["dropped"], 3);
        for number in 0..KEPT_REQUESTS {
            events(&logs, &number.to_string(), false).take(&emitter(), &Bytes::from_static(b"{}"));
        }
        assert_eq!(logs.read("many", None), None);
    }
}
