//! Functions that call others: their own host, and their siblings.

use serde_json::json;

use super::{gateway_with, setup_with, told};
use crate::support::{ADMIN_KEY, FakeUpstream, source};

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

#[tokio::test]
async fn a_sibling_that_is_switched_off_or_deleted_is_found_no_more() {
    let upstream = FakeUpstream::echo().await;
    let tables = "[function.asking_sibling]\ngroup = \"kit\"\n[function.helping]\ngroup = \"kit\"";
    let setup = setup_with(&[]).upstream("fake", &upstream.base_url());
    let gateway = setup.tables(tables).start().await;
    let management = gateway.management();
    for id in ["asking_sibling", "helping"] {
        management
            .install_filter(id, &source(&format!("habits/{id}")))
            .await;
    }
    assert_eq!(told(&gateway.user(), "hi").await, "HI! 0");
    management.toggle("helping").await;
    assert_eq!(told(&gateway.user(), "hi").await, "hi alone");
    management.toggle("helping").await;
    assert_eq!(told(&gateway.user(), "hi").await, "HI! 1");
    management.delete("helping").await.expect(200);
    assert_eq!(told(&gateway.user(), "hi").await, "hi alone");
    let code = source("habits/helping");
    management.install_filter("helping", &code).await;
    for seen in ["HI! 0", "HI! 1"] {
        assert_eq!(told(&gateway.user(), "hi").await, seen);
    }
    let code = format!("{code}\n# again\n");
    management.update("helping", &code).await.expect(200);
    assert_eq!(told(&gateway.user(), "hi").await, "HI! 0", "the new one");
}

#[tokio::test]
async fn siblings_find_each_other_after_a_restart_before_either_was_called() {
    let upstream = FakeUpstream::echo().await;
    let tables =
        "[function.asking_sibling]\ngroup = \"kit\"\n[function.helping]\ngroup = \"kit\"\n";
    let setup = || {
        setup_with(&[])
            .upstream("fake", &upstream.base_url())
            .tables(tables)
    };
    let mut gateway = setup().start().await;
    for id in ["asking_sibling", "helping"] {
        gateway
            .management()
            .install_filter(id, &source(&format!("habits/{id}")))
            .await;
    }
    gateway.terminate();
    assert!(gateway.ended().await.success());
    let again = setup().home_of(&gateway).start().await;
    assert_eq!(told(&again.user(), "hi").await, "HI! 0");
}
