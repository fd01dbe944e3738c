//! `sluicegate functions test`: one function file in a worker, without a server or a store, stage by stage.

mod inputs;
mod samples;
mod stages;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::time::Instant;

use self::inputs::Inputs;
use self::stages::Run;
pub use super::report::Report;
use super::report::{Outcome, Stage};
use super::{CommandError, read_text};
use crate::cli::Trial;
use crate::config::Config;
use crate::gateway::python_settings;
use crate::host::Host;
use crate::registry::{
    Candidate, Function, FunctionId, FunctionSettings, FunctionVersion, Loader, Origin, Record,
    Valves, settings_from,
};

/// Who asks in a trial.
const USER_ID: &str = "00000000-0000-4000-8000-000000000000";

/// Runs a function file and reports each stage. A stage that fails ends the run.
///
/// # Errors
///
/// If a file cannot be read, or is not what it should be.
pub async fn run(trial: &Trial, config: &Config) -> Result<Report, CommandError> {
    let inputs = inputs::read(trial)?;
    let source = read_text(&trial.file)?;
    let id = inputs::id_of(&trial.file)?;
    let host = Host::new(python_settings(config), vec![Handle::current()]);
    let entries = &config.functions.entries;
    let entry = entries
        .get(id.as_str())
        .unwrap_or(&config.functions.defaults);
    let settings = settings_from(entry, config.functions.load);
    let mut report = Report {
        id: id.as_str().to_owned(),
        kind: String::new(),
        warnings: Vec::new(),
        stages: Vec::new(),
    };
    let Some(function) = load(&host, id, &source, settings, &inputs, &mut report).await else {
        return Ok(report);
    };
    report.kind = function.kind().as_str().to_owned();
    report.warnings = function.version.learnt.warnings.clone();
    let wants = |name: &str| {
        let is_named = trial.handlers.is_empty() || trial.handlers.iter().any(|it| it == name);
        is_named && function.handles(name)
    };
    let asked = trial.handlers.iter().find(|name| !function.handles(name));
    if let Some(name) = asked {
        return Err(CommandError::new(format!("the function has no `{name}`")));
    }
    if inputs.events.is_none() && (wants("stream") || wants("outlet")) {
        let hint = "hint: --stream-events FILE has them see yours";
        let warning = format!("`stream` and `outlet` see a sample answer; {hint}");
        report.warnings.push(warning);
    }
    let run = Run::open(&host, &function, &inputs.body).await?;
    report.stages.extend(run.stages(inputs, wants).await);
    Ok(report)
}

/// Loads the code and checks its valves; `None` if that failed.
async fn load(
    host: &Host,
    id: FunctionId,
    source: &str,
    settings: FunctionSettings,
    inputs: &Inputs,
    report: &mut Report,
) -> Option<Arc<Function>> {
    let candidate = Candidate {
        number: 1,
        id: id.clone(),
        source: source.into(),
        valves: inputs.valves.to_string().into(),
        pocket: Default::default(),
    };
    let version = loaded(host, candidate, &settings, report).await?;
    let valves = checked_valves(host, &version, &settings, &inputs.valves, report).await?;
    let user_valves = inputs.user_valves.as_ref();
    let user_valves = user_valves.map(|values| (USER_ID.to_owned(), values.to_string().into()));
    Some(Arc::new(Function {
        id,
        origin: Origin::Folder,
        version: Arc::new(version),
        valves: Arc::new(valves),
        user_valves: Arc::new(user_valves.into_iter().collect::<HashMap<_, _>>()),
        settings: Arc::new(settings),
        is_active: true,
        is_global: true,
        record: Arc::new(record()),
    }))
}

/// The version that the code is; `None` if it does not load.
async fn loaded(
    host: &Host,
    candidate: Candidate,
    settings: &FunctionSettings,
    report: &mut Report,
) -> Option<FunctionVersion> {
    let began = Instant::now();
    let learnt = host.load(&candidate, settings).await;
    let outcome = match &learnt {
        Ok(learnt) => {
            let handlers: Vec<&String> = learnt.handlers.keys().collect();
            Outcome::Output(json!({"handlers": handlers}))
        }
        Err(error) => Outcome::Failed(error.located()),
    };
    report.stages.push(Stage {
        name: "load",
        input: Value::Null,
        outcome,
        events: Vec::new(),
        prints: host.output().take(candidate.id.as_str()),
        time: began.elapsed(),
    });
    Some(candidate.into_version(learnt.ok()?))
}

/// The valves, checked by the function's class; `None` if they do not fit.
async fn checked_valves(
    host: &Host,
    version: &FunctionVersion,
    settings: &FunctionSettings,
    values: &Value,
    report: &mut Report,
) -> Option<Valves> {
    let mut valves = Valves {
        version: 1,
        stored: Bytes::from_static(b"{}"),
        priority: version.learnt.priority,
        targets: None,
        pocket: Default::default(),
    };
    if values.as_object().is_some_and(serde_json::Map::is_empty) {
        return Some(valves);
    }
    let began = Instant::now();
    match host.check_valves(version, settings, values, false).await {
        Ok(checked) => {
            valves.stored = checked.stored.to_string().into();
            Some(valves)
        }
        Err(error) => {
            report.stages.push(Stage {
                name: "valves",
                input: Value::Null,
                outcome: Outcome::Failed(error.to_string()),
                events: Vec::new(),
                prints: Vec::new(),
                time: began.elapsed(),
            });
            None
        }
    }
}

fn record() -> Record {
    Record {
        user_id: USER_ID.to_owned(),
        name: String::new(),
        meta: Value::Null,
        version_id: String::new(),
        created_at: 0,
        updated_at: 0,
    }
}
