//! The functions folder: a file is an active function, and if it is a filter a global one, unless the configuration
//! says otherwise.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use notify::{RecursiveMode, Watcher};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::change::complete_meta;
use super::function::{
    Function, FunctionId, FunctionKind, FunctionVersion, Learnt, Origin, Record, UserValves, Valves,
};
use super::loader::{Candidate, LoadError};
use super::{Registry, entry_of, frontmatter, guess};
use crate::config::FunctionsConfig;
use crate::store::ids;

/// How long the folder must be quiet before it is read: an editor's save is several events.
const SETTLE: std::time::Duration = std::time::Duration::from_millis(50);

/// Tells when files in a folder change.
#[derive(Debug)]
pub struct FolderWatch {
    // Ends the watch when dropped.
    _watcher: notify::RecommendedWatcher,
    changed: mpsc::Receiver<()>,
}

impl FolderWatch {
    /// Watches `folder`, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// If it can be neither made nor watched.
    pub fn start(folder: &Path) -> Result<Self, notify::Error> {
        std::fs::create_dir_all(folder)?;
        let (tell, changed) = mpsc::channel(1);
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                if event.is_ok_and(|event| !event.kind.is_access()) {
                    // A full channel already says that something changed.
                    let _ = tell.try_send(());
                }
            })?;
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(Self {
            _watcher: watcher,
            changed,
        })
    }

    /// Waits until something changed and the folder is quiet again. Cancel safe: a change that was noticed but not
    /// reported is noticed again by the next read of the folder.
    pub async fn changed(&mut self) -> Option<()> {
        self.changed.recv().await?;
        while tokio::time::timeout(SETTLE, self.changed.recv())
            .await
            .is_ok_and(|change| change.is_some())
        {}
        Some(())
    }
}

/// What the folder holds.
#[derive(Debug, Default)]
pub struct Files {
    /// The text of every function file, by id.
    pub sources: BTreeMap<FunctionId, String>,
    /// Files that are there and cannot be read, each for its reason.
    pub unreadable: BTreeMap<FunctionId, String>,
}

impl Files {
    /// The ids of all of them, as people know them.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let ids = self.sources.keys().chain(self.unreadable.keys());
        ids.map(FunctionId::shown)
    }

    /// With the filters in Rust that the configuration names in the place of files. Of one id a file counts, also one
    /// that cannot be read.
    #[must_use]
    pub fn with_natives(mut self, configured: &FunctionsConfig) -> Self {
        for (name, entry) in &configured.entries {
            let (Some(id), Some(native)) = (FunctionId::parse(name), &entry.native) else {
                continue;
            };
            if self.sources.contains_key(&id) || self.unreadable.contains_key(&id) {
                warn!(function.id = %id, "function is `native` in the configuration and a file too: the file serves");
            } else {
                self.sources
                    .insert(id, frontmatter::of_native(name, native));
            }
        }
        self
    }
}

/// Reads every function file in `folder`.
///
/// # Errors
///
/// If the folder cannot be read.
pub fn read(folder: &Path) -> std::io::Result<Files> {
    let mut files = Files::default();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(id) = id_of(&path) else { continue };
        match std::fs::read_to_string(&path) {
            Ok(source) => drop(files.sources.insert(as_tools_if_so(id, &source), source)),
            Err(error) => drop(files.unreadable.insert(id, error.to_string())),
        }
    }
    Ok(files)
}

/// The id that a file's name gives, `None` for files that are no functions.
fn id_of(path: &Path) -> Option<FunctionId> {
    if path.extension()? != "py" || !path.is_file() {
        return None;
    }
    let stem = path.file_stem()?.to_str()?;
    let id = FunctionId::parse(stem).filter(|id| id.as_str() == stem);
    if id.is_none() {
        warn!(path = %path.display(), "file name is no function id ([a-z_][a-z0-9_]*.py), skipped");
    }
    id
}

/// The id of what a file holds: with a class `Tools` and no other that makes a function, it holds tools.
fn as_tools_if_so(id: FunctionId, source: &str) -> FunctionId {
    let has = |class: &str| {
        let mut after = source
            .lines()
            .filter_map(|line| line.strip_prefix("class ")?.strip_prefix(class));
        after.any(|rest| rest.trim_start().starts_with(['(', ':']))
    };
    let is_tools = has("Tools") && !["Pipe", "Filter", "Action", "Event"].into_iter().any(has);
    let tools = FunctionId::tool(id.as_str()).filter(|_| is_tools);
    tools.unwrap_or(id)
}

