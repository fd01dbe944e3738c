//! A model server that plays scripts: byte for byte, as fast or slow as a test wants, and it notices who leaves.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep};

use super::framing;
use super::ports::listen;
use super::wait::within;
use crate::PATIENCE;

/// The models that it says it has.
const MODELS: &[&str] = &["echo", "calm", "danger"];
/// What the system may hold of a flood.
const FLOOD_BUFFER_BYTES: usize = 64 << 10;

/// One thing that it does on the way through an answer.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Writes bytes.
    Send(Vec<u8>),
    /// Waits until the test opens the gate once more.
    Wait(Gate),
    /// Takes its time, as models do between tokens.
    Pause(Duration),
    /// Writes bytes one by one, so often.
    Trickle(Vec<u8>, Duration),
    /// Writes bytes again and again, so often, until the flag is set.
    Repeat(Vec<u8>, Duration, Arc<AtomicBool>),
    /// Writes bytes for as long as somebody takes them.
    Flood(Vec<u8>),
    /// Says nothing more and keeps the connection.
    Hang,
    /// Closes the connection.
    Close,
    /// Closes the connection with a reset, which throws away what is on its way.
    Reset,
}

/// What it does to answer one request.
pub(crate) type Script = Vec<Step>;

/// Holds an answer until the test lets it go on.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Semaphore>);

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// The model server.
#[derive(Debug)]
pub(crate) struct FakeUpstream {
    address: SocketAddr,
    counts: Arc<Counts>,
    requests: mpsc::UnboundedReceiver<Recorded>,
    departures: mpsc::UnboundedReceiver<Instant>,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicUsize,
    requests: AtomicUsize,
    open: AtomicUsize,
    sent_bytes: AtomicUsize,
    /// How often a step repeated its bytes. Shared with those who count what arrives of them.
    repeated: Arc<AtomicUsize>,
    /// What was wrong with the framing of requests.
    complaints: Mutex<Vec<String>>,
}

/// What the connections share.
struct Server {
    respond: Box<dyn Fn(&Recorded) -> Script + Send + Sync>,
    counts: Arc<Counts>,
    requests: mpsc::UnboundedSender<Recorded>,
    departures: mpsc::UnboundedSender<Instant>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets one wait pass.
    pub(crate) fn open(&self) {
        self.0.add_permits(1);
    }

    async fn pass(&self) {
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}

impl Recorded {
    /// A header's value, empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn is_streamed(&self) -> bool {
        self.json()["stream"] == true
    }

    /// The text of the last message.
    pub(crate) fn last_text(&self) -> String {
        let json = self.json();
        let messages = json["messages"].as_array().expect("a chat has messages");
        let last = messages.last().expect("a chat has messages");
        last["content"].as_str().unwrap_or_default().to_owned()
    }
}

impl FakeUpstream {
    /// Starts a server that answers each request, lists of models aside, with what `respond` gives.
    pub(crate) async fn start(
        respond: impl Fn(&Recorded) -> Script + Send + Sync + 'static,
    ) -> Self {
        let listener = listen().await;
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let (tell_request, requests) = mpsc::unbounded_channel();
        let (tell_departure, departures) = mpsc::unbounded_channel();
        let server = Arc::new(Server {
            respond: Box::new(respond),
            counts: Arc::clone(&counts),
            requests: tell_request,
            departures: tell_departure,
        });
        // Ends with the test's runtime.
        tokio::spawn(accept(listener, server));
        Self {
            address,
            counts,
            requests,
            departures,
        }
    }

    /// A server that repeats the last message: `echo: …`, in three events if it is streamed.
    pub(crate) async fn echo() -> Self {
        Self::start(echo).await
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Waits for the next request.
    pub(crate) async fn request(&mut self) -> Recorded {
        let next = within(
            PATIENCE,
            "a request to the model server",
            self.requests.recv(),
        );
        next.await.expect("the server runs as long as the test")
    }

    /// Waits until somebody leaves while being answered; when that was.
    pub(crate) async fn departure(&mut self) -> Instant {
        let next = within(
            PATIENCE,
            "the end of a call to the model server",
            self.departures.recv(),
        );
        next.await.expect("the server runs as long as the test")
    }

    /// How many requests came so far, lists of models aside.
    pub(crate) fn request_count(&self) -> usize {
        self.counts.requests.load(Ordering::Relaxed)
    }

    /// How many connections are open now.
    pub(crate) fn open_connection_count(&self) -> usize {
        self.counts.open.load(Ordering::Relaxed)
    }

    /// How many bytes of answers the system has taken so far.
    pub(crate) fn sent_bytes(&self) -> usize {
        self.counts.sent_bytes.load(Ordering::Relaxed)
    }

    /// How often a step has repeated its bytes, now and from now on.
    pub(crate) fn repeated(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.counts.repeated)
    }

