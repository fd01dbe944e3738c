//! A client of the gateway: one connection per request, so that leaving is closing it.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::wait::within;
use crate::PATIENCE;

/// The body of a chat that asks `model` with one message.
pub(crate) fn chat(model: &str, text: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": text}]})
}

/// The same, streamed.
pub(crate) fn streamed_chat(model: &str, text: &str) -> Value {
    let mut body = chat(model, text);
    body["stream"] = json!(true);
    body
}

/// Sends requests with the same headers.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    headers: HeaderMap,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the body came to its end, rather than broke off.
    pub(crate) is_whole: bool,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Nobody took the connection: nothing was asked.
    Unsent,
    /// The gateway ended before it had answered: what was asked may have been done, or not.
    Unanswered,
}

/// An answer whose head has come. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    buffer: Vec<u8>,
    /// Whether the body broke off; known at its end.
    pub(crate) is_broken: bool,
    _connection: Connection,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            headers: HeaderMap::new(),
        }
    }

    /// The same client with one more header.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().unwrap());
        self
    }

    /// The same client with a key.
    pub(crate) fn with_key(self, key: &str) -> Self {
        self.with("authorization", &format!("Bearer {key}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Bytes::new()).await
    }

    /// Posts JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_bytes(path, body.to_string()).await
    }

    /// Posts what need not be JSON, as JSON.
    pub(crate) async fn post_bytes(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        let client = self.clone().with("content-type", "application/json");
        client.call(Method::POST, path, body.into()).await
    }

    /// Posts a chat to `/v1/chat/completions`.
    pub(crate) async fn chat(&self, body: &Value) -> Answer {
        self.post("/v1/chat/completions", body).await
    }

    /// Begins a streamed chat; the head of its answer has come.
    pub(crate) async fn stream(&self, body: &Value) -> Events {
        let client = self.clone().with("content-type", "application/json");
        let path = "/v1/chat/completions";
        client
            .open(Method::POST, path, body.to_string().into())
            .await
    }

    /// Any request; the whole answer.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Bytes) -> Answer {
        self.open(method, path, body).await.collect().await
    }

    /// Any request to a gateway that may end meanwhile.
    pub(crate) async fn attempt(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Answer, Lost> {
        let stream = TcpStream::connect(self.address).await;
        let stream = stream.map_err(|_| Lost::Unsent)?;
        let answer = self.open_on(stream, method, path, body).await;
        let answer = answer.map_err(|_| Lost::Unanswered)?.collect().await;
        answer.is_whole.then_some(answer).ok_or(Lost::Unanswered)
    }

    /// Any request; the head of the answer has come.
    pub(crate) async fn open(&self, method: Method, path: &str, body: Bytes) -> Events {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let events = self.open_on(stream, method, path, body).await;
        events.expect("the gateway answers")
    }

    async fn open_on(
        &self,
        stream: TcpStream,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> hyper::Result<Events> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = Connection(tokio::spawn(async move { drop(connection.await) }));
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        *request.headers_mut() = self.headers.clone();
        let host = self.address.to_string().parse().unwrap();
        request.headers_mut().insert(header::HOST, host);
        let what = format!("the head of the answer to {path}");
        let response = within(PATIENCE, &what, sender.send_request(request)).await;
        let (head, body) = response?.into_parts();
        Ok(Events {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            buffer: Vec::new(),
            is_broken: false,
            _connection: connection,
        })
    }

    /// Sends a chat and does not wait for its answer. Dropping the socket is leaving.
    pub(crate) async fn send_chat(&self, body: &Value) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let body = body.to_string();
        let mut head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: {}\r\n",
            self.address
        );
        for (name, value) in &self.headers {
            head += &format!("{name}: {}\r\n", value.to_str().unwrap());
        }
        head += &format!(
            "content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        stream
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value, empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The text of the first choice.
    pub(crate) fn content(&self) -> String {
        let json = self.json();
        let content = json["choices"][0]["message"]["content"].as_str();
        content
            .unwrap_or_else(|| panic!("no content: {json}"))
            .to_owned()
    }

    /// The text of a stream that ended with the end marker.
    pub(crate) fn streamed_content(&self) -> String {
        let mut events = self.events();
        assert_eq!(events.pop().as_deref(), Some("[DONE]"), "{}", self.text());
        let content = |event: &String| {
            let event: Value = serde_json::from_str(event).unwrap();
            let content = event["choices"][0]["delta"]["content"].as_str();
            content.unwrap_or_default().to_owned()
        };
        events.iter().map(content).collect()
    }

    /// The answer itself, if it is of this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The `data` of each event of a stream.
    pub(crate) fn events(&self) -> Vec<String> {
        self.text().split("\n\n").filter_map(data_of).collect()
    }
}

impl Events {
    /// The `data` of the next event, `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(event) = self.take_event() {
                match data_of(&event) {
                    Some(data) => return Some(data),
                    None => continue,
                }
            }
            let piece = within(PATIENCE, "the next piece of a stream", self.piece()).await?;
            self.buffer.extend_from_slice(&piece);
        }
    }

    /// The `data` of every event that is still to come.
    pub(crate) async fn rest(&mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Some(data) = self.next().await {
            rest.push(data);
        }
        rest
    }

    /// The whole body.
    pub(crate) async fn collect(mut self) -> Answer {
        let mut body = Vec::new();
        while let Some(piece) = within(PATIENCE, "the rest of an answer", self.piece()).await {
            body.extend_from_slice(&piece);
        }
        Answer {
            status: self.status,
            headers: self.headers,
            body: body.into(),
            is_whole: !self.is_broken,
        }
    }

    async fn piece(&mut self) -> Option<Bytes> {
        loop {
            match self.body.frame().await? {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => return Some(data),
                    Err(_) => continue,
                },
                Err(_) => {
                    self.is_broken = true;
                    return None;
                }
            }
        }
    }

    fn take_event(&mut self) -> Option<String> {
        let end = self.buffer.windows(2).position(|two| two == b"\n\n")?;
        let event = self.buffer.drain(..end + 2).collect();
        Some(String::from_utf8(event).unwrap())
    }
}

fn data_of(event: &str) -> Option<String> {
    let mut lines = event.lines().filter_map(|line| line.strip_prefix("data:"));
    lines.next().map(|data| data.trim_start().to_owned())
}

/// The task that drives a connection; dropping it closes the connection.
#[derive(Debug)]
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}
