//! `sluicegate functions`: one file tried out alone, and the functions of a gateway that runs.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::PATIENCE;
use crate::support::{
    ADMIN_KEY, FakeUpstream, TestGateway, chat, python, source, source_with, within,
};

const SHY: &str = r#"
from pydantic import BaseModel


class Filter:
    class Valves(BaseModel):
        word: str = "hello"

    def __init__(self):
        self.valves = self.Valves()

    async def inlet(self, body, __event_emitter__):
        print("asked", len(body["messages"]))
        await __event_emitter__({"type": "status", "data": {"description": "working"}})
        body["messages"][-1]["content"] += " " + self.valves.word
        return body

    def stream(self, event):
        for choice in event["choices"]:
            choice["delta"]["content"] = choice["delta"].get("content", "").upper()
        return event

    def outlet(self, body):
        if "BAD" in body["messages"][-1]["content"]:
            raise ValueError("bad answer")
        return body
"#;

/// What a command printed, and how it ended.
struct Said {
    code: Option<i32>,
    out: String,
    error: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{}{}", self.out, self.error))
    }
}

async fn sluicegate(args: &[&str], environment: &[(&str, &str)]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
    command.arg("functions").args(args).env_clear();
    command.env("PATH", std::env::var("PATH").unwrap_or_default());
    command.envs(environment.iter().copied());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = within(PATIENCE, "the end of the command", command.output());
    let output = output.await.unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        error: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn file(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Tries a file out on the Python of the tests.
async fn try_out(folder: &TempDir, function: &Path, more: &[&str]) -> Said {
    let body = file(folder, "body.json", &chat("echo", "hi").to_string());
    let data = folder.path().join("data");
    let fixed = [
        "test",
        function.to_str().unwrap(),
        "--body",
        body.to_str().unwrap(),
        "--data-dir",
        data.to_str().unwrap(),
        "--python-base=false",
        "--python-interpreter",
        python().to_str().unwrap(),
    ]
    .map(str::to_owned);
    let args: Vec<&str> = fixed
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect();
    sluicegate(&args, &[]).await
}

#[tokio::test]
async fn a_trial_shows_each_stage() {
    let folder = tempfile::tempdir().unwrap();
    let function = file(&folder, "shy.py", SHY);
    let valves = file(&folder, "valves.json", r#"{"word": "there"}"#);
    let valves = valves.to_str().unwrap();
    let said = try_out(&folder, &function, &["--json", "--valves", valves]).await;
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.error);
    let report = said.json();
    let stages = report["stages"].as_array().unwrap();
    let names: Vec<&str> = stages
        .iter()
        .map(|stage| stage["stage"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["load", "inlet", "stream", "outlet"]);
    let inlet = &stages[1];
    assert_eq!(inlet["input"]["messages"][0]["content"], "hi");
    assert_eq!(inlet["output"]["messages"][0]["content"], "hi there");
    assert_eq!(inlet["events"][0]["data"]["description"], "working");
    assert_eq!(inlet["prints"], json!(["asked 1"]));
    assert!(inlet["milliseconds"].as_f64().unwrap() > 0.0);
    let seen = &stages[3]["input"]["messages"][1]["content"];
    assert_eq!(seen, "ECHO: HI THERE");
    let said = try_out(&folder, &function, &["--handler", "inlet"]).await;
    assert!(said.out.contains("printed: asked 1") && !said.out.contains("== outlet"));
}

#[tokio::test]
async fn a_trial_that_fails_says_where_and_ends_so() {
    let folder = tempfile::tempdir().unwrap();
    let function = file(&folder, "shy.py", SHY);
    let events = "data: {\"choices\":[{\"delta\":{\"content\":\"bad\"}}]}\n\ndata: [DONE]\n\n";
    let events = file(&folder, "events.txt", events);
    let events = ["--stream-events", events.to_str().unwrap()];
    let said = try_out(&folder, &function, &events).await;
    assert_eq!(said.code, Some(1), "{}", said.out);
    let parts = ["FAILED", "ValueError: bad answer", "in outlet"];
    assert!(
        parts.iter().all(|part| said.out.contains(part)),
        "{}",
        said.out
    );
    let broken = file(
        &folder,
        "broken.py",
        "class Filter:\n    def inlet(self, body)\n",
    );
    let said = try_out(&folder, &broken, &[]).await;
    assert_eq!(said.code, Some(1));
    assert!(
        said.out.contains("expected ':' (<string>, line 2)"),
        "{}",
        said.out
    );
    let missing = try_out(&folder, Path::new("/nowhere/x.py"), &[]).await;
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.error.contains("`/nowhere/x.py`"),
        "{}",
        missing.error
    );
}

#[tokio::test]
async fn functions_of_a_gateway_are_managed_from_the_command_line() {
    let upstream = FakeUpstream::echo().await;
    let setup = TestGateway::setup().python();
    let gateway = setup.upstream("fake", &upstream.base_url()).start().await;
    let url = format!("http://{}", gateway.address);
    let environment = [
        ("SLUICEGATE_URL", url.as_str()),
        ("SLUICEGATE_KEY", ADMIN_KEY),
    ];
    let run = async |args: &[&str]| {
        let said = sluicegate(args, &environment).await;
        assert_eq!(said.code, Some(0), "{args:?}: {}", said.error);
        said
    };
    let content = async || {
        let answer = gateway.user().chat(&chat("echo", "hi")).await;
        answer.expect(200).content()
    };
    let folder = tempfile::tempdir().unwrap();
    let first = file(&folder, "mark.py", &source("mark"));
    let second = source_with("mark", &[("MARK", "\"second\"")]);
    let second = file(&folder, "second.py", &second);
    run(&["add", first.to_str().unwrap(), "--global"]).await;
    assert_eq!(content().await, "echo: hi mark");
    run(&["update", "mark", second.to_str().unwrap()]).await;
    assert_eq!(content().await, "echo: hi second");
    run(&["rollback", "mark"]).await;
    assert_eq!(content().await, "echo: hi mark");
    let history = run(&["history", "mark", "--json"]).await.json();
    assert_eq!(history.as_array().unwrap().len(), 2);
    run(&["valves", "mark", "mark=set"]).await;
    assert_eq!(content().await, "echo: hi set");
    let newest = history[0]["id"].as_str().unwrap();
    run(&["rollback", "mark", newest]).await;
    assert_eq!(content().await, "echo: hi second", "with its own valves");
    run(&["rollback", "mark"]).await;
    run(&["rollback", "mark", newest, "--keep-valves"]).await;
    assert_eq!(content().await, "echo: hi set");
    run(&["disable", "mark"]).await;
    run(&["disable", "mark"]).await;
    assert_eq!(content().await, "echo: hi");
    let export = folder.path().join("export.json");
    let export = export.to_str().unwrap();
    run(&["export", "--valves", "--output", export]).await;
    gateway.management().delete("mark").await.expect(200);
    run(&["import", export]).await;
    run(&["enable", "mark"]).await;
    assert_eq!(content().await, "echo: hi set");
    let listed = run(&["list"]).await;
    assert!(
        listed.out.contains("mark") && listed.out.contains("on, global"),
        "{}",
        listed.out
    );
    assert!(run(&["environments"]).await.out.contains("ready"));
}

#[tokio::test]
async fn a_command_that_cannot_be_done_says_why() {
    let said = sluicegate(&["list"], &[]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.error.contains("SLUICEGATE_KEY"), "{}", said.error);
    let nobody = ["--url", "http://127.0.0.1:9", "--key", "sk-x", "list"];
    let said = sluicegate(&nobody, &[]).await;
    assert!(said.error.contains("cannot be reached"), "{}", said.error);
    let gateway = TestGateway::setup().start().await;
    let url = format!("http://{}", gateway.address);
    let said = sluicegate(&["--url", &url, "--key", ADMIN_KEY, "history", "none"], &[]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.error.contains("could not find"), "{}", said.error);
    assert!(!said.error.contains(ADMIN_KEY));
}
