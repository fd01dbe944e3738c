//! HTTP/2 with prior knowledge.

use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::*;

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