    /// How many connections brought such requests so far.
    pub(crate) fn connection_count(&self) -> usize {
        self.counts.connections.load(Ordering::Relaxed)
    }
}

/// A request that two readers could understand differently is a fault of the gateway, whatever the test is about.
impl Drop for FakeUpstream {
    fn drop(&mut self) {
        let complaints = self.counts.complaints.lock().unwrap();
        if !std::thread::panicking() {
            assert!(complaints.is_empty(), "sloppy requests: {complaints:?}");
        }
    }
}

/// A whole answer.
pub(crate) fn whole(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Script {
    let body = body.into();
    let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    vec![Step::Send([(head + "\r\n").as_bytes(), &body].concat())]
}

/// A whole chat completion with `text`.
pub(crate) fn answer_of(text: &str) -> Script {
    let message = json!({"role": "assistant", "content": text});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    let body = json!({"id": "a1", "object": "chat.completion", "created": 1, "model": "echo", "choices": [choice]});
    whole(
        200,
        &[("content-type", "application/json")],
        body.to_string(),
    )
}

/// A stream of these pieces, each written by itself.
pub(crate) fn streamed<P: Into<Vec<u8>>>(pieces: impl IntoIterator<Item = P>) -> Script {
    let mut script = vec![head_of_stream()];
    script.extend(pieces.into_iter().map(event));
    script.push(tail_of_stream());
    script
}

/// What precedes the pieces of a stream.
pub(crate) fn head_of_stream() -> Step {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    Step::Send(head.into())
}

/// A piece of a stream.
pub(crate) fn event(bytes: impl Into<Vec<u8>>) -> Step {
    let bytes = bytes.into();
    let size = format!("{:x}\r\n", bytes.len());
    Step::Send([size.as_bytes(), &bytes, b"\r\n"].concat())
}

/// What follows the last piece of a stream.
pub(crate) fn tail_of_stream() -> Step {
    Step::Send("0\r\n\r\n".into())
}

/// The events of a streamed answer with these texts, the end marker included.
pub(crate) fn events_of(texts: &[&str]) -> Vec<Vec<u8>> {
    let chunk = |delta: Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        let chunk = json!({"id": "a1", "object": "chat.completion.chunk", "created": 1, "model": "echo", "choices": [choice]});
        format!("data: {chunk}\n\n").into_bytes()
    };
    let texts = texts
        .iter()
        .map(|text| chunk(json!({"content": text}), Value::Null));
    let mut events: Vec<_> = texts.collect();
    events.push(chunk(json!({}), json!("stop")));
    events.push(b"data: [DONE]\n\n".to_vec());
    events
}

fn echo(request: &Recorded) -> Script {
    let text = request.last_text();
    if request.is_streamed() {
        streamed(events_of(&["echo: ", &text]))
    } else {
        answer_of(&format!("echo: {text}"))
    }
}

async fn accept(listener: TcpListener, server: Arc<Server>) {
    while let Ok((stream, _)) = listener.accept().await {
        let connection = Connection::new(stream, Arc::clone(&server));
        tokio::spawn(connection.serve());
    }
}

/// One connection of the model server.
struct Connection {
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
    buffer: Vec<u8>,
    server: Arc<Server>,
    was_used: bool,
}

impl Connection {
    fn new(stream: TcpStream, server: Arc<Server>) -> Self {
        stream.set_nodelay(true).unwrap();
        let (read, write) = stream.into_split();
        Self {
            read,
            write,
            buffer: Vec::new(),
            server,
            was_used: false,
        }
    }

    async fn serve(mut self) {
        let counts = Arc::clone(&self.server.counts);
        counts.open.fetch_add(1, Ordering::Relaxed);
        self.answer_all().await;
        counts.open.fetch_sub(1, Ordering::Relaxed);
    }

