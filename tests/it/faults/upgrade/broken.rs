//! R04: upgrades that fail, and processes that die in the middle of one.

use std::path::Path;

use rustix::process::Signal;
use tempfile::TempPath;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::{model_server, number_of, serves, set_number, setup, signal, stamped};
use crate::PATIENCE;
use crate::support::{FakeUpstream, Gate, TestGateway, chat, listen, source_with, within};

async fn upstream() -> FakeUpstream {
    model_server(&Gate::new(), &Gate::new()).await
}

/// A filter that takes until there is a file to load, so that a process can be met while it starts.
fn waiting_filter(file: &Path) -> String {
    format!(
        "import os, time\n\nwhile not os.path.exists({:?}):\n    time.sleep(0.01)\n\n\nclass Filter:\n    \
         def inlet(self, body):\n        return body\n",
        file.display().to_string()
    )
}

/// A gateway whose functions folder holds such a filter, and the file, which decides whether it loads.
async fn with_waiting_filter(upstream: &FakeUpstream) -> (TestGateway, TempPath) {
    let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let setup = setup(upstream).function("waiting", &waiting_filter(&file));
    let gateway = setup.start().await;
    let code = source_with("stamp", &[]);
    gateway.management().install_filter("stamp", &code).await;
    (gateway, file)
}

#[tokio::test]
async fn r04_a_process_that_fails_its_start_changes_nothing() {
    let upstream = upstream().await;
    let gateway = stamped(&upstream).await;
    let taken = listen().await.local_addr().unwrap();
    let busy = std::net::TcpListener::bind(taken).unwrap();
    let (ours, address) = (gateway.address.to_string(), taken.to_string());
    let settings: [(&dyn Fn(String) -> String, &str); 4] = [
        (
            &|text| format!("no_such_setting = 1\n{text}"),
            "no_such_setting",
        ),
        (&|text| text.replace(&ours, &address), "cannot listen on"),
        (
            &|text| text.replace("interpreter = \"", "interpreter = \"/nowhere"),
            "none can be started",
        ),
        (
            &|text| format!("tls.cert = \"/nowhere\"\ntls.key = \"/nowhere\"\n{text}"),
            "TLS",
        ),
    ];
    for (number, (change, said)) in (1..).zip(settings) {
        let log = gateway.successor(change).failed().await;
        assert!(log.contains(said), "`{said}` is not in {log}");
        serves(&gateway, number).await;
    }
    // Those that came as far as to ask are in the log of the one that serves, with the reason.
    gateway.logged("none can be started").await;
    assert!(
        gateway
            .log()
            .contains("upgrade failed, what serves goes on")
    );
    drop(busy);
    let successor = gateway.upgrade().await;
    serves(&successor, 5).await;
}

#[tokio::test]
async fn r04_a_database_of_a_newer_version_is_left_alone() {
    let upstream = upstream().await;
    let gateway = stamped(&upstream).await;
    let database = rusqlite::Connection::open(gateway.data_dir().join("sluicegate.db")).unwrap();
    let version = |number: Option<i32>| -> i32 {
        if let Some(number) = number {
            database
                .pragma_update(None, "user_version", number)
                .unwrap();
        }
        database
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap()
    };
    let ours = version(None);
    version(Some(99));
    let log = gateway.successor(|text| text).failed().await;
    assert!(log.contains("newer version of sluicegate"), "{log}");
    assert_eq!(version(None), 99);
    gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    // What a newer version has taken over is not written to by this one.
    set_number(&gateway, 1).await.expect(503);
    version(Some(ours));
    serves(&gateway, 2).await;
}

#[tokio::test]
async fn r04_an_older_database_is_migrated_with_the_takeover_or_not_at_all() {
    let upstream = upstream().await;
    let gateway = stamped(&upstream).await;
    let database = rusqlite::Connection::open(gateway.data_dir().join("sluicegate.db")).unwrap();
    let version = || -> i32 {
        database
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap()
    };
    let newest = version();
    serves(&gateway, 1).await;
    // As the version before `documents`, and before valves of versions, left it.
    database
        .execute_batch(
            "ALTER TABLE function_versions DROP COLUMN valves; DROP TABLE documents; PRAGMA user_version = 1",
        )
        .unwrap();
    let broken = |text: String| text.replace("interpreter = \"", "interpreter = \"/nowhere");
    gateway.successor(broken).failed().await;
    assert_eq!(version(), 1);
    // A process of this version cannot write what an older one would; it reads and answers.
    assert_eq!(number_of(&gateway).await, 1);
    gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    let successor = gateway.upgrade().await;
    assert_eq!(version(), newest);
    assert_eq!(number_of(&successor).await, 1);
    serves(&successor, 2).await;
}

