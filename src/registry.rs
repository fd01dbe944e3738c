//! What is installed and configured now: one immutable [`Snapshot`], built aside and swapped in whole.
//!
//! Every change takes one path, [`Registry`]'s methods: load and test the new code in a process of its own, write
//! the store, build the next snapshot, swap. What fails on the way leaves the serving snapshot untouched.

mod access;
mod attached;
mod change;
pub mod folder;
pub mod frontmatter;
pub mod function;
mod grants;
mod guess;
pub mod loader;
mod preset;
mod presets;
mod revision;
mod rows;
pub mod secrets;
mod snapshot;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::Mutex;

pub use self::access::{Access, Permission};
pub use self::change::{
    ChangeError, Edit, ImportError, Imported, NewFunction, Placed, RestoredValves, StoredValues,
};
pub use self::function::{
    ActionEntry, Function, FunctionId, FunctionKind, FunctionSettings, FunctionVersion, Learnt,
    Origin, Pipes, Record, Valves,
};
pub use self::grants::GRANTS;
pub use self::guess::is_function;
pub use self::loader::{Candidate, CheckedValves, LoadError, LoadFault, Loader};
pub use self::preset::{Preset, PresetForm};
pub use self::presets::{Others, PresetError};
pub use self::revision::{Expected, Revision, Stale};
pub use self::snapshot::Snapshot;

use self::function::Limits;
use self::presets::Presets;
use self::revision::RevisionKey;
use crate::config::{Config, FunctionConfig, FunctionsConfig};
use crate::store::{Store, StoreError};

/// The functions that serve, and the only way to change them.
pub struct Registry {
    current: ArcSwap<Snapshot>,
    /// Held while a change is written and published, so that changes come one after the other. An async mutex,
    /// because the store is awaited under it.
    state: Mutex<State>,
    loader: Arc<dyn Loader>,
    store: Store,
    /// How functions are set up. A std lock is enough: it is held for the clone or the swap of an `Arc`.
    configured: RwLock<Arc<FunctionsConfig>>,
    numbers: AtomicU64,
    revision_key: RevisionKey,
}

/// The two sources of functions. With one id in both, the folder wins.
#[derive(Default)]
struct State {
    generation: u64,
    stored: BTreeMap<FunctionId, Arc<Function>>,
    folder: BTreeMap<FunctionId, Arc<Function>>,
    /// Valves set over the API for functions of the folder, by function.
    folder_valves: BTreeMap<FunctionId, Bytes>,
    presets: Presets,
}

impl Registry {
    /// A registry with everything that the store holds. The folder is read by [`Registry::apply_folder`].
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub async fn open(
        config: &Config,
        store: Store,
        loader: Arc<dyn Loader>,
    ) -> Result<Self, StoreError> {
        let revision_key = RevisionKey::of(&store).await?;
        let registry = Self {
            current: ArcSwap::default(),
            state: Mutex::default(),
            loader,
            store,
            configured: RwLock::new(Arc::new(config.functions.clone())),
            numbers: AtomicU64::new(1),
            revision_key,
        };
        registry.read_store().await?;
        Ok(registry)
    }

    /// Takes what the store holds now in place of what it held: another process may have changed it.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub async fn read_store(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock().await;
        state.stored = self.read_stored().await?;
        state.folder_valves = self.read_folder_valves().await?;
        state.presets = self.read_presets().await?;
        self.renew_folder(&mut state).await;
        self.publish(&mut state);
        Ok(())
    }

    /// The snapshot that new requests get.
    #[must_use]
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Takes over a new configuration: settings of every function, and what it says of those of the folder.
    pub async fn reconfigure(&self, functions: FunctionsConfig) {
        *self
            .configured
            .write()
            .expect("no code that holds this lock panics") = Arc::new(functions);
        let mut state = self.state.lock().await;
        for function in state.stored.values_mut() {
            let settings = self.settings_of(&function.id);
            *function = Arc::new(Function {
                settings,
                ..Function::clone(function)
            });
        }
        self.renew_folder(&mut state).await;
        self.publish(&mut state);
    }

    /// Sets the functions of the folder up again, with the code that they have.
    async fn renew_folder(&self, state: &mut State) {
        for function in state.folder.clone().into_values() {
            let over_api = state.folder_valves.get(&function.id).cloned();
            let version = Arc::clone(&function.version);
            let renewed = self
                .folder_function(version, Some(&function), over_api)
                .await;
            state.folder.insert(function.id.clone(), Arc::new(renewed));
        }
    }

    /// Builds the next snapshot from the two sources and swaps it in.
    fn publish(&self, state: &mut State) {
        let mut functions = state.stored.clone();
        functions.extend(
            state
                .folder
                .iter()
                .map(|(id, function)| (id.clone(), Arc::clone(function))),
        );
        state.generation += 1;
        let snapshot =
            Snapshot::new(state.generation, functions).with_presets(Arc::clone(&state.presets));
        let snapshot = Arc::new(snapshot);
        self.loader.settle(&snapshot);
        self.current.store(snapshot);
    }

    /// A number that no version of code or valves had before in this process.
    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// How functions are set up now.
    fn configured(&self) -> Arc<FunctionsConfig> {
        Arc::clone(
            &self
                .configured
                .read()
                .expect("no code that holds this lock panics"),
        )
    }

    /// How a function is set up: its own entry in the configuration over the defaults.
    fn settings_of(&self, id: &FunctionId) -> Arc<FunctionSettings> {
        let configured = self.configured();
        Arc::new(settings_from(entry_of(&configured, id), configured.load))
    }

    /// A version of valves that holds `stored`.
    fn valves(&self, stored: Bytes, priority: f64) -> Arc<Valves> {
        #[derive(serde::Deserialize)]
        struct Targets {
            pipelines: Option<Vec<String>>,
        }
        let targets = serde_json::from_slice::<Targets>(&stored).ok();
        Arc::new(Valves {
            version: self.next_number(),
            targets: targets.and_then(|targets| targets.pipelines),
            stored,
            priority,
            pocket: Default::default(),
        })
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("generation", &self.current().generation)
            .finish_non_exhaustive()
    }
}

/// A function's entry in the configuration, or what stands for those without one.
fn entry_of<'a>(configured: &'a FunctionsConfig, id: &FunctionId) -> &'a FunctionConfig {
    configured
        .entries
        .get(id.shown())
        .unwrap_or(&configured.defaults)
}

/// What a function's entry in the configuration means.
#[must_use]
pub fn settings_from(config: &FunctionConfig, load: Duration) -> FunctionSettings {
    FunctionSettings {
        on_error: config.on_error,
        outlet_error: config.outlet_error,
        stream_outlet: config.stream_outlet,
        limits: Limits {
            inlet: config.inlet,
            outlet: config.outlet,
            stream: config.stream,
            pipe_first: config.pipe_first,
            pipe_idle: config.pipe_idle,
            load,
        },
        memory_mib: config.memory_mib,
        threads: config.threads,
        recycle_percent: config.recycle_percent,
        recycle_calls: config.recycle_calls,
        queue: config.queue,
        group: config.group.clone(),
        network: config.network,
        hosts: config.hosts.clone(),
        subprocesses: config.subprocesses,
        bypass_filter: config.bypass_filter,
        models: config.models.clone(),
    }
}
