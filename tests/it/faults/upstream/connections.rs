//! Model servers that cannot be reached, are late, or close too early.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::faults::rig::Rig;
use crate::support::{
    FakeUpstream, Gate, Step, TestGateway, answer_of, chat, event, events_of, free_port,
    head_of_stream, streamed, streamed_chat, tail_of_stream,
};

/// A second upstream beside the usual ones, with one model.
fn upstream_at(name: &str, base_url: &str, model: &str) -> String {
    format!(
        "[[upstreams]]\nname = \"{name}\"\nkind = \"openai\"\nbase_url = \"{base_url}\"\nmodels = [\"{model}\"]\napi_key = \"sk-upstream\"\n"
    )
}

#[tokio::test]
async fn u01_servers_that_cannot_be_reached_are_told_at_once_and_another_is_tried() {
    let living = FakeUpstream::start(|_| answer_of("alive")).await;
    let dead = format!("http://127.0.0.1:{}/v1", free_port());
    let tables = [
        upstream_at("closed", &dead, "closed"),
        upstream_at("nameless", "http://no-such-host.invalid/v1", "nameless"),
        format!(
            "[[upstreams]]\nname = \"pair\"\nkind = \"openai\"\nbase_urls = [\"{dead}\", \"{}\"]\nmodels = [\"pair\"]",
            living.base_url()
        ),
    ];
    let setup = TestGateway::setup().tables(&tables.concat());
    let rig = Rig::with(setup, FakeUpstream::echo().await).await;
    for model in ["closed", "nameless"] {
        for body in [chat(model, "hi"), streamed_chat(model, "hi")] {
            let began = Instant::now();
            let answer = rig.gateway.user().chat(&body).await.expect(502);
            let error = answer.json()["error"].clone();
            assert_eq!(error["code"], "upstream_unreachable", "{model}");
            assert!(
                began.elapsed() < Duration::from_secs(5),
                "{model}: {:?}",
                began.elapsed()
            );
            let message = error["message"].as_str().unwrap();
            assert!(
                message.contains(model)
                    && !message.contains("127.0.0.1")
                    && !message.contains("invalid"),
                "{message}"
            );
        }
    }
    for _ in 0..10 {
        let answer = rig
            .gateway
            .user()
            .chat(&chat("pair", "hi"))
            .await
            .expect(200);
        assert_eq!(answer.content(), "alive");
    }
    rig.ends_unharmed("u01").await;
}

#[tokio::test]
async fn u06_servers_that_never_begin_to_answer_are_a_timeout_and_leaving_ends_it() {
    let mut rig = Rig::configured("[upstream]\nhead_seconds = 1", |_| vec![Step::Hang]).await;
    for body in [chat("echo", "hi"), streamed_chat("echo", "hi")] {
        let answer = rig.gateway.user().chat(&body).await.expect(504);
        assert_eq!(answer.json()["error"]["code"], "upstream_timeout");
        rig.upstream.request().await;
        rig.upstream.departure().await;
    }
    let client = rig.gateway.user().send_chat(&chat("echo", "hi")).await;
    rig.upstream.request().await;
    drop(client);
    rig.upstream.departure().await;
    rig.ends_unharmed("u06").await;
}

#[tokio::test]
async fn u07_servers_that_fall_silent_after_any_event_end_in_an_error_event() {
    let texts = ["one", "two", "three"];
    let after = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&after);
    let rig = Rig::configured("[upstream]\nidle_seconds = 0.5", move |_| {
        let mut script = vec![head_of_stream()];
        let events = events_of(&texts).into_iter().map(event);
        script.extend(events.take(count.load(Ordering::Relaxed)));
        script.push(Step::Hang);
        script
    })
    .await;
    // The head alone is a status still.
    let answer = rig
        .gateway
        .user()
        .chat(&streamed_chat("echo", "hi"))
        .await
        .expect(504);
    assert_eq!(answer.json()["error"]["code"], "upstream_timeout");
    for events in 1..=4 {
        after.store(events, Ordering::Relaxed);
        let answer = rig
            .gateway
            .user()
            .chat(&streamed_chat("echo", "hi"))
            .await
            .expect(200);
        let told = answer.events();
        assert_eq!(told.len(), events + 1, "{told:?}");
        assert!(
            told[events].contains("upstream_timeout") && !answer.is_whole,
            "{told:?}"
        );
    }
    rig.ends_unharmed("u07").await;
}

#[tokio::test]
async fn u16_stale_connections_are_replaced_once_and_nothing_is_sent_twice() {
    // Every connection is good for one answer, and closed without a word after it.
    let rig = Rig::new(|request| {
        let mut script = if request.is_streamed() {
            streamed(events_of(&["fine"]))
        } else {
            answer_of("fine")
        };
        script.push(Step::Close);
        script
    })
    .await;
    const REQUESTS: usize = 300;
    for turn in 0..REQUESTS {
        let body = if turn % 2 == 0 {
            chat("echo", "hi")
        } else {
            streamed_chat("echo", "hi")
        };
        rig.gateway.user().chat(&body).await.expect(200);
    }
    assert_eq!(rig.upstream.request_count(), REQUESTS);
    rig.ends_unharmed("u16").await;
}

