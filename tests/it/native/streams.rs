//! Streamed answers: nothing that is looked for leaves, however it is split, and everything else does.

use serde_json::{Value, json};

use super::{native, setup};
use crate::support::{
    Answer, FakeUpstream, Script, TestGateway, event, events_of, head_of_stream, streamed,
    streamed_chat, tail_of_stream,
};

const DONE: &[u8] = b"data: [DONE]\n\n";

async fn redacting(upstream: &FakeUpstream) -> TestGateway {
    let gateway = setup(upstream).start().await;
    gateway
        .management()
        .install_filter("pii", &native("redact"))
        .await;
    gateway
}

fn chunk(delta: &Value, finish: &Value) -> Vec<u8> {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    let chunk =
        json!({"id": "a1", "object": "chat.completion.chunk", "created": 1, "choices": [choice]});
    format!("data: {chunk}\n\n").into_bytes()
}

/// A model server that streams the last message, cut at the places that the rest of it names: `text|3,9`.
async fn cutting() -> FakeUpstream {
    FakeUpstream::start(|request| {
        let asked = request.last_text();
        let (text, places) = asked.rsplit_once('|').unwrap();
        let mut pieces = Vec::new();
        let mut start = 0;
        for place in places
            .split(',')
            .map(|place| place.parse::<usize>().unwrap())
        {
            pieces.push(&text[start..place]);
            start = place;
        }
        pieces.push(&text[start..]);
        streamed(events_of(&pieces))
    })
    .await
}

fn text_of(answer: &Answer, field: &str) -> String {
    let events = answer.events();
    let chunks = events.iter().filter(|event| *event != "[DONE]");
    let texts = chunks.map(|chunk| {
        let chunk: Value = serde_json::from_str(chunk).unwrap();
        let text = chunk["choices"][0]["delta"][field].as_str();
        text.unwrap_or_default().to_owned()
    });
    texts.collect()
}

#[tokio::test]
async fn a_secret_that_is_split_anywhere_never_leaves() {
    let upstream = cutting().await;
    let gateway = setup(&upstream).start().await;
    let management = gateway.management();
    management.install_filter("pii", &native("redact")).await;
    let valves = json!({"requests": false});
    management.set_valves("pii", &valves).await.expect(200);
    for (text, expected) in [
        ("to \"ann@example.com\" now", "to \"[mail]\" now"),
        ("+49 171 2345678", "[phone]"),
        ("4111 1111 1111 1111.", "[card]."),
    ] {
        for one in 0..=text.len() {
            let other = (one + text.len()) / 2;
            let ask = format!("{text}|{one},{other}");
            let answer = gateway.user().chat(&streamed_chat("echo", &ask)).await;
            assert_eq!(answer.expect(200).streamed_content(), expected, "{ask}");
        }
    }
}

#[tokio::test]
async fn events_that_are_not_changed_leave_as_they_came() {
    let raw = b": comment\n\nid: 7\ndata: {\"choices\" : [{\"index\":0,\"delta\":{\"content\":\"ok. \"}}], \"x\":1.0}\n\n";
    let upstream = FakeUpstream::start(move |_| {
        streamed([&raw[..], &chunk(&json!({}), &json!("stop")), DONE])
    });
    let upstream = upstream.await;
    let gateway = redacting(&upstream).await;
    let answer = gateway.user().chat(&streamed_chat("echo", "hi")).await;
    let text = answer.expect(200).text();
    assert!(
        text.starts_with(std::str::from_utf8(raw).unwrap()),
        "{text}"
    );
}

/// The pieces of a stream that tells nobody that it is finished.
fn unfinished(marker: &[u8]) -> Script {
    let pieces = [
        chunk(&json!({"content": "ask ann"}), &Value::Null),
        marker.to_vec(),
    ];
    let mut script = vec![head_of_stream()];
    let pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
    script.extend(pieces.map(event));
    script.push(tail_of_stream());
    script
}

