//! What functions print and log, and how they look at themselves.

use super::{gateway_with, told};
use crate::PATIENCE;
use crate::support::{FakeUpstream, TestGateway, eventually, source};

/// The output of a function, once it has so many lines.
async fn output(gateway: &TestGateway, id: &str, lines: usize) -> Vec<String> {
    let management = gateway.management();
    let what = format!("{lines} lines of {id}");
    let look = async || {
        let output = management.output(id).await;
        (output.len() >= lines).then_some(output)
    };
    eventually(PATIENCE, &what, look).await
}

#[tokio::test]
async fn prints_are_kept_for_admins_under_the_function_and_stay_out_of_the_log() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["printing", "documented"]).await;
    told(&gateway.user(), "hi").await;
    let expected = [
        "inlet:function_printing",
        "inlet:user User Two",
        "{'keys': ['messages', 'model']}",
        "careful",
        "no line end, then one",
        "outlet:echo: hi 1.2.3 3",
    ];
    assert_eq!(output(&gateway, "printing", expected.len()).await, expected);
    assert!(gateway.management().output("documented").await.is_empty());
    assert!(!gateway.log().contains("User Two"), "prints are in no log");
    gateway
        .user()
        .get("/api/v1/functions/id/printing/output")
        .await
        .expect(401);
}

#[tokio::test]
async fn logging_that_is_set_up_anew_neither_vanishes_nor_doubles_after_an_upload() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &[]).await;
    let management = gateway.management();
    let code = source("habits/logging_along");
    management.install_filter("along", &code).await;
    told(&gateway.user(), "hi").await;
    let once = output(&gateway, "along", 5).await;
    let count =
        |lines: &[String], text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(count(&once, "INFO along: by the root"), 1, "{once:?}");
    assert_eq!(
        count(&once, "DEBUG - by a handler of its own"),
        1,
        "{once:?}"
    );
    assert!(count(&once, "KeyError: 'missing'") > 0, "{once:?}");
    management.update("along", &code).await.expect(200);
    told(&gateway.user(), "hi").await;
    let twice = output(&gateway, "along", 2 * once.len()).await;
    assert_eq!(twice.len(), 2 * once.len(), "{twice:?}");
    assert!(!gateway.log().contains("by the root"));
}

#[tokio::test]
async fn the_text_of_a_module_can_be_read_in_the_body_of_its_class() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["documented"]).await;
    assert_eq!(told(&gateway.user(), "hi").await, "hi 1.2.3 3");
}

#[tokio::test]
async fn frames_sources_and_tracebacks_can_be_looked_at() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["looking"]).await;
    let seen = told(&gateway.user(), "hi").await;
    assert_eq!(
        seen,
        "inlet inlet|class Filter:    def caller(self):|True|Truefunction_looking"
    );
}
