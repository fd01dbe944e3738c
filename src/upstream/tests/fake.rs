//! A model server that does what a test tells it and reports what happens to it.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::LONG;

/// What the server does with a request.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Sends these bytes.
    Send(String),
    /// Sends nothing more and waits until the client has gone.
    Hang,
    /// Closes the connection; without linger, so that unread bytes make it a reset.
    Close,
}

/// What happened to the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A connection was opened.
    Opened,
    /// A request came: its head and its body.
    Request(String, String),
    /// The client closed the connection.
    Gone,
}

type Script = Arc<dyn Fn(usize) -> Vec<Step> + Send + Sync>;

pub(super) struct Fake {
    pub(super) url: String,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Fake {
    /// A server whose answer to the `n`th request of a connection is `script(n)`.
    pub(super) async fn scripted(
        script: impl Fn(usize) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        Self::start(Arc::new(script), None).await
    }

    /// A server that gives every request the same bytes.
    pub(super) async fn answering(bytes: impl Into<String>) -> Self {
        let bytes = bytes.into();
        Self::scripted(move |_| vec![Step::Send(bytes.clone())]).await
    }

    /// The same behind TLS.
    pub(super) async fn answering_tls(bytes: impl Into<String>, tls: TlsAcceptor) -> Self {
        let bytes = bytes.into();
        let script = Arc::new(move |_| vec![Step::Send(bytes.clone())]);
        Self::start(script, Some(tls)).await
    }

    async fn start(script: Script, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (tx, events) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let _ = tx.send(Event::Opened);
                tokio::spawn(serve(socket, tls.clone(), script.clone(), tx.clone()));
            }
        });
        Self {
            url: format!("{scheme}://127.0.0.1:{port}/v1"),
            events,
        }
    }

    pub(super) async fn event(&mut self) -> Event {
        let event = timeout(LONG, self.events.recv()).await;
        event.expect("something happens to the server").unwrap()
    }

    /// The next request, whatever happens before it.
    pub(super) async fn request(&mut self) -> (String, String) {
        loop {
            if let Event::Request(head, body) = self.event().await {
                return (head, body);
            }
        }
    }

    /// Waits until a client has gone.
    pub(super) async fn gone(&mut self) {
        while self.event().await != Event::Gone {}
    }

    /// What has happened so far: connections opened and requests.
    pub(super) fn counts(&mut self) -> (usize, usize) {
        let (mut opened, mut requests) = (0, 0);
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Opened => opened += 1,
                Event::Request(..) => requests += 1,
                Event::Gone => {}
            }
        }
        (opened, requests)
    }
}

/// A whole answer of this status.
pub(super) fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

/// A whole answer of JSON.
pub(super) fn json(body: &str) -> String {
    answer("200 OK", "content-type: application/json\r\n", body)
}

/// The head of a chunked stream.
pub(super) fn stream_head() -> String {
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        .to_owned()
}

/// One chunk; the empty one ends the body.
pub(super) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// An address where nobody listens.
pub(super) async fn closed_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}/v1", listener.local_addr().unwrap())
}

type Events = mpsc::UnboundedSender<Event>;

async fn serve(socket: TcpStream, tls: Option<TlsAcceptor>, script: Script, events: Events) {
    let served = match tls {
        None => converse(socket, &script, &events).await,
        Some(tls) => match tls.accept(socket).await {
            Ok(socket) => converse(socket, &script, &events).await,
            Err(error) => Err(error),
        },
    };
    if served.is_err() {
        let _ = events.send(Event::Gone);
    }
}

/// An error is the client's leaving.
async fn converse(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    script: &Script,
    events: &Events,
) -> io::Result<()> {
    for nth in 0.. {
        let (head, body) = read_request(&mut socket).await?;
        let _ = events.send(Event::Request(head, body));
        for step in script(nth) {
            match step {
                Step::Send(bytes) => socket.write_all(bytes.as_bytes()).await?,
                Step::Hang => _ = socket.read_u8().await?,
                Step::Close => return Ok(()),
            }
        }
    }
    Ok(())
}

async fn read_request(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<(String, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(socket.read_u8().await?.into());
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    socket.read_exact(&mut body).await?;
    Ok((head, String::from_utf8(body).unwrap()))
}
