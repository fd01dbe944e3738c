//! Requirements: kept out until somebody approves them, built once, and tried again only on demand.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Answer, FakeUpstream, TestGateway, chat, python, source};

/// A function that wants something that the base environment does not have.
fn wanting() -> String {
    format!(
        "\"\"\"\nrequirements: not-there-at-all>=1\n\"\"\"\n{}",
        source("mark")
    )
}

/// A `uv` whose environments are the Python of the tests, and which cannot install anything while `fail` is there.
/// It notes what it was asked.
struct FakeUv {
    folder: tempfile::TempDir,
}

impl FakeUv {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "#!/bin/sh\n\
             echo \"$@\" >> '{folder}/asked'\n\
             if [ \"$1\" = venv ]; then\n\
               for last; do :; done\n\
               mkdir -p \"$last/bin\"\n\
               printf '#!/bin/sh\\nexec {python} \"$@\"\\n' > \"$last/bin/python\"\n\
               chmod +x \"$last/bin/python\"\n\
             elif [ -e '{folder}/fail' ]; then\n\
               echo 'it is nowhere to be had' >&2; exit 1\n\
             fi\n",
            folder = folder.path().display(),
            python = python().display(),
        );
        let path = folder.path().join("uv");
        std::fs::write(&path, script).unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, executable).unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("uv")
    }

    fn fail(&self, fails: bool) {
        let flag = self.folder.path().join("fail");
        if fails {
            std::fs::write(flag, "").unwrap();
        } else {
            std::fs::remove_file(flag).unwrap();
        }
    }

    /// How many environments it was asked for.
    fn builds(&self) -> usize {
        let asked = std::fs::read_to_string(self.folder.path().join("asked")).unwrap_or_default();
        asked
            .lines()
            .filter(|line| line.starts_with("venv"))
            .count()
    }
}

async fn gateway_with(upstream: &FakeUpstream, uv: &Path, approved: &str) -> TestGateway {
    let settings = format!("uv = \"{}\"\napproved = [{approved}]", uv.display());
    TestGateway::setup()
        .python()
        .python_settings(&settings)
        .upstream("fake", &upstream.base_url())
        .start()
        .await
}

async fn toggle(gateway: &TestGateway, id: &str) -> Answer {
    gateway.management().post(id, "toggle", &json!({})).await
}

/// The state of the environment of a function.
async fn state_of(gateway: &TestGateway, id: &str) -> Value {
    let listed = gateway.management().get_all("environments").await;
    let listed = listed.expect(200).json();
    let mut all = listed.as_array().unwrap().iter();
    let holds = |entry: &&Value| entry["functions"].as_array().unwrap().contains(&json!(id));
    all.find(holds).unwrap().clone()
}

#[tokio::test]
async fn what_nobody_approved_is_kept_inactive_until_somebody_does() {
    let upstream = FakeUpstream::echo().await;
    let uv = FakeUv::new();
    let gateway = gateway_with(&upstream, &uv.path(), "").await;
    let management = gateway.management();
    let created = management.create("mark", &wanting()).await.expect(200);
    let created = created.json();
    let why = created["not_loaded"].as_str().unwrap();
    assert!(why.contains("`not-there-at-all`") && why.contains("python.approved"));
    assert_eq!(
        (&created["is_active"], &created["type"]),
        (&json!(false), &json!("filter"))
    );
    let refused = toggle(&gateway, "mark").await.expect(400);
    assert_eq!(refused.json()["detail"], why);
    let entry = state_of(&gateway, "mark").await;
    assert_eq!(entry["state"], "unapproved");
    assert_eq!(entry["unapproved"], json!(["not-there-at-all"]));
    assert_eq!(uv.builds(), 0);
    gateway
        .reconfigure("approved = []", "approved = [\"not-there-at-all\"]")
        .await;
    let active = toggle(&gateway, "mark").await.expect(200).json();
    assert_eq!(
        (&active["is_active"], &active["not_loaded"]),
        (&json!(true), &Value::Null)
    );
    management.toggle_global("mark").await;
    let answer = gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    assert_eq!(answer.content(), "echo: hi mark");
    let entry = state_of(&gateway, "mark").await;
    assert_eq!((&entry["state"], uv.builds()), (&json!("ready"), 1));
    let said = gateway.log();
    assert!(said.contains("making a Python environment") && said.contains("is ready"));
}

#[tokio::test]
async fn a_version_that_wants_more_does_not_replace_one_that_serves() {
    let upstream = FakeUpstream::echo().await;
    let uv = FakeUv::new();
    let gateway = gateway_with(&upstream, &uv.path(), "").await;
    let management = gateway.management();
    management.install_filter("mark", &source("mark")).await;
    let refused = management.update("mark", &wanting()).await.expect(400);
    assert!(refused.text().contains("not-there-at-all"));
    let answer = gateway.user().chat(&chat("echo", "hi")).await.expect(200);
    assert_eq!(answer.content(), "echo: hi mark");
}

#[tokio::test]
async fn what_cannot_be_installed_says_why_and_is_tried_again_on_demand() {
    let upstream = FakeUpstream::echo().await;
    let uv = FakeUv::new();
    uv.fail(true);
    let gateway = gateway_with(&upstream, &uv.path(), "\"not-there-at-all\"").await;
    let created = gateway.management().create("mark", &wanting()).await;
    let created = created.expect(200).json();
    let why = created["not_loaded"].as_str().unwrap();
    assert!(why.contains("it is nowhere to be had"), "{why}");
    let entry = state_of(&gateway, "mark").await;
    assert_eq!(
        (&entry["state"], &entry["error"]),
        (&json!("failed"), &json!(why))
    );
    assert_eq!(uv.builds(), 1);
    toggle(&gateway, "mark").await.expect(400);
    assert_eq!(uv.builds(), 2);
    uv.fail(false);
    toggle(&gateway, "mark").await.expect(200);
    assert_eq!(uv.builds(), 3);
}

#[tokio::test]
async fn requests_do_not_try_a_failed_build_again() {
    let upstream = FakeUpstream::echo().await;
    let uv = FakeUv::new();
    uv.fail(true);
    let settings = format!("uv = \"{}\"\nrequirements = \"auto\"", uv.path().display());
    let gateway = TestGateway::setup()
        .python()
        .python_settings(&settings)
        .upstream("fake", &upstream.base_url())
        .function("mark", &wanting())
        .start()
        .await;
    for _ in 0..3 {
        let answer = gateway.user().chat(&chat("echo", "hi")).await;
        assert!(answer.expect(503).text().contains("nowhere to be had"));
    }
    assert_eq!((uv.builds(), upstream.request_count()), (1, 0));
}