#[tokio::test]
async fn what_is_held_back_comes_before_the_end_marker_or_the_end() {
    for (marker, path) in [
        (DONE, "/v1/chat/completions"),
        (DONE, "/api/chat/completions"),
        (b"", "/api/chat/completions"),
    ] {
        let upstream = FakeUpstream::start(move |_| unfinished(marker)).await;
        let gateway = redacting(&upstream).await;
        let answer = gateway
            .user()
            .post(path, &streamed_chat("echo", "hi"))
            .await;
        let answer = answer.expect(200);
        assert_eq!(text_of(&answer, "content"), "ask ann", "{path}");
        let events = answer.events();
        assert_eq!(events.len(), if marker.is_empty() { 2 } else { 3 });
        let last: Value = serde_json::from_str(&events[1]).unwrap();
        assert_eq!(
            (&last["id"], &last["object"]),
            (&json!("a1"), &json!("chat.completion.chunk"))
        );
    }
}

#[tokio::test]
async fn what_is_held_back_passes_the_filters_behind() {
    let upstream = FakeUpstream::start(|_| unfinished(DONE)).await;
    let gateway = setup(&upstream).python().start().await;
    let management = gateway.management();
    management.install_filter("a_pii", &native("redact")).await;
    let code = "class Filter:\n    def stream(self, event):\n        delta = event['choices'][0]['delta']\n        delta['content'] = delta['content'].upper()\n        return event\n";
    management.install_filter("loud", code).await;
    management.install_filter("z_words", &native("words")).await;
    let valves =
        json!({"words": "ANN", "action": "replace", "replacement": "nobody", "ignore_case": false});
    management.set_valves("z_words", &valves).await.expect(200);
    let answer = gateway.user().chat(&streamed_chat("echo", "hi")).await;
    assert_eq!(answer.expect(200).streamed_content(), "ASK nobody");
}

#[tokio::test]
async fn a_word_that_is_not_allowed_stops_a_stream_before_it_is_out() {
    let upstream = cutting().await;
    let gateway = setup(&upstream).start().await;
    let management = gateway.management();
    management.install_filter("words", &native("words")).await;
    let valves = json!({"words": "secret plan", "requests": false, "message": "no"});
    management.set_valves("words", &valves).await.expect(200);
    let answer = gateway
        .user()
        .chat(&streamed_chat("echo", "the secret plan is out|8,11"))
        .await;
    let answer = answer.expect(200);
    let events = answer.events();
    assert_eq!(text_of(&answer, "content"), "the ");
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(last["error"]["message"], "no");
    assert!(!answer.text().contains("secr") && !answer.is_whole);
    let first = gateway
        .user()
        .chat(&streamed_chat("echo", "secret plan! Really.|13"))
        .await;
    assert_eq!(
        first.expect(403).json()["error"]["message"],
        "no",
        "still a status"
    );
}

#[tokio::test]
async fn a_stream_that_breaks_off_gives_out_nothing_that_was_held_back() {
    let upstream = FakeUpstream::start(|_| {
        let piece = chunk(&json!({"content": "ask ann@exa"}), &Value::Null);
        vec![head_of_stream(), event(piece), crate::support::Step::Close]
    });
    let upstream = upstream.await;
    let gateway = redacting(&upstream).await;
    let answer = gateway.user().chat(&streamed_chat("echo", "hi")).await;
    let answer = answer.expect(200);
    assert!(!answer.text().contains("ann"), "{}", answer.text());
    assert!(answer.text().contains("\"error\"") && !answer.is_whole);
}

#[tokio::test]
async fn an_outlet_that_only_observes_sees_what_has_left_and_one_that_holds_changes_it() {
    for (settings, expected) in [("", "ann."), ("stream_outlet = \"hold\"", "[removed].")] {
        let upstream = cutting().await;
        let table = format!(
            "[function.words]\nnative = \"words\"\n{settings}\nvalves = {{ words = \"ann\", action = \"replace\", requests = false }}\n"
        );
        // A filter in Python that undoes what `words` made of the events lets only the outlet count.
        let code = "class Filter:\n    def stream(self, event):\n        for choice in event['choices']:\n            text = choice['delta'].get('content')\n            if text:\n                choice['delta']['content'] = text.replace('[removed]', 'ann')\n        return event\n";
        let setup = setup(&upstream).tables(&table).python();
        let gateway = setup.function("zz_undo", code).start().await;
        let answer = gateway.user().chat(&streamed_chat("echo", "ann.|2")).await;
        assert_eq!(
            answer.expect(200).streamed_content(),
            expected,
            "{settings}"
        );
    }
}
