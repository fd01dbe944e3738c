//! A real server on a port of its own, and raw clients.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::error::{Error, Kind};

use super::*;

mod answers;
mod clients;
mod draining;
mod heads;
mod http2;
mod tls;

const GET: &str = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
const BAD: &str = "GET /hello HTTP/1.1\nHost: a\r\n\r\n";

/// What the handler does, told to the test.
#[derive(Debug, PartialEq, Eq)]
enum Event {
    Began(String),
    Left(String),
}

/// What a test and the handlers share.
struct Stage {
    events: mpsc::UnboundedSender<Event>,
    /// One permit lets one `/wait` answer, or one more piece of a `/stream` out.
    go: Semaphore,
    /// How much of `/endless` was asked for.
    pulled_bytes: AtomicUsize,
    shutdown: Shutdown,
}

impl Stage {
    fn new(events: mpsc::UnboundedSender<Event>) -> Arc<Self> {
        Arc::new(Self {
            events,
            go: Semaphore::new(0),
            pulled_bytes: AtomicUsize::default(),
            shutdown: Shutdown::new(),
        })
    }
}

struct Actor(Arc<Stage>);

/// Says `Left` when a request ends without an answer, or its answer's body is dropped.
struct Leaving(Arc<Stage>, String);

impl Drop for Leaving {
    fn drop(&mut self) {
        let _ = self.0.events.send(Event::Left(self.1.clone()));
    }
}

impl Handler for Actor {
    async fn handle(self: Rc<Self>, received: Received) -> Response<Body> {
        let request = received.request;
        let path = request.uri().path().to_owned();
        let _ = self.0.events.send(Event::Began(path.clone()));
        let leaving = Leaving(Arc::clone(&self.0), path.clone());
        let body = match path.as_str() {
            "/hello" => Body::whole("hello"),
            "/signal" => {
                self.0.shutdown.signal();
                Body::whole("last")
            }
            "/wait" => {
                self.0.go.acquire().await.unwrap().forget();
                Body::whole("waited")
            }
            "/echo" => return echo(request).await,
            "/early" => return status(413, "too long"),
            "/fail" => Body::stream(stream::iter([Ok(Bytes::from("event")), Err(failure())])),
            "/fail-at-once" => Body::stream(stream::iter([Err(failure())])),
            "/fail-big" => Body::stream(stream::iter([Ok(big()), Err(failure())])),
            "/stream" => pieces(leaving),
            "/endless" => endless(Arc::clone(&self.0)),
            "/panic" => panic!("on purpose"),
            _ => return status(404, "unknown"),
        };
        Response::new(body)
    }
}

fn big() -> Bytes {
    Bytes::from(vec![b'x'; 8 << 20])
}

fn failure() -> Error {
    Error::new(Kind::UpstreamCut, "cut")
}

fn status(code: u16, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::whole(text));
    *response.status_mut() = code.try_into().unwrap();
    response
}

async fn echo(request: Request<Incoming>) -> Response<Body> {
    match request.into_body().collect().await {
        Ok(body) => Response::new(Body::whole(body.to_bytes())),
        Err(_) => status(400, "bad body"),
    }
}

/// One piece for each permit; at the end of the drain limit an error event and an abort.
fn pieces(leaving: Leaving) -> Body {
    Body::stream(stream::unfold(
        (leaving, false),
        |(leaving, is_over)| async move {
            if is_over {
                return Some((Err(failure()), (leaving, true)));
            }
            let stage = &leaving.0;
            let is_over = tokio::select! {
                permit = stage.go.acquire() => { permit.unwrap().forget(); false }
                () = stage.shutdown.ending() => true,
            };
            let piece = if is_over { "last words" } else { "piece" };
            Some((Ok(Bytes::from(piece)), (leaving, is_over)))
        },
    ))
}

/// Pieces of 1 KiB for as long as somebody takes them.
fn endless(stage: Arc<Stage>) -> Body {
    Body::stream(stream::repeat_with(move || {
        stage.pulled_bytes.fetch_add(1024, Ordering::Relaxed);
        Ok(Bytes::from_static(&[b'x'; 1024]))
    }))
}

struct Gateway {
    addr: SocketAddr,
    stage: Arc<Stage>,
    events: mpsc::UnboundedReceiver<Event>,
    running: JoinHandle<io::Result<()>>,
}

fn settings() -> Settings {
    Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        tls: None,
        limits: Limits::default(),
        threads: 2,
        connections: 1000,
        connections_per_address: 0,
        trusted_proxies: Networks::default(),
        half_close: HalfClose::Leave,
        pressure: Pressure::default(),
        drain: Duration::from_secs(60),
    }
}

fn start(settings: &Settings) -> Gateway {
    let server = Server::bind(settings).unwrap();
    let addr = server.local_addr().unwrap();
    let (sender, events) = mpsc::unbounded_channel();
    let stage = Stage::new(sender);
    let (shared, shutdown) = (Arc::clone(&stage), stage.shutdown.clone());
    let running =
        tokio::spawn(async move { server.run(move |_| Actor(shared.clone()), shutdown).await });
    Gateway {
        addr,
        stage,
        events,
        running,
    }
}

impl Gateway {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    async fn began(&mut self, path: &str) {
        let event = self.events.recv().await.unwrap();
        assert_eq!(event, Event::Began(path.to_owned()));
    }

    async fn left(&mut self, path: &str) {
        let event = self.events.recv().await.unwrap();
        assert_eq!(event, Event::Left(path.to_owned()));
    }

    /// All that the server sends for `bytes` until it closes; the client never closes first.
    async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        read_all(&mut stream).await
    }

    async fn end(self) {
        self.stage.shutdown.signal();
        self.stage.shutdown.signal();
        self.running.await.unwrap().unwrap();
    }
}

async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// Reads until the text is there.
async fn read_until(stream: &mut (impl AsyncRead + Unpin), wanted: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(wanted) {
        let mut space = [0; 4096];
        let count = stream.read(&mut space).await.unwrap();
        assert_ne!(count, 0, "ended after {seen:?}");
        seen.push_str(std::str::from_utf8(&space[..count]).unwrap());
    }
    seen
}

async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}
