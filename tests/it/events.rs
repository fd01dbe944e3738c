//! What functions tell while a request lives: in the stream for clients that ask, by the request's id for all.

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Answer, Client, TestGateway, chat, source, source_with, streamed_chat};

const WANTED: (&str, &str) = ("x-sluicegate-events", "inline");

async fn gateway() -> TestGateway {
    let setup = TestGateway::setup().python();
    setup.function("telling", &source("telling")).start().await
}

fn listening(client: Client) -> Client {
    client.with(WANTED.0, WANTED.1)
}

/// What an event of the stream is: the type of a function's event, or the text of a chunk.
fn kind(event: &str) -> String {
    let event: Value = serde_json::from_str(event).unwrap_or(json!(event));
    let told = event["event"]["type"].as_str();
    let text = event["choices"][0]["delta"]["content"].as_str();
    told.or(text).or(event.as_str()).unwrap_or("end").to_owned()
}

fn kinds(answer: &Answer) -> Vec<String> {
    answer.events().iter().map(|event| kind(event)).collect()
}

#[tokio::test]
async fn clients_that_ask_hear_events_within_the_stream() {
    let gateway = gateway().await;
    let client = listening(gateway.user());
    let answer = client
        .stream(&streamed_chat("telling", "hi"))
        .await
        .collect()
        .await;
    let mut heard = kinds(&answer);
    assert_eq!(
        heard[..2],
        ["status", "citation"],
        "told before the first word"
    );
    assert_eq!(heard[4..], ["end", "[DONE]"]);
    heard[2..4].sort();
    assert_eq!(heard[2..4], ["said hi", "status"]);
}

#[tokio::test]
async fn the_option_of_streams_asks_as_well_and_does_not_travel_on() {
    let gateway = gateway().await;
    let mut body = streamed_chat("telling", "hi");
    body["stream_options"] = json!({"include_events": true, "include_usage": true});
    let answer = gateway.user().stream(&body).await.collect().await;
    assert!(
        kinds(&answer).contains(&"citation".to_owned()),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn clients_that_do_not_ask_see_a_plain_stream() {
    let gateway = gateway().await;
    let answer = gateway
        .user()
        .stream(&streamed_chat("telling", "hi"))
        .await
        .collect()
        .await;
    assert_eq!(kinds(&answer), ["said hi", "end", "[DONE]"]);
}

#[tokio::test]
async fn a_status_is_heard_before_the_first_word() {
    let witness = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = witness.local_addr().unwrap().port().to_string();
    let code = source_with("telling", &[("WITNESS", &port)]);
    let gateway = TestGateway::setup()
        .python()
        .function("telling", &code)
        .start()
        .await;
    let client = listening(gateway.user());
    let mut events = client.stream(&streamed_chat("telling", "wait")).await;
    assert_eq!(kind(&events.next().await.unwrap()), "status");
    // Only now may the pipe go on.
    drop(witness.accept().await.unwrap());
    let rest = events.rest().await;
    let rest: Vec<String> = rest.iter().map(|event| kind(event)).collect();
    assert!(rest.contains(&"said wait".to_owned()), "{rest:?}");
    assert_eq!(rest.last().unwrap(), "[DONE]");
}

#[tokio::test]
async fn events_can_be_read_back_by_the_requests_id() {
    let gateway = gateway().await;
    let answer = gateway
        .user()
        .chat(&chat("telling", "hi"))
        .await
        .expect(200);
    let path = format!("/api/chat/events/{}", answer.header("x-request-id"));
    let events = gateway.user().get(&path).await.expect(200).json();
    let kinds: Vec<&str> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|told| told["event"]["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["status", "citation", "status"]);
    assert_eq!(events["events"][0]["function"], "telling");
    let others = gateway
        .admin()
        .chat(&chat("telling", "hi"))
        .await
        .expect(200);
    let path = format!("/api/chat/events/{}", others.header("x-request-id"));
    gateway.user().get(&path).await.expect(404);
    gateway.admin().get(&path).await.expect(200);
}
