//! A real server on a port of its own, and raw clients.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::error::{Error, Kind};

use super::*;

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
    shutdown: Shutdown,
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
    async fn handle(&self, request: Request<Incoming>, _: Peer) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let _ = self.0.events.send(Event::Began(path.clone()));
        let leaving = Leaving(Arc::clone(&self.0), path.clone());
        let body = match path.as_str() {
            "/hello" => Body::whole("hello"),
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
    let stage = Arc::new(Stage {
        events: sender,
        go: Semaphore::new(0),
        shutdown: Shutdown::new(),
    });
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

#[tokio::test]
async fn bad_heads_are_answered_400_and_closed() {
    let gateway = start(&settings());
    let bad = [
        BAD,
        "\n",
        "get / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nx: y\r\n z\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    for bytes in bad {
        let answer = gateway.exchange(bytes).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{bytes:?}: {answer:?}");
    }
    gateway.end().await;
}

#[tokio::test]
async fn oversized_heads_are_answered_431_and_414() {
    let gateway = start(&settings());
    let with = |name: &str, count: usize| {
        let fields = format!("{name}: y\r\n").repeat(count);
        format!("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n")
    };
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(length));
    let cases = [
        (with("x", 98), "200"),
        (with("x", 99), "431"),
        (with("x", 10_000), "431"),
        (with(&"x".repeat(65_000), 1), "200"),
        (with(&"x".repeat(65_536), 1), "431"),
        (with(&"x".repeat(6_500_000), 1), "431"),
        (target(8192), "414"),
        (target(65_000), "414"),
        (target(70_000), "431"),
    ];
    for (bytes, status) in cases {
        let answer = gateway.exchange(&bytes).await;
        assert_eq!(&answer[9..12], status, "{}", bytes.len());
    }
    gateway.end().await;
}

#[tokio::test]
async fn a_good_request_is_answered_before_the_bad_one_behind_it() {
    let mut gateway = start(&settings());
    let mut stream = gateway.connect().await;
    ask(&mut stream, "/wait").await;
    gateway.began("/wait").await;
    stream.write_all(BAD.as_bytes()).await.unwrap();
    gateway.stage.go.add_permits(1);
    let answer = read_all(&mut stream).await;
    let (first, second) = answer.split_once("waited").unwrap();
    assert!(first.starts_with("HTTP/1.1 200 "));
    assert!(second.starts_with("HTTP/1.1 400 "));
    let answer = gateway.exchange(GET.to_owned() + BAD).await;
    assert!(answer.contains("helloHTTP/1.1 400 "));
    gateway.end().await;
}

#[tokio::test]
async fn bad_chunks_fail_the_body_and_close() {
    let gateway = start(&settings());
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let bad = [
        "5 \r\nhello\r\n",
        "5\nhello",
        "5\r\nhello\n",
        "5\r\nhelloX",
        "5;\r\n",
        "5;a\rb\r\n",
    ];
    let trailers = [
        "0\r\nHost: b\r\n\r\n",
        "0\r\nx : y\r\n\r\n",
        "0\r\nx: y\n\r\n",
    ];
    for body in bad.into_iter().chain(trailers) {
        let answer = gateway.exchange(head.to_owned() + body).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{body:?}: {answer:?}");
    }
    gateway.end().await;
}

#[tokio::test]
async fn good_bodies_and_an_ignored_upgrade_keep_the_connection() {
    let gateway = start(&settings());
    let bytes = [
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx: y\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABk\r\nContent-Length: 1\r\n\r\nb",
        "\r\nGET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ];
    let answer = gateway.exchange(bytes.concat()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer:?}");
    gateway.end().await;
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_still_sends() {
    let gateway = start(&settings());
    let mut stream = gateway.connect().await;
    let head = "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 33554432\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; 33_554_432]).await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "));
    gateway.end().await;
}

#[tokio::test]
async fn slow_heads_and_bodies_and_idle_connections_are_closed() {
    let mut settings = settings();
    settings.limits.head = Duration::from_millis(20);
    settings.limits.body = Duration::from_millis(20);
    settings.limits.idle = Duration::from_millis(20);
    let gateway = start(&settings);
    let late = gateway.exchange("GET / HT").await;
    assert!(late.starts_with("HTTP/1.1 408 "), "{late:?}");
    let (head, body) = late.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    assert_eq!(gateway.exchange("").await, "");
    assert!(gateway.exchange(GET).await.ends_with("hello"));
    let body = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx";
    // The handler may still say that its body has failed, or not.
    gateway.exchange(body).await;
    gateway.end().await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let mut gateway = start(&settings());
    for path in ["/wait", "/stream"] {
        let mut stream = gateway.connect().await;
        ask(&mut stream, path).await;
        gateway.began(path).await;
        stream.shutdown().await.unwrap();
        gateway.left(path).await;
        assert_eq!(gateway.stage.go.available_permits(), 0);
    }
    gateway.end().await;
}

