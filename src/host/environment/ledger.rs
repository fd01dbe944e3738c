//! What became of the environments that were made: which are in the making, and why some could not be.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard};

use super::super::requirements::not_installed;

/// Builds by what the environment holds.
#[derive(Debug, Default)]
pub(super) struct Ledger(
    /// Held for map operations only.
    Mutex<HashMap<Vec<String>, Build>>,
);

/// A build that is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Build {
    /// It is under way.
    Running,
    /// It failed with these words.
    Failed(String),
}

impl Ledger {
    /// What is known of the environment with these contents, `None` if nothing speaks against it.
    pub(super) fn state(&self, contents: &[String]) -> Option<Build> {
        self.builds().get(contents).cloned()
    }

    /// An error if the environment could not be made before.
    pub(super) fn check(&self, contents: &[String]) -> io::Result<()> {
        match self.state(contents) {
            Some(Build::Failed(words)) => Err(not_installed(words)),
            _ => Ok(()),
        }
    }

    /// Notes that a build begins. Dropping what this gives, unfinished, notes that nobody builds any more.
    pub(super) fn begin(&self, contents: &[String]) -> Running<'_> {
        self.builds().insert(contents.to_vec(), Build::Running);
        Running {
            ledger: self,
            contents: contents.to_vec(),
        }
    }

    /// Lets one environment be tried again.
    pub(super) fn forget_failure(&self, contents: &[String]) {
        let mut builds = self.builds();
        if matches!(builds.get(contents), Some(Build::Failed(_))) {
            builds.remove(contents);
        }
    }

    /// Lets all be tried again.
    pub(super) fn forget_failures(&self) {
        self.builds().retain(|_, build| *build == Build::Running);
    }

    fn builds(&self) -> MutexGuard<'_, HashMap<Vec<String>, Build>> {
        self.0.lock().expect("no code that holds this lock panics")
    }
}

/// A build under way.
pub(super) struct Running<'a> {
    ledger: &'a Ledger,
    contents: Vec<String>,
}

impl Running<'_> {
    /// Notes how it ended.
    pub(super) fn end(self, made: io::Result<()>) -> io::Result<()> {
        let Err(error) = made else { return Ok(()) };
        let words = error.to_string();
        let failed = Build::Failed(words.clone());
        self.ledger.builds().insert(self.contents.clone(), failed);
        Err(not_installed(words))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut builds = self.ledger.builds();
        if builds.get(&self.contents) == Some(&Build::Running) {
            builds.remove(&self.contents);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_stands_until_it_is_forgotten() {
        let ledger = Ledger::default();
        let contents = ["a".to_owned()];
        assert!(ledger.check(&contents).is_ok());
        let running = ledger.begin(&contents);
        assert_eq!(ledger.state(&contents), Some(Build::Running));
        let error = running
            .end(Err(io::Error::other("no network")))
            .unwrap_err();
        assert_eq!(error.to_string(), "no network");
        assert!(ledger.check(&contents).is_err());
        ledger.forget_failure(&contents);
        assert!(ledger.check(&contents).is_ok());
    }

    #[test]
    fn a_build_that_was_given_up_leaves_nothing() {
        let ledger = Ledger::default();
        let contents = ["a".to_owned()];
        drop(ledger.begin(&contents));
        assert_eq!(ledger.state(&contents), None);
        ledger.begin(&contents).end(Ok(())).unwrap();
        assert_eq!(ledger.state(&contents), None);
    }
}