#[tokio::test]
async fn r04_a_new_process_that_is_killed_while_it_starts_changes_nothing() {
    let upstream = upstream().await;
    let (gateway, file) = with_waiting_filter(&upstream).await;
    std::fs::remove_file(&file).unwrap();
    let mut successor = gateway.successor(|text| text);
    successor.logged("Python is ready").await;
    // Changes while it starts are made, and found by the next.
    set_number(&gateway, 1).await.expect(200);
    signal(successor.process(), Signal::KILL);
    successor.ended().await;
    gateway.logged("it ended before it had taken over").await;
    serves(&gateway, 2).await;
    std::fs::write(&file, "").unwrap();
    let successor = gateway.upgrade().await;
    assert_eq!(number_of(&successor).await, 2);
    serves(&successor, 3).await;
}

#[tokio::test]
async fn r04_the_new_process_goes_on_alone_when_the_other_is_killed() {
    let upstream = upstream().await;
    let (mut gateway, file) = with_waiting_filter(&upstream).await;
    std::fs::remove_file(&file).unwrap();
    let successor = gateway.successor(|text| text);
    successor.logged("Python is ready").await;
    set_number(&gateway, 1).await.expect(200);
    signal(gateway.process(), Signal::KILL);
    gateway.ended().await;
    std::fs::write(&file, "").unwrap();
    successor.logged("listening").await;
    assert!(successor.log().contains("has died"));
    assert_eq!(number_of(&successor).await, 1);
    serves(&successor, 2).await;
    let next = successor.upgrade().await;
    assert_eq!(number_of(&next).await, 2);
}

#[tokio::test]
async fn r04_without_a_gateway_there_is_nothing_to_take_over() {
    let mut gateway = TestGateway::setup().start().await;
    gateway.terminate();
    gateway.ended().await;
    let log = gateway.successor(|text| text).failed().await;
    assert!(log.contains("start without --upgrade"), "{log}");
}

/// A successor that says one thing at a time.
struct Puppet(BufReader<UnixStream>);

impl Puppet {
    async fn of(gateway: &TestGateway) -> Self {
        let path = gateway.data_dir().join("upgrade.sock");
        Self(BufReader::new(UnixStream::connect(path).await.unwrap()))
    }

    /// What is answered, empty at the end.
    async fn say(&mut self, line: &str) -> String {
        // Who has closed takes no more.
        let _ = self.0.write_all(format!("{line}\n").as_bytes()).await;
        let mut answer = String::new();
        let read = self.0.read_line(&mut answer);
        within(PATIENCE, "an answer to a successor", read)
            .await
            .unwrap();
        answer
    }
}

const HELLO: &str = r#"{"hello":{"protocol":1,"version":"test"}}"#;

#[tokio::test]
async fn r04_changes_wait_for_a_takeover_and_are_made_if_it_fails() {
    let upstream = upstream().await;
    let gateway = stamped(&upstream).await;
    for last in [&[r#""freeze""#][..], &[r#""freeze""#, r#""take""#]] {
        let mut puppet = Puppet::of(&gateway).await;
        assert!(puppet.say(HELLO).await.contains("offer"));
        for said in last {
            assert_ne!(puppet.say(said).await, "");
        }
        let mut other = Puppet::of(&gateway).await;
        let refused = other.say(HELLO).await;
        assert!(
            refused.contains("another upgrade is under way"),
            "{refused}"
        );
        if last.len() == 1 {
            // Not for long: whoever waits is told when to try again.
            let told = set_number(&gateway, 1).await.expect(503);
            assert_eq!(told.header("retry-after"), "1");
        }
        gateway.user().chat(&chat("echo", "hi")).await.expect(200);
        let waiting = set_number(&gateway, 2);
        let (waited, ()) = tokio::join!(waiting, async { drop(puppet) });
        waited.expect(200);
        serves(&gateway, 3).await;
    }
    gateway.logged("it ended before it had taken over").await;
}

#[tokio::test]
async fn r04_who_speaks_nonsense_gets_nothing() {
    let upstream = upstream().await;
    let gateway = stamped(&upstream).await;
    let other = r#"{"hello":{"protocol":2,"version":"9.9"}}"#;
    for (said, answered) in [
        ("GET / HTTP/1.1", "cannot be understood"),
        (other, "cannot take over from"),
        (r#""freeze""#, "out of turn"),
        (r#"{"failed":{"why":"no reason"}}"#, "no reason"),
    ] {
        let mut puppet = Puppet::of(&gateway).await;
        let answer = puppet.say(said).await;
        assert!(answer.contains(answered), "{answer}");
        gateway.logged(answered).await;
    }
    serves(&gateway, 1).await;
    let mut puppet = Puppet::of(&gateway).await;
    assert!(puppet.say(HELLO).await.contains("offer"));
    let answer = puppet.say(r#""take""#).await;
    assert!(answer.contains("out of turn"), "{answer}");
    let successor = gateway.upgrade().await;
    serves(&successor, 2).await;
}