#[tokio::test]
async fn a_half_closed_client_is_served_if_wanted() {
    let mut settings = settings();
    settings.half_close = HalfClose::Serve;
    let mut gateway = start(&settings);
    let mut stream = gateway.connect().await;
    ask(&mut stream, "/wait").await;
    stream.shutdown().await.unwrap();
    gateway.began("/wait").await;
    gateway.stage.go.add_permits(1);
    assert!(read_all(&mut stream).await.ends_with("waited"));
    gateway.end().await;
}

#[tokio::test]
async fn a_failing_body_is_cut_after_everything_before_it() {
    let gateway = start(&settings());
    for (path, length) in [("/fail", 5), ("/fail-big", 8 << 20), ("/fail-at-once", 0)] {
        let mut stream = gateway.connect().await;
        ask(&mut stream, path).await;
        let answer = read_all(&mut stream).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "));
        assert!(!body.ends_with("0\r\n\r\n"), "no end of the framing");
        assert!(body.len() >= length, "{path}: {}", body.len());
    }
    gateway.end().await;
}

#[tokio::test]
async fn a_panic_is_answered_500_and_the_connection_goes_on() {
    let gateway = start(&settings());
    let mut stream = gateway.connect().await;
    ask(&mut stream, "/panic").await;
    let answer = read_until(&mut stream, "internal_error").await;
    assert!(answer.starts_with("HTTP/1.1 500 "));
    ask(&mut stream, "/hello").await;
    read_until(&mut stream, "hello").await;
    gateway.end().await;
}

#[tokio::test]
async fn connections_above_the_cap_are_answered_503() {
    let mut settings = settings();
    settings.connections = 1;
    let mut gateway = start(&settings);
    let mut first = gateway.connect().await;
    ask(&mut first, "/wait").await;
    gateway.began("/wait").await;
    let answer = gateway.exchange(GET).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 503 "));
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
    drop(first);
    gateway.left("/wait").await;
    // The seat is given back right after; until then 503 goes on being the answer.
    while !gateway
        .exchange("GET /early HTTP/1.0\r\n\r\n")
        .await
        .starts_with("HTTP/1.0 413")
    {}
    gateway.end().await;
}

fn http2_client() -> Client<HttpConnector, Empty<Bytes>> {
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http()
}

#[tokio::test]
async fn http2_with_prior_knowledge_works_and_failures_cut_its_streams() {
    let gateway = start(&settings());
    let client = http2_client();
    let base = format!("http://{}", gateway.addr);
    let response = client
        .get(format!("{base}/hello").parse().unwrap())
        .await
        .unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "hello");
    for (path, length) in [("/fail", 5), ("/fail-big", 8 << 20), ("/fail-at-once", 0)] {
        let response = client
            .get(format!("{base}{path}").parse().unwrap())
            .await
            .unwrap();
        let mut body = response.into_body();
        let mut seen = 0;
        let failure = loop {
            match body.frame().await.expect("an error in place of the end") {
                Ok(frame) => seen += frame.data_ref().unwrap().len(),
                Err(error) => break error,
            }
        };
        assert_eq!(seen, length, "{path}: {failure}");
    }
    gateway.end().await;
}

#[tokio::test]
async fn http2_requests_end_with_their_stream() {
    let mut gateway = start(&settings());
    let client = http2_client();
    let uri = format!("http://{}/wait", gateway.addr).parse().unwrap();
    let request = tokio::spawn(client.get(uri));
    gateway.began("/wait").await;
    request.abort();
    gateway.left("/wait").await;
    gateway.end().await;
}

#[tokio::test]
async fn http2_requests_for_two_hosts_are_refused() {
    let gateway = start(&settings());
    let request = Request::get(format!("http://{}/hello", gateway.addr))
        .header("host", "other")
        .body(Empty::new())
        .unwrap();
    let response = http2_client().request(request).await.unwrap();
    assert_eq!(response.status(), 400);
    gateway.end().await;
}

#[tokio::test]
async fn draining_closes_idle_connections_and_finishes_busy_ones() {
    let mut gateway = start(&settings());
    let mut idle = gateway.connect().await;
    ask(&mut idle, "/hello").await;
    read_until(&mut idle, "hello").await;
    gateway.began("/hello").await;
    gateway.left("/hello").await;
    let mut busy = gateway.connect().await;
    ask(&mut busy, "/wait").await;
    gateway.began("/wait").await;
    gateway.stage.shutdown.signal();
    assert_eq!(read_all(&mut idle).await, "");
    gateway.stage.go.add_permits(1);
    assert!(read_all(&mut busy).await.ends_with("waited"));
    gateway.running.await.unwrap().unwrap();
    assert!(TcpStream::connect(gateway.addr).await.is_err());
}