    async fn answer_all(&mut self) {
        while let Some(request) = self.read_request().await {
            let script = self.script(&request);
            if !self.play(script).await {
                return;
            }
        }
    }

    fn script(&mut self, request: &Recorded) -> Script {
        if request.path == "/v1/models" {
            let models: Vec<_> = MODELS
                .iter()
                .map(|id| json!({"id": id, "object": "model"}))
                .collect();
            let list = json!({"object": "list", "data": models}).to_string();
            return whole(200, &[("content-type", "application/json")], list);
        }
        let counts = &self.server.counts;
        counts.requests.fetch_add(1, Ordering::Relaxed);
        if !std::mem::replace(&mut self.was_used, true) {
            counts.connections.fetch_add(1, Ordering::Relaxed);
        }
        // The test may be over.
        let _ = self.server.requests.send(request.clone());
        (self.server.respond)(request)
    }

    /// Plays a script; whether the connection goes on after it.
    async fn play(&mut self, script: Script) -> bool {
        for step in script {
            let goes_on = tokio::select! {
                goes_on = perform(&mut self.write, step, &self.server.counts) => goes_on,
                () = closed(&mut self.read, &mut self.buffer) => {
                    // The test may be over.
                    let _ = self.server.departures.send(Instant::now());
                    false
                }
            };
            if !goes_on {
                return false;
            }
        }
        true
    }

    async fn read_request(&mut self) -> Option<Recorded> {
        let head = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break self.buffer.drain(..end + 4).collect::<Vec<u8>>();
            }
            self.read_more().await?;
        };
        if let Err(complaint) = framing::check(&head) {
            self.server
                .counts
                .complaints
                .lock()
                .unwrap()
                .push(complaint);
            return None;
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let mut first = lines.next()?.split(' ').map(str::to_owned);
        let headers = lines.filter_map(|line| line.split_once(':'));
        let mut request = Recorded {
            method: first.next()?,
            path: first.next()?,
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect(),
            body: Vec::new(),
        };
        let length = request.header("content-length").parse().unwrap_or(0);
        while self.buffer.len() < length {
            self.read_more().await?;
        }
        request.body = self.buffer.drain(..length).collect();
        Some(request)
    }

    async fn read_more(&mut self) -> Option<()> {
        let length = self.read.read_buf(&mut self.buffer).await.ok()?;
        (length > 0).then_some(())
    }
}

async fn perform(write: &mut OwnedWriteHalf, step: Step, counts: &Counts) -> bool {
    let sent = &counts.sent_bytes;
    match step {
        Step::Send(bytes) => return send(write, &bytes, sent).await,
        Step::Trickle(bytes, pause) => {
            for byte in bytes {
                if !send(write, &[byte], sent).await {
                    return false;
                }
                sleep(pause).await;
            }
        }
        Step::Repeat(bytes, pause, is_over) => {
            while !is_over.load(Ordering::Relaxed) {
                if !send(write, &bytes, sent).await {
                    return false;
                }
                counts.repeated.fetch_add(1, Ordering::Relaxed);
                sleep(pause).await;
            }
        }
        Step::Flood(bytes) => {
            // Left alone, the system takes megabytes of it before it holds anybody up.
            let socket = SockRef::from(write.as_ref());
            socket.set_send_buffer_size(FLOOD_BUFFER_BYTES).unwrap();
            while send(write, &bytes, sent).await {}
        }
        Step::Wait(gate) => gate.pass().await,
        Step::Pause(time) => sleep(time).await,
        Step::Hang => std::future::pending().await,
        Step::Close => return false,
        Step::Reset => {
            write.as_ref().set_zero_linger().unwrap();
            return false;
        }
    }
    true
}

async fn send(write: &mut OwnedWriteHalf, mut bytes: &[u8], sent: &AtomicUsize) -> bool {
    while !bytes.is_empty() {
        match write.write(bytes).await {
            Ok(count) => {
                sent.fetch_add(count, Ordering::Relaxed);
                bytes = &bytes[count..];
            }
            Err(_) => return false,
        }
    }
    true
}

/// Resolves when the other side closes the connection; what it sends before that is kept.
async fn closed(read: &mut OwnedReadHalf, buffer: &mut Vec<u8>) {
    while read.read_buf(buffer).await.is_ok_and(|length| length > 0) {}
}
