//! Functions that call others: their own host, and their siblings.

use serde_json::json;

use super::{gateway_with, setup_with, told};
use crate::support::{ADMIN_KEY, FakeUpstream};

#[tokio::test]
async fn a_function_can_call_the_gateway_it_runs_in() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["own_host"]).await;
    let valves = json!({"webui_url": format!("http://{}", gateway.address), "api_key": ADMIN_KEY});
    gateway
        .management()
        .set_valves("own_host", &valves)
        .await
        .expect(200);
    assert_eq!(
        told(&gateway.user(), "hi").await,
        "echo <echo: Summarise: hi>"
    );
}

#[tokio::test]
async fn siblings_of_a_group_find_each_other_and_others_do_not() {
    let upstream = FakeUpstream::echo().await;
    let setup = setup_with(&["asking_sibling", "helping"]).upstream("fake", &upstream.base_url());
    let gateway = setup.start().await;
    assert_eq!(told(&gateway.user(), "hi").await, "hi alone");
    let setup = setup_with(&["asking_sibling", "helping"]).upstream("fake", &upstream.base_url());
    let setup = setup
        .tables("[function.asking_sibling]\ngroup = \"kit\"\n[function.helping]\ngroup = \"kit\"");
    let gateway = setup.start().await;
    assert_eq!(told(&gateway.user(), "hi").await, "HI! 0");
    assert_eq!(told(&gateway.user(), "hi").await, "HI! 1");
}
