//! Clients that leave, half or wholly, at every place.

use serde_json::json;

use crate::faults::rig::{Raw, Rig, chat_request};
use crate::support::{
    FakeUpstream, Gate, Step, TestGateway, answer_of, chat, event, events_of, head_of_stream,
    streamed_chat,
};

#[tokio::test]
async fn c02_client_leaves_at_every_byte_of_its_request() {
    let rig = Rig::new(|_| answer_of("fine")).await;
    let request = chat_request("", &chat("echo", "hi"));
    for end in 0..request.len() {
        let mut raw = Raw::connect(rig.gateway.address).await;
        raw.send(&request[..end]).await;
        if end % 2 == 0 {
            raw.reset();
        }
    }
    assert_eq!(rig.upstream.request_count(), 0, "half a request is none");
    rig.chat().await.expect(200);
    rig.ends_unharmed("c02 request").await;
}

#[tokio::test]
async fn c02_client_leaves_after_every_event_of_the_answer() {
    let texts = ["one", "two", "three", "four"];
    let mut rig = Rig::new(move |_| {
        let mut script = vec![head_of_stream()];
        for piece in events_of(&texts) {
            script.extend([event(piece), Step::Wait(Gate::new())]);
        }
        script
    })
    .await;
    // The script stands after its first event; where the client leaves before it, nothing was sent at all.
    for _ in 0..20 {
        let mut stream = rig
            .gateway
            .user()
            .stream(&streamed_chat("echo", "hi"))
            .await;
        stream.next().await.expect("the first event");
        drop(stream);
        rig.upstream.departure().await;
    }
    let rows = rig.gateway.log();
    let gone = rows
        .lines()
        .filter(|line| line.contains("status=499"))
        .count();
    assert!(gone >= 19, "the log shows {gone} clients that left");
    rig.ends_unharmed("c02 answer").await;
}

#[tokio::test]
async fn c02_client_leaves_before_the_first_byte() {
    let mut rig = Rig::new(|_| vec![Step::Hang]).await;
    for body in [chat("echo", "hi"), streamed_chat("echo", "hi")] {
        for _ in 0..10 {
            let client = rig.gateway.user().send_chat(&body).await;
            rig.upstream.request().await;
            drop(client);
            rig.upstream.departure().await;
        }
    }
    rig.ends_unharmed("c02 first byte").await;
}

#[tokio::test]
async fn c03_half_close_is_leaving_or_is_served_as_configured() {
    for (mode, is_served) in [("leave", false), ("serve", true)] {
        let gate = Gate::new();
        let held = gate.clone();
        let upstream = FakeUpstream::start(move |_| {
            let mut script = vec![Step::Wait(held.clone())];
            script.extend(answer_of("late"));
            script
        });
        let setup = TestGateway::setup().settings(&format!("half_close = \"{mode}\""));
        let mut rig = Rig::with(setup, upstream.await).await;
        let mut raw = Raw::connect(rig.gateway.address).await;
        raw.send(chat_request("", &chat("echo", "hi"))).await;
        rig.upstream.request().await;
        raw.half_close().await;
        if !is_served {
            rig.upstream.departure().await;
        }
        gate.open();
        let reply = raw.reply().await;
        assert_eq!(
            reply.text().contains("late"),
            is_served,
            "{mode}: {}",
            reply.text()
        );
        rig.ends_unharmed(&format!("c03 {mode}")).await;
    }
}

#[tokio::test]
async fn c13_a_request_sent_twice_is_two_and_one_that_fails_is_not_repeated() {
    let rig = Rig::new(|request| match request.last_text().as_str() {
        "cut" => vec![Step::Close],
        _ => answer_of("fine"),
    })
    .await;
    let client = rig.gateway.user();
    for expected in 1..=3 {
        client.chat(&chat("echo", "hi")).await.expect(200);
        assert_eq!(rig.upstream.request_count(), expected);
    }
    // With a body that says so, it is still not ours to judge what is the same request.
    let named = client.clone().with("idempotency-key", "one");
    named.chat(&chat("echo", "hi")).await.expect(200);
    named.chat(&chat("echo", "hi")).await.expect(200);
    assert_eq!(rig.upstream.request_count(), 5);
    rig.ends_unharmed("c13").await;
}

#[tokio::test]
async fn c14_http10_clients_get_answers_and_error_events() {
    let rig = Rig::new(|request| {
        if !request.is_streamed() {
            return answer_of("fine");
        }
        let first = events_of(&["half"]).swap_remove(0);
        vec![head_of_stream(), event(first), Step::Close]
    })
    .await;
    let old = |body: &serde_json::Value| {
        let request = String::from_utf8(chat_request("", body)).unwrap();
        request.replacen("HTTP/1.1", "HTTP/1.0", 1)
    };
    let reply = rig.exchange(old(&chat("echo", "hi"))).await;
    assert_eq!(
        (reply.status(), reply.is_whole()),
        (200, true),
        "{}",
        reply.text()
    );
    assert!(reply.text().contains("fine"));
    let reply = rig.exchange(old(&streamed_chat("echo", "hi"))).await;
    let text = reply.text();
    assert_eq!(reply.status(), 200);
    assert!(!text.to_lowercase().contains("transfer-encoding"), "{text}");
    assert!(
        text.contains("half") && text.contains("\"error\"") && !text.contains("[DONE]"),
        "{text}"
    );
    let without_key = "GET /v1/models HTTP/1.0\r\n\r\n";
    assert_eq!(rig.exchange(without_key).await.status(), 401);
    rig.ends_unharmed("c14").await;
}

#[tokio::test]
async fn c11_requests_of_no_shape_name_the_member_at_fault() {
    let rig = Rig::new(|_| answer_of("fine")).await;
    let message = json!([{"role": "user", "content": "hi"}]);
    let cases = [
        (json!({"messages": message}), 400, "model"),
        (json!({"model": 7, "messages": message}), 400, "model"),
        (json!({"model": null, "messages": message}), 400, "model"),
        (json!({"model": "echo"}), 400, "messages"),
        (json!({"model": "echo", "messages": []}), 400, "messages"),
        (json!({"model": "echo", "messages": null}), 400, "messages"),
        (
            json!({"model": "echo", "messages": {"0": "hi"}}),
            400,
            "messages",
        ),
        (
            json!({"model": "echo", "messages": message, "stream": 1}),
            400,
            "stream",
        ),
        (
            json!({"model": "echo", "messages": message, "stream": "true"}),
            400,
            "stream",
        ),
        (
            json!({"model": "nobody", "messages": message}),
            404,
            "model",
        ),
        (json!({"model": "", "messages": message}), 404, "model"),
    ];
    for (body, status, param) in cases {
        let answer = rig.gateway.user().chat(&body).await.expect(status);
        assert_eq!(answer.json()["error"]["param"], param, "{body}");
    }
    let answer = rig.gateway.user().chat(&chat("nobody", "hi")).await;
    assert_eq!(answer.json()["error"]["code"], "model_not_found");
    for body in ["[]", "\"chat\"", "7", "null", ""] {
        let answer = rig
            .gateway
            .user()
            .post_bytes("/v1/chat/completions", body)
            .await;
        assert_eq!(answer.status, 400, "{body}");
    }
    assert_eq!(rig.upstream.request_count(), 0);
    rig.ends_unharmed("c11").await;
}
