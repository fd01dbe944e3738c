//! A reload: the configuration is read again, and what it makes is swapped in whole, or not at all.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::{error, info, warn};

use super::folder::read_folder;
use super::parts::Parts;
use super::{Base, leave, show_key, unknown};
use crate::config::{self, Config, PythonConfig, Requirements, Sources};
use crate::telemetry::metrics;

/// Everything that a reload needs.
#[derive(Debug)]
pub(super) struct Reload {
    pub(super) base: Base,
    /// The configuration at start, for what only a restart changes.
    pub(super) config: Arc<Config>,
    pub(super) sources: Option<Sources>,
    pub(super) publish: watch::Sender<Parts>,
}

impl Reload {
    /// Reads the configuration, the functions folder and the model lists again. If anything is wrong with the
    /// configuration, what serves goes on.
    pub(super) async fn run(&self) {
        if let Some(sources) = &self.sources
            && !self.renew(sources).await
        {
            return;
        }
        let folder = &self.config.functions.dir;
        let read = read_folder(&self.base.registry, folder).await;
        self.note(read.err().map(|error| {
            format!(
                "the functions folder `{}` cannot be read: {error}",
                folder.display()
            )
        }));
        let models = Arc::clone(&self.publish.borrow().models);
        models.refresh().await;
        info!(
            generation = self.base.registry.current().generation,
            "reloaded"
        );
    }

    /// Puts the configuration to work; whether that could be done.
    async fn renew(&self, sources: &Sources) -> bool {
        let config = match config::load(sources) {
            Ok(config) => config,
            Err(mistakes) => {
                self.note(Some(mistakes.to_string()));
                error!(%mistakes, "configuration has mistakes, what serves goes on");
                return false;
            }
        };
        self.warn_of_the_rest(&config);
        match Parts::build(&config, &self.base).await {
            Ok((parts, first_key)) => {
                if let Some(key) = first_key {
                    show_key(&key);
                }
                self.base.host.set_leave(leave(&config));
                let functions = config.functions.clone();
                self.base.registry.reconfigure(functions).await;
                unknown::warn(&config.functions, &self.base.registry);
                self.publish.send_replace(parts);
                true
            }
            Err(error) => {
                self.note(Some(error.to_string()));
                error!(%error, "configuration cannot be put to work, what serves goes on");
                false
            }
        }
    }

    /// Remembers what a reload came to, with its mistakes if not all of it was put to work.
    fn note(&self, mistakes: Option<String>) {
        metrics::set_last_reload(mistakes.is_none());
        self.base.last_reload.note(mistakes);
    }

    /// Names what only a restart changes.
    fn warn_of_the_rest(&self, new: &Config) {
        let old = &self.config;
        let changed = [
            ("listen", old.listen != new.listen),
            ("data_dir", old.data_dir != new.data_dir),
            ("threads", old.threads != new.threads),
            ("tls", old.tls != new.tls),
            ("limits", old.limits != new.limits),
            ("log", old.log != new.log),
            ("python", restarted(&old.python) != restarted(&new.python)),
            ("functions.dir", old.functions.dir != new.functions.dir),
        ];
        for (key, _) in changed.iter().filter(|(_, is_changed)| *is_changed) {
            warn!(key, "this setting changes with the next start or upgrade");
        }
    }
}

/// The part of Python's settings that a running gateway does not change: all but what may be installed.
fn restarted(python: &PythonConfig) -> PythonConfig {
    PythonConfig {
        requirements: Requirements::Off,
        approved: Vec::new(),
        ..python.clone()
    }
}
