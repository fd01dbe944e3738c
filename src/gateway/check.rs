//! `sluicegate check`: the configuration and every function of the folder, without serving anything.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::{GatewayError, python_settings, unknown};
use crate::config::{Config, FunctionConfig, Isolation, StreamOutlet};
use crate::host::{Host, Protection};
use crate::registry::folder::{self, Files};
use crate::registry::function::{FunctionId, Learnt};
use crate::registry::{Candidate, Loader, settings_from};
use crate::store;

/// What a check found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What is in order, a line each.
    pub good: Vec<String>,
    /// What works and may surprise.
    pub warnings: Vec<String>,
    /// What must be mended.
    pub mistakes: Vec<String>,
}

/// Loads every function of the folder in a worker, and says what is wrong, all at once.
///
/// # Errors
///
/// If the folder cannot be read.
pub async fn check(config: &Config) -> Result<Findings, GatewayError> {
    let mut findings = Findings::default();
    findings.good.push(format!(
        "{} upstreams, {} users",
        config.upstreams.len(),
        config.users.len()
    ));
    for route in &config.unfiltered_routes {
        findings
            .warnings
            .push(format!("`{route}` is opened without filters"));
    }
    let folder = &config.functions.dir;
    let host = Host::new(python_settings(config), vec![Handle::current()]);
    let mut files = Files::default();
    if folder.is_dir() {
        files = folder::read(folder).map_err(|error| {
            GatewayError::new(format!("`{}` cannot be read", folder.display()), error)
        })?;
        check_isolation(&host, config, &mut findings).await;
    } else {
        findings
            .good
            .push(format!("no functions folder: {}", folder.display()));
        check_isolation_alone(config, &mut findings).await;
    }
    let files = files.with_natives(&config.functions);
    let ids: Vec<&str> = files.ids().collect();
    check_tables(config, &ids, &mut findings);
    for (id, error) in &files.unreadable {
        let mistake = format!("function `{id}`: its file cannot be read: {error}");
        findings.mistakes.push(mistake);
    }
    for (id, source) in files.sources {
        let settings = config
            .functions
            .entries
            .get(id.shown())
            .unwrap_or(&config.functions.defaults);
        check_function(&host, config, &id, &source, settings, &mut findings).await;
    }
    Ok(findings)
}

/// Names tables for functions that are neither in the folder nor in the store.
fn check_tables(config: &Config, in_folder: &[&str], findings: &mut Findings) {
    let stored = match store::function_ids(&config.data_dir) {
        Ok(stored) => stored,
        Err(error) => {
            let warning = format!("stored functions are not known: {error}");
            return findings.warnings.push(warning);
        }
    };
    let stored = stored.iter().filter_map(|id| FunctionId::stored(id));
    let stored: Vec<FunctionId> = stored.collect();
    let known = stored.iter().map(FunctionId::shown);
    let known: Vec<&str> = known.chain(in_folder.iter().copied()).collect();
    let messages = unknown::messages(&config.functions, &known);
    findings.warnings.extend(messages);
}

/// Tries isolation out where there are no functions, and installs and keeps nothing for it.
async fn check_isolation_alone(config: &Config, findings: &mut Findings) {
    let mut settings = python_settings(config);
    settings.base = false;
    let is_new = !settings.data_dir.exists();
    if is_new {
        let name = format!("sluicegate-check-{}", std::process::id());
        settings.data_dir = std::env::temp_dir().join(name);
    }
    let data_dir = settings.data_dir.clone();
    let host = Host::new(settings, vec![Handle::current()]);
    check_isolation(&host, config, findings).await;
    if is_new {
        // What is left of a folder for temporary files harms nobody.
        let _ = std::fs::remove_dir_all(data_dir);
    }
}

/// Says how functions are isolated on this machine.
async fn check_isolation(host: &Host, config: &Config, findings: &mut Findings) {
    match host.try_isolation().await {
        Ok(protections) => protections.iter().for_each(|it| findings.protection(it)),
        Err(error) => {
            let is_required = config.python.isolation == Isolation::Required;
            let list = match is_required {
                true => &mut findings.mistakes,
                false => &mut findings.warnings,
            };
            list.push(format!("functions cannot run: {error}"));
        }
    }
}

impl Findings {
    fn protection(&mut self, protection: &Protection) {
        if protection.in_force {
            self.good.push(format!("isolation: {protection}"));
        } else {
            self.warnings
                .push(format!("isolation is not in force: {protection}"));
        }
    }
}

async fn check_function(
    host: &Host,
    config: &Config,
    id: &FunctionId,
    source: &str,
    settings: &FunctionConfig,
    findings: &mut Findings,
) {
    let candidate = Candidate {
        number: 0,
        id: id.clone(),
        source: source.into(),
        valves: Default::default(),
        pocket: Default::default(),
    };
    let resolved = settings_from(settings, config.functions.load);
    let learnt = match host.load(&candidate, &resolved).await {
        Ok(learnt) => learnt,
        Err(error) => {
            findings
                .mistakes
                .push(format!("function `{id}` does not load: {error}"));
            return;
        }
    };
    let version = Arc::new(candidate.into_version(learnt));
    if !settings.valves.is_empty() {
        let values = serde_json::Value::Object(settings.valves.clone());
        if let Err(error) = host.check_valves(&version, &resolved, &values, false).await {
            findings
                .mistakes
                .push(format!("function `{id}` does not take its valves: {error}"));
        }
    }
    findings
        .good
        .push(format!("function `{id}`: {}", version.learnt.kind.as_str()));
    findings
        .warnings
        .extend(warnings(id, &version.learnt, settings));
}

fn warnings(id: &FunctionId, learnt: &Learnt, settings: &FunctionConfig) -> Vec<String> {
    let mut warnings: Vec<String> = learnt
        .warnings
        .iter()
        .map(|warning| format!("function `{id}`: {warning}"))
        .collect();
    let is_observed = settings.stream_outlet == StreamOutlet::Observe;
    if learnt.handles("outlet") && !learnt.handles("stream") && is_observed {
        warnings.push(format!(
            "function `{id}`: its outlet only observes streams, so `stream: true` gets round what it changes; \
             hint: set `stream_outlet = \"hold\"`"
        ));
    }
    warnings
}
