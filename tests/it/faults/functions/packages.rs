//! P19: two functions that want two versions of one package.

use tokio::task::JoinSet;

use crate::support::{TestGateway, chat};

/// A pipe that answers with the version it has, by itself and by what its installer noted.
fn wanting(requirements: &str) -> String {
    format!(
        "\"\"\"\nrequirements: {requirements}\n\"\"\"\nimport importlib.metadata\n\nimport six\n\n\nclass Pipe:\n    def pipe(self, body):\n        return f\"{{six.__version__}} {{importlib.metadata.version('six')}}\"\n"
    )
}

#[tokio::test]
async fn p19_two_versions_of_one_package_serve_side_by_side() {
    let gateway = TestGateway::setup()
        .python()
        .approving(&["six"])
        .start()
        .await;
    let management = gateway.management();
    for (id, version) in [("older", "1.15.0"), ("newer", "1.16.0")] {
        management
            .install(id, &wanting(&format!("six=={version}")))
            .await;
    }
    let mut calls = JoinSet::new();
    for number in 0..40 {
        let client = gateway.user();
        let (id, version) = [("older", "1.15.0"), ("newer", "1.16.0")][number % 2];
        calls.spawn(async move {
            let answer = client.chat(&chat(id, "hi")).await.expect(200);
            assert_eq!(answer.content(), format!("{version} {version}"), "{id}");
        });
    }
    while let Some(call) = calls.join_next().await {
        call.unwrap();
    }
}

#[tokio::test]
async fn p19_a_conflict_within_one_function_is_refused_by_name() {
    let gateway = TestGateway::setup()
        .python()
        .approving(&["six"])
        .start()
        .await;
    let management = gateway.management();
    management.install("older", &wanting("six==1.15.0")).await;
    let created = management
        .create("torn", &wanting("six==1.15.0, six==1.16.0"))
        .await;
    let created = created.expect(200).json();
    let why = created["not_loaded"].as_str().unwrap();
    assert!(why.contains("six"), "{why}");
    let refused = management
        .post("torn", "toggle", &serde_json::json!({}))
        .await;
    assert!(refused.expect(400).text().contains("six"));
    // The same as a new version of one that serves: that one serves on.
    let refused = management
        .update("older", &wanting("six==1.15.0, six==1.16.0"))
        .await;
    assert!(refused.expect(400).text().contains("six"));
    let answer = gateway.user().chat(&chat("older", "hi")).await.expect(200);
    assert_eq!(answer.content(), "1.15.0 1.15.0");
}