impl Registry {
    /// Reads the functions folder again, as every change in it does by itself.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub async fn reload_folder(&self) -> std::io::Result<()> {
        let folder = self.configured().dir.clone();
        let files = tokio::task::spawn_blocking(move || read(&folder)).await??;
        self.apply_folder(files, false).await;
        Ok(())
    }

    /// Makes the functions of the folder those of `files`. A file that does not load or cannot be read changes nothing,
    /// unless nothing of its id serves yet and `is_start`: then it is put in place all the same, so that requests fail
    /// closed rather than pass by a filter that should have been there.
    pub async fn apply_folder(&self, files: Files, is_start: bool) {
        let files = files.with_natives(&self.configured());
        let known = self.state.lock().await.folder.clone();
        let mut next = self.stand_ins(&files.unreadable, &known, is_start).await;
        for (id, source) in files.sources {
            let current = known.get(&id);
            match current.filter(|function| is_loaded_from(function, &source)) {
                Some(function) => drop(next.insert(id, Arc::clone(function))),
                None => {
                    let loaded = self.load_file(&id, &source, current, is_start).await;
                    next.extend(
                        loaded
                            .or_else(|| current.cloned())
                            .map(|function| (id, function)),
                    );
                }
            }
        }
        let mut state = self.state.lock().await;
        for id in known.keys().filter(|id| !next.contains_key(*id)) {
            info!(function.id = %id, "function file is gone, function removed");
        }
        // Valves may have been set while files were loading.
        for (id, function) in &mut next {
            if let Some(current) = state
                .folder
                .get(id)
                .filter(|now| now.version.number == function.version.number)
            {
                *function = Arc::clone(current);
            }
        }
        state.folder = next;
        self.publish(&mut state);
    }

    /// Makes the filters in Rust those that the configuration names, and leaves what was made from files as it is: the
    /// folder cannot be read.
    pub async fn apply_natives(&self) {
        let known = self.state.lock().await.folder.clone();
        let mut files = Files::default();
        for (id, function) in known {
            let version = &function.version;
            match &version.learnt.not_loaded {
                _ if is_of_configuration(version) => {}
                Some(why) if version.learnt.is_unreadable => {
                    files.unreadable.insert(id, why.clone());
                }
                _ => drop(files.sources.insert(id, version.source.to_string())),
            }
        }
        self.apply_folder(files, false).await;
    }

    /// What serves in the place of files that cannot be read.
    async fn stand_ins(
        &self,
        unreadable: &BTreeMap<FunctionId, String>,
        known: &BTreeMap<FunctionId, Arc<Function>>,
        is_start: bool,
    ) -> BTreeMap<FunctionId, Arc<Function>> {
        let mut stand_ins = BTreeMap::new();
        for (id, error) in unreadable {
            let tools = FunctionId::tool(id.as_str());
            let tools = tools.as_ref().and_then(|id| known.get(id));
            if let Some(current) = known.get(id).or(tools) {
                warn!(function.id = %id, error, "function file cannot be read, what served before still serves");
                stand_ins.insert(current.id.clone(), Arc::clone(current));
            } else if is_start {
                warn!(function.id = %id, error, "function file cannot be read, its requests fail until it can");
                let why = format!("its file cannot be read: {error}");
                let version = self.unloaded(id, "", guess::unreadable(id, None, "", &why));
                let function = self.folder_function(Arc::new(version), None, None).await;
                stand_ins.insert(id.clone(), Arc::new(function));
            } else {
                warn!(function.id = %id, error, "function file cannot be read, skipped");
            }
        }
        stand_ins
    }

    /// A function made from a file, `None` if it does not load.
    async fn load_file(
        &self,
        id: &FunctionId,
        source: &str,
        current: Option<&Arc<Function>>,
        is_start: bool,
    ) -> Option<Arc<Function>> {
        let version = match self.try_out(id, source).await {
            Ok(version) => version,
            Err(error) if is_start => self.placeholder(id, source, &error),
            Err(error) => {
                warn!(function.id = %id, %error, "function file does not load, what served before still serves");
                return None;
            }
        };
        let over_api = self.state.lock().await.folder_valves.get(id).cloned();
        let function = self
            .folder_function(Arc::new(version), current, over_api)
            .await;
        info!(function.id = %id, kind = function.kind().as_str(), "function file loaded");
        Some(Arc::new(function))
    }

    /// A version that stands for code that does not load: calls to it try again and fail by the function's policy.
    fn placeholder(&self, id: &FunctionId, source: &str, error: &LoadError) -> FunctionVersion {
        warn!(function.id = %id, %error, "function file does not load, its requests fail until it does");
        self.unloaded(id, source, guess::learnt(id, source, &error.message))
    }

    /// A version of code that nobody has run.
    fn unloaded(&self, id: &FunctionId, source: &str, learnt: Learnt) -> FunctionVersion {
        let candidate = Candidate {
            number: self.next_number(),
            id: id.clone(),
            source: source.into(),
            valves: Bytes::new(),
            pocket: Default::default(),
        };
        candidate.into_version(learnt)
    }

    /// A function of the folder as the configuration wants it; `over_api` are valves that were set over the API.
    pub(super) async fn folder_function(
        &self,
        version: Arc<FunctionVersion>,
        current: Option<&Arc<Function>>,
        over_api: Option<Bytes>,
    ) -> Function {
        let id = version.id.clone();
        let configured = self.configured();
        let config = entry_of(&configured, &id);
        let configured_valves = || Bytes::from(Value::Object(config.valves.clone()).to_string());
        let valves = self
            .checked_valves(&version, over_api.unwrap_or_else(configured_valves))
            .await;
        Function {
            origin: Origin::Folder,
            valves,
            user_valves: self.user_valves_of(&id).await,
            is_active: config.active,
            is_global: config
                .global
                .unwrap_or(version.learnt.kind == FunctionKind::Filter),
            record: Arc::new(record(&version, current)),
            settings: self.settings_of(&id),
            version,
            id,
        }
    }

    /// Valves that were checked against the code. Those that do not fit are kept, and fail its requests.
    async fn checked_valves(&self, version: &FunctionVersion, stored: Bytes) -> Arc<Valves> {
        let values: Value = serde_json::from_slice(&stored).unwrap_or_default();
        if values.as_object().is_none_or(Map::is_empty) {
            return self.valves(stored, version.learnt.priority);
        }
        let settings = self.settings_of(&version.id);
        let checked = self
            .loader
            .check_valves(version, &settings, &values, false)
            .await;
        let priority = checked.map(|checked| checked.priority).unwrap_or_else(|_| {
            // Without the reason, which quotes the values.
            warn!(function.id = %version.id, "valves do not fit, its requests fail until they do");
            version.learnt.priority
        });
        self.valves(stored, priority)
    }

    async fn user_valves_of(&self, id: &FunctionId) -> UserValves {
        match self.store.user_valves(id.as_str().to_owned()).await {
            Ok(rows) => Arc::new(
                rows.into_iter()
                    .map(|(user, values)| (user, values.into()))
                    .collect(),
            ),
            Err(error) => {
                warn!(function.id = %id, %error, "user valves cannot be read");
                UserValves::default()
            }
        }
    }
}

