//! Answers that are errors, pages, compressed, or something else than was asked for.

use serde_json::json;

use crate::faults::rig::Rig;
use crate::support::{
    FakeUpstream, Recorded, Script, Step, TestGateway, chat, event, events_of, head_of_stream,
    source, streamed, streamed_chat, tail_of_stream, whole,
};

const JSON: (&str, &str) = ("content-type", "application/json");

/// A server that plays the script whose name is in the last message.
async fn rig_of(scripts: Vec<(&'static str, Script)>) -> Rig {
    Rig::new(move |request| named(&scripts, request)).await
}

fn named(scripts: &[(&'static str, Script)], request: &Recorded) -> Script {
    let text = request.last_text();
    let found = scripts.iter().find(|(name, _)| *name == text);
    found.map_or_else(
        || crate::support::answer_of("fine"),
        |(_, script)| script.clone(),
    )
}

fn raw(text: &str) -> Script {
    vec![Step::Send(text.as_bytes().to_vec()), Step::Close]
}

#[tokio::test]
async fn u03_refusals_with_advice_pass_unchanged_and_no_outlet_runs() {
    const BODY: &str = r#"{"error": {"message":"slow  down","type":"requests","code":"rate_limit_exceeded","x":1.0}}"#;
    let headers = [
        JSON,
        ("retry-after", "17"),
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-requests", "1m3s"),
    ];
    let upstream = FakeUpstream::start(move |request| match request.last_text().as_str() {
        "busy" => whole(429, &headers, BODY),
        _ => crate::support::answer_of("fine"),
    });
    let setup = TestGateway::setup()
        .python()
        .function("shouting", &source("shouting"));
    let rig = Rig::with(setup, upstream.await).await;
    for body in [chat("echo", "busy"), streamed_chat("echo", "busy")] {
        let answer = rig.gateway.user().chat(&body).await.expect(429);
        assert_eq!(answer.body, BODY);
        for (name, value) in &headers[1..] {
            assert_eq!(answer.header(name), *value);
        }
    }
    rig.ends_unharmed("u03").await;
}

#[tokio::test]
async fn u04_errors_in_json_pass_unchanged() {
    let statuses = [
        400, 401, 403, 404, 409, 413, 422, 429, 500, 501, 502, 503, 504, 529,
    ];
    let body =
        |status: u16| format!(r#"{{"error":{{ "message":"as it came","status":{status}}}}}"#);
    let rig = Rig::new(move |request| match request.last_text().parse::<u16>() {
        Ok(status) => whole(status, &[JSON], body(status)),
        Err(_) => crate::support::answer_of("fine"),
    })
    .await;
    for status in statuses {
        for request in [
            chat("echo", &status.to_string()),
            streamed_chat("echo", &status.to_string()),
        ] {
            let answer = rig.gateway.user().chat(&request).await.expect(status);
            assert_eq!(answer.body, body(status));
        }
    }
    rig.ends_unharmed("u04").await;
}

#[tokio::test]
async fn u05_pages_for_people_are_errors_in_json_and_not_repeated() {
    const PAGE: &str = "<html><h1>secret host 10.0.0.7</h1></html>";
    let html = [("content-type", "text/html; charset=utf-8")];
    let statuses = [200, 400, 403, 404, 500, 502, 503, 504];
    let rig = Rig::new(move |request| match request.last_text().parse::<u16>() {
        Ok(status) => whole(status, &html, PAGE),
        Err(_) => crate::support::answer_of("fine"),
    })
    .await;
    for status in statuses {
        for request in [
            chat("echo", &status.to_string()),
            streamed_chat("echo", &status.to_string()),
        ] {
            let answer = rig.gateway.user().chat(&request).await;
            let expected = if status == 200 { 502 } else { status };
            assert_eq!(answer.status, expected, "{}", answer.text());
            assert!(answer.json()["error"]["message"].is_string());
            assert!(!answer.text().contains("secret"), "{}", answer.text());
        }
    }
    rig.ends_unharmed("u05").await;
}

#[tokio::test]
async fn u12_answers_of_another_kind_than_asked_for_never_hang() {
    let completion = crate::support::answer_of("whole");
    let stream = streamed(events_of(&["streamed"]));
    let bare = |body: &str| {
        raw(&format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    let rig = rig_of(vec![
        ("whole", completion),
        ("stream", stream),
        ("nothing", bare("")),
        (
            "text",
            whole(200, &[("content-type", "text/plain")], "plain words"),
        ),
        ("untyped", bare("{\"choices\":[]}")),
        (
            "binary",
            whole(
                200,
                &[("content-type", "application/octet-stream")],
                vec![0, 159, 146, 150],
            ),
        ),
        (
            "until close",
            raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"choices\":[]}"),
        ),
    ])
    .await;
    for name in [
        "whole",
        "stream",
        "nothing",
        "text",
        "untyped",
        "binary",
        "until close",
    ] {
        for request in [chat("echo", name), streamed_chat("echo", name)] {
            let is_streamed = request["stream"] == true;
            let answer = rig.gateway.user().chat(&request).await;
            // What it is goes on as what it is, or is a bad gateway. Nothing is half of both.
            assert!(
                matches!(answer.status, 200 | 502),
                "{name} {is_streamed}: {}",
                answer.text()
            );
            if answer.status == 502 {
                assert!(answer.json()["error"]["code"].is_string());
            } else if answer
                .header("content-type")
                .starts_with("text/event-stream")
            {
                assert!(name == "stream" || is_streamed, "{name}");
            }
        }
    }
    rig.ends_unharmed("u12").await;
}

#[tokio::test]
async fn u13_compressed_answers_nobody_asked_for_are_refused_and_never_inflated() {
    let bomb = vec![0_u8; 1 << 20];
    let coded = |coding: &'static str, kind: &'static str| {
        whole(
            200,
            &[("content-encoding", coding), ("content-type", kind)],
            bomb.clone(),
        )
    };
    let mut scripts = Vec::new();
    for (name, coding) in [
        ("gzip", "gzip"),
        ("br", "br"),
        ("zstd", "zstd"),
        ("deflate", "deflate"),
        ("two", "gzip, gzip"),
    ] {
        scripts.push((name, coded(coding, "text/event-stream")));
    }
    scripts.push(("json", coded("gzip", "application/json")));
    scripts.push((
        "identity",
        whole(
            200,
            &[("content-encoding", "identity"), JSON],
            "{\"choices\":[]}",
        ),
    ));
    scripts.push((
        "refusal",
        whole(
            429,
            &[("content-encoding", "gzip"), JSON, ("retry-after", "3")],
            bomb.clone(),
        ),
    ));
    let mut rig = rig_of(scripts).await;
    for name in ["gzip", "br", "zstd", "deflate", "two", "json"] {
        for request in [chat("echo", name), streamed_chat("echo", name)] {
            let answer = rig
                .gateway
                .user()
                .with("accept-encoding", "gzip, br")
                .chat(&request)
                .await
                .expect(502);
            assert_eq!(answer.json()["error"]["code"], "upstream_invalid", "{name}");
            assert_eq!(
                rig.upstream.request().await.header("accept-encoding"),
                "identity"
            );
        }
    }
    rig.gateway
        .user()
        .chat(&chat("echo", "identity"))
        .await
        .expect(200);
    let answer = rig
        .gateway
        .user()
        .chat(&chat("echo", "refusal"))
        .await
        .expect(429);
    assert_eq!(answer.header("retry-after"), "3");
    assert!(answer.json()["error"]["message"].is_string());
    rig.ends_unharmed("u13").await;
}

#[tokio::test]
async fn u14_informational_answers_are_skipped_and_redirects_not_followed() {
    let body = r#"{"choices":[]}"#;
    let last = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let bait = FakeUpstream::start(|_| crate::support::answer_of("bait")).await;
    let to = format!("{}/chat/completions", bait.base_url());
    let mut scripts = vec![
        ("100", raw(&format!("HTTP/1.1 100 Continue\r\n\r\n{last}"))),
        (
            "103",
            raw(&format!(
                "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n{last}"
            )),
        ),
        ("204", raw("HTTP/1.1 204 No Content\r\n\r\n")),
        ("304", raw("HTTP/1.1 304 Not Modified\r\n\r\n")),
        (
            "101",
            raw("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
        ),
    ];
    for status in ["300", "301", "302", "303", "307", "308"] {
        scripts.push((
            status,
            whole(status.parse().unwrap(), &[("location", &to)], ""),
        ));
    }
    let rig = rig_of(scripts).await;
    for name in ["100", "103"] {
        let answer = rig
            .gateway
            .user()
            .chat(&chat("echo", name))
            .await
            .expect(200);
        assert_eq!(answer.body, body, "{name}");
    }
    for name in [
        "204", "304", "101", "300", "301", "302", "303", "307", "308",
    ] {
        for request in [chat("echo", name), streamed_chat("echo", name)] {
            let answer = rig.gateway.user().chat(&request).await.expect(502);
            assert!(answer.json()["error"]["code"].is_string(), "{name}");
            assert_eq!(answer.header("location"), "");
        }
    }
    assert_eq!((bait.request_count(), bait.open_connection_count()), (0, 0));
    rig.ends_unharmed("u14").await;
}

#[tokio::test]
async fn u15_heads_that_smuggle_are_refused_or_stripped() {
    let body = r#"{"choices":[]}"#;
    let with = |fields: &str| {
        raw(&format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{fields}\r\n{body}"
        ))
    };
    let length = body.len();
    let scripts = vec![
        (
            "two lengths",
            with(&format!(
                "content-length: {length}\r\ncontent-length: {}\r\n",
                length - 1
            )),
        ),
        ("bad length", with("content-length: -1\r\n")),
        (
            "bad name",
            with(&format!("x y: z\r\ncontent-length: {length}\r\n")),
        ),
        (
            "bad value",
            with(&format!("x: a\0b\r\ncontent-length: {length}\r\n")),
        ),
        (
            "huge",
            with(&format!(
                "x: {}\r\ncontent-length: {length}\r\n",
                "y".repeat(1 << 20)
            )),
        ),
        ("not http", raw("SSH-2.0-OpenSSH_9.2\r\n")),
        ("no status", raw("HTTP/1.1 xyz\r\n\r\n")),
        ("status 99", raw("HTTP/1.1 99 X\r\n\r\n")),
        ("half", raw("HTTP/1.1 200 OK\r\ncontent-le")),
    ];
    let names: Vec<_> = scripts.iter().map(|(name, _)| *name).collect();
    let mut scripts = scripts;
    let hop = "connection: x-hop, close\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nproxy-authenticate: Basic\r\nupgrade: h2c\r\ntrailer: x\r\n";
    let own = "set-cookie: a=1\r\nserver: other\r\nalt-svc: h3\r\naccess-control-allow-origin: *\r\nx-sluicegate-generation: 999\r\nx-request-id: theirs\r\nx-kept: 1\r\n";
    scripts.push((
        "stripped",
        with(&format!("{hop}{own}content-length: {length}\r\n")),
    ));
    let rig = rig_of(scripts).await;
    for name in names {
        for request in [chat("echo", name), streamed_chat("echo", name)] {
            let answer = rig.gateway.user().chat(&request).await;
            assert_eq!(answer.status, 502, "{name}: {}", answer.text());
        }
    }
    let answer = rig
        .gateway
        .user()
        .chat(&chat("echo", "stripped"))
        .await
        .expect(200);
    for name in [
        "x-hop",
        "keep-alive",
        "proxy-authenticate",
        "upgrade",
        "trailer",
        "set-cookie",
        "alt-svc",
        "access-control-allow-origin",
    ] {
        assert_eq!(answer.header(name), "", "{name}");
    }
    assert_eq!(
        (
            answer.header("x-kept"),
            answer.header("x-upstream-request-id")
        ),
        ("1", "theirs")
    );
    assert_ne!(answer.header("x-request-id"), "theirs");
    assert_ne!(answer.header("x-sluicegate-generation"), "999");
    rig.ends_unharmed("u15").await;
}

#[tokio::test]
async fn u19_everything_a_model_says_is_kept_in_order_through_a_filter_that_changes_nothing() {
    let chunk = |delta: serde_json::Value, index: u64| {
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "system_fingerprint": "fp",
            "choices": [{"index": index, "delta": delta, "finish_reason": null,
                "logprobs": {"content": [{"token": "a", "logprob": -0.25, "bytes": [97], "top_logprobs": []}], "refusal": null}}],
            "x_unknown": {"z": 1, "a": [null, 1.50, 12345678901234567890123_f64]}})
    };
    let call = |index: u64, arguments: &str| json!([{"index": index, "id": "call", "type": "function", "function": {"name": "f", "arguments": arguments}}]);
    let chunks = [
        chunk(json!({"role": "assistant", "content": ""}), 0),
        chunk(json!({"role": "assistant", "content": null}), 1),
        chunk(json!({"reasoning_content": "hm", "reasoning": "hm"}), 0),
        chunk(json!({"tool_calls": call(0, "{\"a\"")}), 0),
        chunk(json!({"tool_calls": call(1, ": 1}")}), 0),
        chunk(json!({"refusal": "no"}), 1),
        chunk(
            json!({"content": "text", "audio": {"id": "x"}, "annotations": []}),
            1,
        ),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}, {"index": 1, "delta": {}, "finish_reason": "stop"}]}),
        json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 1}}}),
    ];
    let sent = chunks.to_vec();
    let whole_answer = json!({"id": "w", "choices": [
        {"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null, "refusal": null, "tool_calls": call(0, "{}"), "reasoning_content": "hm"}},
        {"index": 1, "finish_reason": "stop", "message": {"role": "assistant", "content": "b", "x": [1, 2]}}],
        "usage": {"total_tokens": 3}, "x_unknown": {"z": 1}});
    let answered = whole_answer.clone();
    let upstream = FakeUpstream::start(move |request| {
        if !request.is_streamed() {
            return whole(200, &[JSON], answered.to_string());
        }
        let mut script = vec![head_of_stream()];
        script.extend(sent.iter().map(|chunk| event(format!("data: {chunk}\n\n"))));
        script.extend([event("data: [DONE]\n\n"), tail_of_stream()]);
        script
    })
    .await;
    let identity = "class Filter:\n    def inlet(self, body):\n        return body\n\n    def stream(self, event):\n        return event\n\n    def outlet(self, body):\n        return body\n";
    let setup = TestGateway::setup().python().function("identity", identity);
    let rig = Rig::with(setup, upstream).await;
    let answer = rig
        .gateway
        .user()
        .chat(&streamed_chat("echo", "hi"))
        .await
        .expect(200);
    let mut events = answer.events();
    assert_eq!(events.pop().as_deref(), Some("[DONE]"));
    let events: Vec<serde_json::Value> = events
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    assert_eq!(events, chunks);
    let answer = rig
        .gateway
        .user()
        .chat(&chat("echo", "hi"))
        .await
        .expect(200);
    assert_eq!(answer.json(), whole_answer);
    rig.ends_unharmed("u19").await;
}
