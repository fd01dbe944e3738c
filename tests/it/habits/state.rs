//! Where functions keep what they know: modules, instances, context variables, metadata.

use futures_util::future::join_all;

use super::{ask, gateway_with, habit, setup_with, told};
use crate::support::{Door, FakeUpstream, TestGateway, chat, source, streamed_chat};

#[tokio::test]
async fn a_module_keeps_what_it_knows_until_the_next_upload() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &[]).await;
    let management = gateway.management();
    let code = source("habits/remembering");
    management.install_filter("remembering", &code).await;
    assert_eq!(
        told(&gateway.user(), "a").await,
        "1 None {'User Two': ['a']}"
    );
    let second = "2 User Two {'User Two': ['a'], 'Admin One': ['b']}";
    assert_eq!(told(&gateway.admin(), "b").await, second);
    management.update("remembering", &code).await.expect(200);
    assert_eq!(
        told(&gateway.user(), "c").await,
        "1 None {'User Two': ['c']}"
    );
}

#[tokio::test]
async fn overlapping_requests_of_two_users_do_not_mix_on_self_in_sync_handlers() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["on_self"]).await;
    let asked = (0..24).map(|number| {
        let (client, name) = match number % 2 {
            0 => (gateway.user(), "User Two"),
            _ => (gateway.admin(), "Admin One"),
        };
        async move {
            let text = format!("question {number}");
            assert_eq!(told(&client, &text).await, format!("{text} of {name}"));
        }
    });
    join_all(asked).await;
}

#[tokio::test]
async fn an_async_handler_finds_its_neighbours_value_on_self_but_its_own_in_a_context_variable() {
    let upstream = FakeUpstream::echo().await;
    let door = Door::start().await;
    let setup = TestGateway::setup()
        .python()
        .upstream("fake", &upstream.base_url());
    let code = habit("on_self_later", &[("DOOR", door.port)]);
    let gateway = setup.function("on_self_later", &code).start().await;
    let (user, admin) = (gateway.user(), gateway.admin());
    let neighbour = async {
        let waiting = door.expect("inlet").await;
        assert_eq!(told(&admin, "hi").await, "hi: Admin One, Admin One");
        drop(waiting);
    };
    let (told, ()) = tokio::join!(told(&user, "wait"), neighbour);
    assert_eq!(told, "wait: Admin One, User Two", "as in the real product");
}

#[tokio::test]
async fn a_context_variable_lasts_from_inlet_to_stream_and_outlet_of_its_request() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["in_context"]).await;
    let asked = (0..12).map(|number| {
        let (client, name) = match number % 2 {
            0 => (gateway.user(), "User Two"),
            _ => (gateway.admin(), "Admin One"),
        };
        async move {
            let answer = client.chat(&streamed_chat("echo", "hi")).await.expect(200);
            assert_eq!(
                answer.streamed_content(),
                format!("echo: <{name}>hi<{name}>")
            );
            assert_eq!(told(&client, "hi").await, format!("hi [{name}]"));
        }
    });
    join_all(asked).await;
}

#[tokio::test]
async fn metadata_carries_notes_to_the_next_filter_the_pipe_and_back_to_outlet() {
    let gateway = setup_with(&["noting", "reading_notes", "repeating"])
        .start()
        .await;
    let answer = gateway
        .user()
        .chat(&chat("repeating", "a b"))
        .await
        .expect(200);
    assert_eq!(
        answer.content(),
        "a b inlet:noting,2,['two'] pipe:True,False outlet:2,True,True"
    );
}

#[tokio::test]
async fn the_environment_is_read_as_the_operator_allows_and_written_for_oneself() {
    let upstream = FakeUpstream::echo().await;
    let setup = setup_with(&["environment"]).passing("SEARCH_URL", "http://search");
    let setup = setup.environment("SLUICEGATE_ADMIN_KEY", "sk-first-admin-0000000000000000001");
    let other = source("habits/environment").replace("\"first\"", "\"second\"");
    let setup = setup.function("second", &other);
    let gateway = setup.upstream("fake", &upstream.base_url()).start().await;
    for count in ["0", "1"] {
        let expected =
            format!("hi http://search first {count} no key http://search second {count} no key");
        assert_eq!(told(&gateway.user(), "hi").await, expected);
    }
}

#[tokio::test]
async fn files_are_written_beside_the_data_and_where_the_code_says() {
    let upstream = FakeUpstream::echo().await;
    let app = tempfile::tempdir().unwrap();
    let gateway = setup_with(&[])
        .environment(
            "SLUICEGATE_PYTHON_WRITE_PATHS",
            app.path().to_str().unwrap(),
        )
        .upstream("fake", &upstream.base_url())
        .start()
        .await;
    let data = app.path().join("backend/data");
    let code = source("habits/writing_files").replace("/app/backend/data", data.to_str().unwrap());
    gateway.management().install_filter("writing", &code).await;
    assert_eq!(told(&gateway.user(), "one").await, "1");
    assert_eq!(told(&gateway.user(), "two").await, "2");
    let seen = std::fs::read_to_string(
        gateway
            .data_dir()
            .join("functions_data/writing/habit/seen.json"),
    )
    .unwrap();
    assert_eq!(seen, "[\"one\", \"two\"]");
    assert_eq!(
        std::fs::read_to_string(data.join("log.txt")).unwrap(),
        "línea\nlínea\n"
    );
}

#[tokio::test]
async fn a_database_that_was_opened_in_the_constructor_serves_every_slow_sync_call() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["in_sqlite"]).await;
    for count in 1..=4 {
        assert_eq!(told(&gateway.user(), "hi").await, format!("hi {count}"));
    }
}

#[tokio::test]
async fn raising_refuses_in_inlet_and_is_an_accident_in_outlet() {
    let upstream = FakeUpstream::echo().await;
    let gateway = gateway_with(&upstream, &["raising"]).await;
    for (text, message) in [
        ("refuse", "Not before lunch."),
        ("stumble", "'no such member'"),
    ] {
        let refused = ask(&gateway.user(), text).await.expect(400);
        assert_eq!(refused.json()["error"]["message"], message);
        assert_eq!(refused.header("x-function-id"), "raising");
        let body = chat("echo", text);
        let refused = gateway
            .user()
            .post("/api/chat/completions", &body)
            .await
            .expect(400);
        assert_eq!(refused.json()["detail"], message);
    }
    assert_eq!(upstream.request_count(), 0);
    let answer = ask(&gateway.user(), "late").await.expect(200);
    assert_eq!(answer.content(), "echo: late");
    assert_eq!(answer.header("x-sluicegate-function-errors"), "raising");
}