#[tokio::test]
async fn u16_a_server_that_may_have_begun_is_not_asked_again() {
    let rig = Rig::new(|_| vec![Step::Close]).await;
    for turn in 1..=10 {
        let answer = rig.chat().await.expect(502);
        assert_eq!(answer.json()["error"]["code"], "upstream_cut");
        assert_eq!(rig.upstream.request_count(), turn);
    }
    rig.ends_unharmed("u16 fresh").await;
}

#[tokio::test]
async fn u17_an_answer_before_the_body_is_taken_passes_and_its_connection_is_not_used_again() {
    let early = crate::faults::upstream::connections::early_server().await;
    let setup = TestGateway::setup().tables(&upstream_at("early", &early.base_url, "early"));
    let rig = Rig::with(setup, FakeUpstream::echo().await).await;
    let long = "x".repeat(8 << 20);
    for _ in 0..5 {
        let answer = rig.gateway.user().chat(&chat("early", &long)).await;
        // What is not taken may break the connection before the answer is read; it is never another request's answer.
        assert!(
            matches!(answer.status, 429 | 502),
            "{}: {}",
            answer.status,
            answer.text()
        );
        let answer = rig
            .gateway
            .user()
            .chat(&chat("early", "short"))
            .await
            .expect(429);
        assert_eq!(answer.json()["error"]["message"], "early");
    }
    assert_eq!(early.connections.load(Ordering::Relaxed), 10);
    rig.ends_unharmed_within("u17", 48 * 1024).await;
}

/// A server that answers as soon as it has read a head, and reads no body.
struct Early {
    base_url: String,
    connections: Arc<AtomicUsize>,
}

async fn early_server() -> Early {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = crate::support::listen().await;
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    // Ends with the test's runtime.
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.windows(4).any(|four| four == b"\r\n\r\n")
                && stream
                    .read_buf(&mut head)
                    .await
                    .is_ok_and(|count| count > 0)
            {}
            if !head.starts_with(b"POST") {
                continue;
            }
            count.fetch_add(1, Ordering::Relaxed);
            let body = r#"{"error":{"message":"early"}}"#;
            let answer = format!(
                "HTTP/1.1 429 X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
            // Gives the answer the time to be read before what was not taken resets the connection.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    Early {
        base_url,
        connections,
    }
}

#[tokio::test]
async fn u02_servers_that_cannot_be_trusted_get_no_key() {
    let plain = FakeUpstream::start(|_| answer_of("plain")).await;
    let silent = crate::support::listen().await;
    let https = |url: &str| url.replace("http://", "https://");
    let tables = [
        upstream_at("plain", &https(&plain.base_url()), "plain"),
        upstream_at(
            "silent",
            &format!("https://{}/v1", silent.local_addr().unwrap()),
            "silent",
        ),
        "[upstream]\nconnect_seconds = 1\nhealth_seconds = 0".to_owned(),
    ];
    let setup = TestGateway::setup().tables(&tables.concat());
    let rig = Rig::with(setup, FakeUpstream::echo().await).await;
    for model in ["plain", "silent"] {
        let answer = rig
            .gateway
            .user()
            .chat(&chat(model, "hi"))
            .await
            .expect(502);
        assert_eq!(answer.json()["error"]["code"], "upstream_tls", "{model}");
    }
    assert_eq!(plain.request_count(), 0, "no request in the clear");
    rig.ends_unharmed("u02").await;
}

#[tokio::test]
async fn u18_a_server_that_is_faster_than_its_client_waits_for_it() {
    let piece = format!("data: {{\"x\":\"{}\"}}\n\n", "x".repeat(4000));
    let gate = Gate::new();
    let held = gate.clone();
    let rig = Rig::new(move |_| {
        let mut script = vec![head_of_stream()];
        script.extend((0..5000).map(|_| event(piece.clone())));
        script.push(Step::Wait(held.clone()));
        script.extend(events_of(&["end"]).into_iter().map(event));
        script.push(tail_of_stream());
        script
    })
    .await;
    let mut stream = rig
        .gateway
        .user()
        .stream(&streamed_chat("echo", "hi"))
        .await;
    let mut count = 0;
    let growth = rig.growth_kib();
    while count < 5000 {
        stream.next().await.expect("another event");
        count += 1;
    }
    assert!(rig.growth_kib() < growth + 8 * 1024);
    gate.open();
    assert_eq!(
        stream.rest().await.last().map(String::as_str),
        Some("[DONE]")
    );
    rig.ends_unharmed("u18").await;
}
