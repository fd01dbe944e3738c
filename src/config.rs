//! The configuration: what was written, in a file, in variables and in flags, and what it means.
//!
//! One list, [`SETTINGS`], says which settings there are. The file reader, the variables, the
//! flags, `--help` and the tables in `docs/CONFIG.md` all come from it. [`load`] reports every
//! mistake together, each with the place where it was written.

mod checks;
mod choices;
mod document;
mod fields;
mod hosts;
mod kind;
mod mistake;
mod nearest;
mod networks;
mod open_webui;
mod raw;
mod reader;
mod resolve;
mod resolved;
mod secret;
mod settings;
mod tables;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

pub use self::choices::{
    Affinity, AuthMode, Closing, HalfClose, Isolation, LogFormat, LogLevel, ModelAccess,
    NetworkAccess, Requirements, Role, StreamOutlet, UpstreamKind,
};
pub use self::hosts::Hosts;
pub use self::kind::Kind;
pub use self::mistake::{Mistake, Mistakes, Origin};
pub use self::nearest::nearest;
pub use self::networks::Networks;
pub use self::resolved::{
    AuthConfig, Config, FunctionsConfig, LimitsConfig, LogConfig, MemoryLimit, ModelsConfig,
    PythonConfig, TlsConfig, UpstreamSettings,
};
pub use self::secret::Secret;
pub use self::settings::{FILE_VARIABLE, SETTINGS, Setting};
pub use self::tables::{FunctionConfig, RemoteFiltersConfig, UpstreamConfig, UserConfig};

use self::document::Document;
use self::raw::Raw;

/// Where settings are read from; a flag beats a variable, which beats the file.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file, which must exist if it is named here.
    pub file: Option<PathBuf>,
    /// Values of flags, by the key of the setting.
    pub flags: BTreeMap<&'static str, String>,
    /// The environment variables of the process.
    pub env: BTreeMap<String, String>,
}

impl fmt::Debug for Sources {
    /// Names only: flags and variables hold keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("flags", &self.flags.keys())
            .finish_non_exhaustive()
    }
}

/// Reads all sources and resolves them into what they mean.
///
/// # Errors
///
/// Every mistake that was found, not only the first.
pub fn load(sources: &Sources) -> Result<Config, Mistakes> {
    match sources.file.clone().map(Document::read).transpose() {
        Ok(document) => load_document(document.as_ref(), sources).map(|config| Config {
            file: sources.file.clone(),
            ..config
        }),
        Err(mistake) => {
            // What else is wrong is told in the same breath.
            let mut mistakes = Mistakes::from(mistake);
            Raw::read(None, sources, &mut mistakes);
            Err(mistakes.sorted())
        }
    }
}

fn load_document(document: Option<&Document>, sources: &Sources) -> Result<Config, Mistakes> {
    let mut mistakes = Mistakes::default();
    let raw = Raw::read(document, sources, &mut mistakes);
    if raw.is_broken {
        // Half a file resolves to mistakes that nobody made.
        return Err(mistakes.sorted());
    }
    let config = resolve::resolve(&raw, &sources.env, &mut mistakes);
    if mistakes.is_empty() {
        Ok(config)
    } else {
        Err(mistakes.sorted())
    }
}
