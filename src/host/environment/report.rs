//! What an operator is shown of an environment.

use std::path::PathBuf;

use super::super::interpreter::Interpreter;
use super::super::requirements::{self, Requirement};
use super::ledger::Build;
use super::{BASE, Environments, contents_for};

/// Whether an environment is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvironmentState {
    /// It is there.
    Ready,
    /// Nobody has needed it yet.
    Absent,
    /// It is being made.
    Building,
    /// It could not be made.
    Failed,
    /// What it needs may not be installed.
    Unapproved,
    /// One of its requirements is none.
    Refused,
}

impl EnvironmentState {
    /// The word for it in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Absent => "absent",
            Self::Building => "building",
            Self::Failed => "failed",
            Self::Unapproved => "unapproved",
            Self::Refused => "refused",
        }
    }
}

/// An environment as an operator sees it.
#[derive(Clone, Debug)]
pub struct EnvironmentReport {
    /// Whether it is there.
    pub state: EnvironmentState,
    /// What the base environment lacks of it.
    pub missing: Vec<String>,
    /// The names to approve, where some are missing that may not be installed.
    pub unapproved: Vec<String>,
    /// Where it is, or would be.
    pub path: Option<PathBuf>,
    /// Why it is not there.
    pub error: Option<String>,
}

impl EnvironmentReport {
    fn new(state: EnvironmentState) -> Self {
        Self {
            state,
            missing: Vec::new(),
            unapproved: Vec::new(),
            path: None,
            error: None,
        }
    }

    fn failed(state: EnvironmentState, error: &impl ToString) -> Self {
        Self {
            error: Some(error.to_string()),
            ..Self::new(state)
        }
    }
}

impl Environments {
    /// What is known of the environment for these requirements. Nothing is made for the sake of it.
    pub(in super::super) async fn report(&self, wanted: &[String]) -> EnvironmentReport {
        let wanted = match requirements::parse(wanted) {
            Ok(wanted) => wanted,
            Err(error) => return EnvironmentReport::failed(EnvironmentState::Refused, &error),
        };
        let base = match self.base.try_lock() {
            Ok(base) => base.as_ref().map(|(launch, _)| launch.python.clone()),
            Err(_) => return EnvironmentReport::new(EnvironmentState::Building),
        };
        let Some(base) = base else {
            return self.report_without_base();
        };
        match requirements::missing(&base, &wanted).await {
            Ok(missing) if missing.is_empty() => EnvironmentReport {
                path: Some(base),
                ..EnvironmentReport::new(EnvironmentState::Ready)
            },
            Ok(missing) => self.report_set(&wanted, &missing).await,
            Err(error) => EnvironmentReport::failed(EnvironmentState::Failed, &error),
        }
    }

    /// Nobody has started Python yet, or the base environment could not be made.
    fn report_without_base(&self) -> EnvironmentReport {
        let base: Vec<String> = BASE.iter().map(|name| (*name).to_owned()).collect();
        match self.ledger.state(&base) {
            Some(Build::Failed(words)) => {
                EnvironmentReport::failed(EnvironmentState::Failed, &words)
            }
            Some(Build::Running) => EnvironmentReport::new(EnvironmentState::Building),
            None => EnvironmentReport::new(EnvironmentState::Absent),
        }
    }

    async fn report_set(
        &self,
        wanted: &[Requirement],
        missing: &[Requirement],
    ) -> EnvironmentReport {
        let contents = contents_for(wanted);
        let mut report = EnvironmentReport::new(EnvironmentState::Absent);
        report.missing = missing.iter().map(ToString::to_string).collect();
        report.unapproved = requirements::unapproved(missing, &self.leave());
        if let Ok(interpreter) = Interpreter::find(&self.settings.interpreter).await {
            report.path = self.folder(&interpreter, "set", &contents).ok();
        }
        let is_there = report
            .path
            .as_ref()
            .is_some_and(|folder| folder.join("bin/python").exists());
        let build = self.ledger.state(&contents);
        if let Err(error) = requirements::check_approved(missing, &self.leave()) {
            report.state = EnvironmentState::Unapproved;
            report.error = Some(error.to_string());
        } else if is_there {
            report.state = EnvironmentState::Ready;
        } else if let Some(Build::Failed(words)) = build {
            report.state = EnvironmentState::Failed;
            report.error = Some(words);
        } else if build == Some(Build::Running) {
            report.state = EnvironmentState::Building;
        }
        report
    }
}
