//! Functions that ask the gateway for another completion.

use crate::support::{FakeUpstream, TestGateway, chat, source};

async fn gateway_with(upstream: &FakeUpstream, functions: &[&str], tables: &str) -> TestGateway {
    let setup = TestGateway::setup().python().tables(tables);
    let setup = functions
        .iter()
        .fold(setup, |setup, id| setup.function(id, &source(id)));
    setup.upstream("fake", &upstream.base_url()).start().await
}

#[tokio::test]
async fn a_filter_asks_a_model_and_is_no_filter_of_what_it_asks() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["asking"], "").await;
    let answer = gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    assert_eq!(answer.content(), "echo: <echo: summary> hi");
}

#[tokio::test]
async fn other_filters_see_what_a_function_asks_for() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["asking", "mark"], "").await;
    let answer = gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    let marked = gateway_with(&upstream, &["mark"], "").await;
    let summary = marked
        .user()
        .chat(&chat("echo", "summary"))
        .await
        .expect(200);
    let inner = format!("<{}>", summary.content());
    assert!(
        answer.content().contains(&inner),
        "{} has no {inner}",
        answer.content()
    );
}

#[tokio::test]
async fn filters_are_bypassed_by_functions_that_the_operator_trusts() {
    let upstream = FakeUpstream::echo().await;
    for (trust, is_marked) in [
        ("", true),
        ("[function.asking]\nbypass_filter = true", false),
    ] {
        let gateway = gateway_with(&upstream, &["asking", "mark"], trust).await;
        let answer = gateway
            .user()
            .chat(&chat("echo", "bypass"))
            .await
            .expect(200);
        let is_plain = answer.content().contains("<echo: summary>");
        assert_eq!(!is_plain, is_marked, "{}", answer.content());
    }
}

#[tokio::test]
async fn streams_come_back_as_a_response_with_lines() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["asking"], "").await;
    let answer = gateway
        .user()
        .chat(&chat("echo", "stream"))
        .await
        .expect(200);
    let text = answer.content();
    let lines: usize = text
        .strip_prefix("echo: ")
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(lines >= 3, "{text}");
}

#[tokio::test]
async fn refusals_reach_the_function_as_exceptions() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["asking"], "").await;
    let answer = gateway
        .user()
        .chat(&chat("echo", "unknown"))
        .await
        .expect(404);
    assert!(answer.text().contains("nobody"), "{}", answer.text());
}

#[tokio::test]
async fn functions_that_ask_for_themselves_come_to_an_end() {
    let gateway = TestGateway::setup().python();
    let gateway = gateway
        .function("asking_itself", &source("asking_itself"))
        .start()
        .await;
    let answer = gateway.user().chat(&chat("asking_itself", "hi")).await;
    assert!(answer.status >= 400, "{}", answer.text());
    assert!(answer.text().contains("deep"), "{}", answer.text());
}