#[tokio::test]
async fn connections_that_have_queued_up_are_served_while_draining() {
    let server = Server::bind(&settings()).unwrap();
    let addr = server.local_addr().unwrap();
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(GET.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    let (events, _events) = mpsc::unbounded_channel();
    let shutdown = Shutdown::new();
    shutdown.signal();
    let stage = Arc::new(Stage {
        events,
        go: Semaphore::new(0),
        shutdown: shutdown.clone(),
    });
    let running = tokio::spawn(server.run(move |_| Actor(stage.clone()), shutdown));
    for stream in &mut streams {
        assert!(read_all(stream).await.ends_with("hello"));
    }
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn late_streams_have_their_last_words_and_are_cut() {
    let mut settings = settings();
    settings.drain = Duration::from_millis(20);
    let mut gateway = start(&settings);
    let mut stream = gateway.connect().await;
    ask(&mut stream, "/stream").await;
    gateway.began("/stream").await;
    gateway.stage.go.add_permits(1);
    read_until(&mut stream, "piece").await;
    let mut hanging = gateway.connect().await;
    ask(&mut hanging, "/wait").await;
    gateway.began("/wait").await;
    gateway.stage.shutdown.signal();
    let rest = read_all(&mut stream).await;
    assert!(rest.contains("last words") && !rest.contains("0\r\n\r\n"));
    assert_eq!(read_all(&mut hanging).await, "");
    gateway.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut gateway = start(&settings());
    let mut stream = gateway.connect().await;
    ask(&mut stream, "/wait").await;
    gateway.began("/wait").await;
    gateway.end().await;
    assert_eq!(read_all(&mut stream).await, "");
}

#[tokio::test]
async fn threads_run_tasks_before_serving_and_share_connections() {
    let server = Server::bind(&settings()).unwrap();
    for handle in server.handles() {
        assert_eq!(handle.spawn(async { 1 }).await.unwrap(), 1);
    }
    let made = Arc::new(AtomicUsize::new(0));
    let (events, mut began) = mpsc::unbounded_channel();
    let shutdown = Shutdown::new();
    let stage = Arc::new(Stage {
        events,
        go: Semaphore::new(0),
        shutdown: shutdown.clone(),
    });
    let (addr, counted) = (server.local_addr().unwrap(), Arc::clone(&made));
    let factory = move |index| {
        counted.fetch_add(index + 1, Ordering::Relaxed);
        Actor(Arc::clone(&stage))
    };
    let running = tokio::spawn(server.run(factory, shutdown.clone()));
    let mut stream = TcpStream::connect(addr).await.unwrap();
    ask(&mut stream, "/wait").await;
    began.recv().await.unwrap();
    shutdown.signal();
    shutdown.signal();
    running.await.unwrap().unwrap();
    assert_eq!(made.load(Ordering::Relaxed), 1 + 2);
}

mod tls {
    use rustls::crypto::ring;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::TlsConnector;

    use super::*;

    /// A server's configuration and a client's that trusts it.
    fn configs() -> (Arc<ServerConfig>, ClientConfig) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (
            folder.path().join("cert.pem"),
            folder.path().join("key.pem"),
        );
        std::fs::write(&chain, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (crate::server::tls::load(&chain, &key).unwrap(), client)
    }

    async fn negotiate(
        protocols: &[&str],
    ) -> (Gateway, tokio_rustls::client::TlsStream<TcpStream>) {
        let (server, mut client) = configs();
        client.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let mut settings = settings();
        settings.tls = Some(server);
        let gateway = start(&settings);
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(client));
        let stream = connector
            .connect(name, gateway.connect().await)
            .await
            .unwrap();
        (gateway, stream)
    }

    #[tokio::test]
    async fn http1_is_served_and_checked_inside() {
        let (gateway, mut stream) = negotiate(&["http/1.1"]).await;
        ask(&mut stream, "/hello").await;
        read_until(&mut stream, "hello").await;
        stream.write_all(BAD.as_bytes()).await.unwrap();
        read_until(&mut stream, "400 Bad Request").await;
        gateway.end().await;
    }

    #[tokio::test]
    async fn http2_is_negotiated() {
        let (gateway, stream) = negotiate(&["h2", "http/1.1"]).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
                .await
                .unwrap();
        let driving = tokio::spawn(connection);
        let request = Request::get("https://localhost/hello")
            .body(Empty::<Bytes>::new())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(
            response.into_body().collect().await.unwrap().to_bytes(),
            "hello"
        );
        driving.abort();
        gateway.end().await;
    }

    #[tokio::test]
    async fn a_handshake_that_hangs_is_closed() {
        let (server, _) = configs();
        let mut settings = settings();
        settings.tls = Some(server);
        settings.limits.head = Duration::from_millis(20);
        let gateway = start(&settings);
        assert_eq!(gateway.exchange("\u{16}\u{3}").await, "");
        gateway.end().await;
    }
}
