//! What hyper alone costs: a pass-through with nothing in it, each thread with a runtime, a listener and a pool of its
//! own. The difference between it and the gateway is the gateway.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::thread;

use anyhow::Result;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Builder;

type Pool = Client<HttpConnector, Incoming>;

/// Passes everything that comes to `addr` to `upstream`, until the process ends.
pub(crate) fn serve(addr: SocketAddr, upstream: SocketAddr) -> Result<()> {
    let count = thread::available_parallelism().map_or(1, usize::from);
    let threads: Vec<_> = (0..count)
        .map(|_| thread::spawn(move || serve_on_thread(addr, upstream)))
        .collect();
    for thread in threads {
        thread
            .join()
            .map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    }
    Ok(())
}

fn serve_on_thread(addr: SocketAddr, upstream: SocketAddr) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseport(true)?;
        socket.bind(addr)?;
        let listener = socket.listen(1024)?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let pool: Pool = Client::builder(TokioExecutor::new()).build(connector);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(connection(stream, pool.clone(), upstream));
        }
    })
}

async fn connection(stream: TcpStream, pool: Pool, upstream: SocketAddr) {
    let pass = service_fn(|request| pass(&pool, upstream, request));
    // A client that leaves is no failure.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), pass)
        .await;
}

async fn pass(
    pool: &Pool,
    upstream: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<Response<http_body_util::combinators::BoxBody<bytes::Bytes, hyper::Error>>, Infallible>
{
    let path = request.uri().path().to_owned();
    let uri = format!("http://{upstream}{path}").parse::<Uri>();
    *request.uri_mut() = uri.unwrap_or_default();
    let answer = pool.request(request).await;
    Ok(answer.map_or_else(
        |_| {
            let mut failure = Response::new(
                http_body_util::Empty::new()
                    .map_err(|never| match never {})
                    .boxed(),
            );
            *failure.status_mut() = hyper::StatusCode::BAD_GATEWAY;
            failure
        },
        |answer| answer.map(BodyExt::boxed),
    ))
}
