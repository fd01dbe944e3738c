//! The environments that functions run in: what they hold, and whether they are there.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::reply::{Administrator, Answer};
use crate::host::{EnvironmentReport, Host};
use crate::registry::{Registry, frontmatter};

pub(super) async fn list(
    State(registry): State<Arc<Registry>>,
    State(host): State<Host>,
    _: Administrator,
) -> Answer {
    let mut sets: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for function in registry.current().functions() {
        let mut requirements = frontmatter::requirements(&function.version.source);
        requirements.sort();
        requirements.dedup();
        let functions = sets.entry(requirements).or_default();
        functions.push(function.id.as_str().to_owned());
    }
    let mut environments = Vec::new();
    for (requirements, functions) in sets {
        let report = host.environment(&requirements).await;
        environments.push(entry(&requirements, &functions, &report));
    }
    Ok(Json(Value::Array(environments)))
}

fn entry(requirements: &[String], functions: &[String], report: &EnvironmentReport) -> Value {
    json!({
        "requirements": requirements,
        "functions": functions,
        "state": report.state.as_str(),
        "missing": report.missing,
        "unapproved": report.unapproved,
        "path": report.path,
        "error": report.error,
    })
}