/// Whether a function needs no loading: code that did not load before may do so now.
fn is_loaded_from(function: &Function, source: &str) -> bool {
    *function.version.source == *source && function.version.learnt.not_loaded.is_none()
}

/// Whether it stands in the configuration, not in a file.
fn is_of_configuration(version: &FunctionVersion) -> bool {
    let native = version.learnt.native.as_deref();
    native.is_some_and(|native| {
        *version.source == *frontmatter::of_native(version.id.shown(), native)
    })
}

/// What management shows of a function of the folder.
fn record(version: &FunctionVersion, current: Option<&Arc<Function>>) -> Record {
    let now = ids::unix_seconds();
    let known = current.filter(|current| current.version.number == version.number);
    if let Some(known) = known {
        return Record::clone(&known.record);
    }
    Record {
        user_id: String::new(),
        name: title(version).unwrap_or_else(|| version.id.shown().to_owned()),
        meta: complete_meta(json!({"description": ""}), version),
        version_id: ids::uuid_v4(),
        created_at: current.map_or(now, |current| current.record.created_at),
        updated_at: now,
    }
}

fn title(version: &FunctionVersion) -> Option<String> {
    let pairs = frontmatter::parse(&version.source);
    pairs
        .into_iter()
        .find(|(key, value)| key == "title" && !value.is_empty())
        .map(|(_, title)| title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_tools_only_holds_tools() {
        let id = |source| as_tools_if_so(FunctionId::parse("x").unwrap(), source).is_tool();
        assert!(id("import os\n\nclass Tools:\n    pass\n"));
        assert!(id(
            "class Helper:\n    pass\nclass Tools(Helper):\n    pass\n"
        ));
        assert!(!id("class Toolset:\n    pass\n"));
        assert!(!id("class Tools:\n    pass\nclass Filter:\n    pass\n"));
        assert!(!id("# class Tools:\n"));
    }
}
