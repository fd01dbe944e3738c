//! Connections that are used again, members that are tried instead of others.

use super::fake::{Fake, Step, chunk, closed_url, json, stream_head};
use super::*;
use crate::error::Kind;

#[tokio::test]
async fn two_hundred_requests_use_one_connection() {
    let stream = [stream_head(), chunk("data: 1\n\n"), chunk("")].concat();
    let mut server = Fake::scripted(move |nth| {
        let bytes = if nth % 2 == 0 {
            json("{}")
        } else {
            stream.clone()
        };
        vec![Step::Send(bytes)]
    })
    .await;
    let upstreams = upstreams([&server.url]);
    for _ in 0..100 {
        Request::default().whole(&upstreams).await;
        let (_, end) = drain(Request::streamed().stream(&upstreams).await).await;
        end.unwrap();
    }
    assert_eq!(server.counts(), (1, 200));
}

#[tokio::test]
async fn a_stale_connection_is_replaced_without_anybody_noticing() {
    // The first request of each connection is answered, the second meets a closing server.
    let mut server = Fake::scripted(|nth| match nth {
        0 => vec![Step::Send(json("{}"))],
        _ => vec![Step::Close],
    })
    .await;
    let upstreams = upstreams([&server.url]);
    for _ in 0..20 {
        Request::default().whole(&upstreams).await;
    }
    let (opened, requests) = server.counts();
    assert_eq!(opened, 20);
    assert_eq!(requests, 39);
}

#[tokio::test]
async fn a_request_that_one_member_never_got_goes_to_another() {
    let mut server = Fake::answering(json("{}")).await;
    let upstreams = upstreams(&[closed_url().await, server.url.clone()]);
    for _ in 0..20 {
        Request::default().whole(&upstreams).await;
    }
    assert_eq!(server.counts().1, 20);
    let group = &upstreams.directory.at(0).unwrap().group;
    assert!(group.is_ejected(0) && !group.is_ejected(1));
}

#[tokio::test]
async fn a_request_that_a_member_may_have_got_goes_to_no_other() {
    let mut servers = [
        Fake::scripted(|_| vec![Step::Close]).await,
        Fake::scripted(|_| vec![Step::Close]).await,
    ];
    let urls: Vec<_> = servers.iter().map(|server| server.url.clone()).collect();
    let error = Request::default().error(&upstreams(&urls)).await;
    assert_eq!(error.kind(), Kind::UpstreamCut);
    let requests = servers.iter_mut().map(|server| server.counts().1);
    assert_eq!(requests.sum::<usize>(), 1);
}

#[tokio::test]
async fn a_member_that_cuts_its_streams_is_ejected() {
    let cut = Fake::scripted(|_| vec![Step::Send(stream_head()), Step::Close]).await;
    let whole = Fake::answering([stream_head(), chunk("")].concat()).await;
    let upstreams = upstreams(&[cut.url.clone(), whole.url.clone()]);
    let group = &upstreams.directory.at(0).unwrap().group;
    let mut cuts = 0;
    while !group.is_ejected(0) {
        let (_, end) = drain(Request::streamed().stream(&upstreams).await).await;
        cuts += usize::from(end.is_err());
    }
    assert_eq!(cuts, 2);
}

#[tokio::test]
async fn a_full_upstream_is_busy_until_an_answer_is_dropped() {
    let server = Fake::scripted(|_| vec![Step::Send(stream_head()), Step::Hang]).await;
    let mut config = config("pool", [&server.url]);
    config.max_in_flight = 1;
    let upstreams = Upstreams::new(directory(&[config]));
    let held = Request::streamed().stream(&upstreams).await;
    let error = Request::streamed().error(&upstreams).await;
    assert_eq!(error.kind(), Kind::UpstreamBusy);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    drop(held);
    Request::streamed().stream(&upstreams).await;
}

#[tokio::test]
async fn the_health_check_ejects_the_dead_and_brings_back_the_living() {
    let mut live = Fake::answering(json(r#"{"data":[]}"#)).await;
    let configs = [config("pool", &[closed_url().await, live.url.clone()])];
    let mut settings = settings();
    settings.health = Duration::from_millis(1);
    let directory = Arc::new(Directory::build(&configs, &settings).unwrap());
    let group = directory.at(0).unwrap().group.clone();
    group.failed(1);
    group.failed(1);
    assert!(group.is_ejected(1));
    let watch = tokio::spawn(directory.watch_health());
    while !group.is_ejected(0) || group.is_ejected(1) {
        live.event().await;
    }
    watch.abort();
}
