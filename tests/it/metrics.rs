//! What is counted, as Prometheus reads it.

use crate::support::{FakeUpstream, TestGateway, chat, source, streamed_chat};

#[tokio::test]
async fn requests_functions_and_processes_are_counted() {
    let upstream = FakeUpstream::echo().await;
    let setup = TestGateway::setup()
        .python()
        .function("mark", &source("mark"));
    let gateway = setup.upstream("fake", &upstream.base_url()).start().await;
    gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    gateway.user().chat(&chat("nobody", "hi")).await.expect(404);
    let stream = gateway.user().stream(&streamed_chat("echo", "hi")).await;
    stream.collect().await;
    let answer = gateway.admin().get("/metrics").await.expect(200);
    let text = answer.text();
    for line in [
        "sluicegate_requests_total{route=\"chat\",status=\"2xx\"} 2",
        "sluicegate_requests_total{route=\"chat\",status=\"4xx\"} 1",
        "sluicegate_first_byte_seconds_count{route=\"chat\"} 3",
        "sluicegate_function_calls_total{function=\"mark\",hook=\"inlet\",outcome=\"changed\"} 2",
        "sluicegate_function_duration_seconds_count{function=\"mark\",hook=\"inlet\"} 2",
        "sluicegate_active_streams 0",
        "sluicegate_workers 1",
    ] {
        assert!(text.contains(line), "no `{line}` in:\n{text}");
    }
    assert!(!text.contains("echo"), "models are no labels");
}

#[tokio::test]
async fn metrics_are_for_administrators() {
    let gateway = TestGateway::setup().start().await;
    gateway.user().get("/metrics").await.expect(403);
    gateway.stranger().get("/metrics").await.expect(401);
}
