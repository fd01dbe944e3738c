//! The gateway's half of Python: processes, and calls to the functions in them.
//!
//! A function version runs in a worker of its own (or of its group), forked from a warm zygote. Nothing here starts
//! before the first function is used, so a gateway without functions needs no Python. Filters in Rust are called by
//! the same names and need none either.

mod abandoned;
mod board;
mod breach;
mod call;
mod callbacks;
mod callers;
mod descriptors;
mod environment;
mod failure;
mod filter;
mod flusher;
mod group;
mod home;
mod hook;
mod interpreter;
mod isolation;
mod nursery;
mod output;
mod pipe;
mod recycling;
mod requirements;
mod runner;
mod runtime;
mod scratch;
mod series;
mod session;
mod socket;
mod wear;
mod worker;
mod zygote;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use frames::Handler;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use serde_json::{Value, json};
use tokio::runtime::Handle;

pub use self::callbacks::{Alone, Callbacks, Question, Refusal};
pub use self::environment::{EnvironmentReport, EnvironmentState, Leave, PythonSettings};
pub use self::failure::{Exception, Failure};
pub use self::filter::{FilterSession, NativeSession};
pub use self::hook::{Hook, Made, StreamResult};
pub use self::isolation::{IsolationSettings, Protection};
pub use self::output::Output;
pub use self::pipe::{PipeAnswer, PipeItem, PipeStream};
pub use self::runtime::unpack as unpack_runtime;
pub use self::series::{Passed, Series, Step};
pub use self::session::{Context, Metadata, Session};

use self::environment::Environments;
use self::group::Groups;
use self::isolation::{Bounds, Tenant, Warden};
use self::nursery::Nursery;
use self::output::SlotOutput;
use self::runner::Runner;
use self::worker::Worker;
use crate::registry::frontmatter;
use crate::registry::function::Pocket;
use crate::registry::loader::Candidate;
use crate::registry::{
    CheckedValves, Function, FunctionId, FunctionSettings, FunctionVersion, Learnt, LoadError,
    Loader, Snapshot,
};

/// Calls functions, and starts and ends the processes in which they run.
#[derive(Clone, Debug)]
pub struct Host {
    shared: Arc<Shared>,
}

/// What every runner needs.
pub(crate) struct Shared {
    environments: Environments,
    /// Where tasks of workers run, one after the other.
    runtimes: Vec<Handle>,
    next_runtime: AtomicUsize,
    /// Where workers come from, by the interpreter of their environment. Held for map operations only.
    nurseries: Mutex<HashMap<PathBuf, Arc<Nursery>>>,
    /// Processes that several functions share.
    groups: Groups,
    output: Arc<Output>,
    warden: Warden,
}

impl Host {
    /// A host whose workers' sockets are read on `runtimes`.
    ///
    /// # Panics
    ///
    /// If there is no runtime.
    #[must_use]
    pub fn new(settings: PythonSettings, runtimes: Vec<Handle>) -> Self {
        assert!(!runtimes.is_empty(), "a host needs a runtime");
        let output = Arc::new(Output::new(settings.log_prints));
        let shared = Shared {
            warden: Warden::new(settings.isolation.clone(), &settings.data_dir),
            environments: Environments::new(settings),
            runtimes,
            next_runtime: AtomicUsize::new(0),
            nurseries: Mutex::default(),
            groups: Groups::default(),
            output,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What functions printed.
    #[must_use]
    pub fn output(&self) -> &Output {
        &self.shared.output
    }

    /// Takes over what functions may have installed from now on.
    pub fn set_leave(&self, leave: Leave) {
        self.shared.environments.set_leave(leave);
    }

    /// What is known of the environment that has these requirements.
    pub async fn environment(&self, requirements: &[String]) -> EnvironmentReport {
        self.shared.environments.report(requirements).await
    }

    /// Begins a function's part in a request. Its process is started if there is none.
    ///
    /// # Errors
    ///
    /// If no process can be started, or the code does not load.
    pub async fn open(
        &self,
        function: &Arc<Function>,
        context: &Context,
        metadata: &Metadata,
    ) -> Result<Session, Failure> {
        let runner = self.runner_of(&function.version)?;
        let seat = runner
            .seat(&function.settings, &function.valves.stored)
            .await?;
        let siblings = self.siblings(function, &seat).await;
        Ok(Session::open(
            Arc::clone(function),
            runner,
            seat,
            siblings.as_ref(),
            context,
            metadata,
        ))
    }

    /// Begins a filter's part in a request, in a process or, if it is one in Rust, here.
    ///
    /// # Errors
    ///
    /// If no process can be started, or the code does not load.
    pub async fn open_filter(
        &self,
        function: &Arc<Function>,
        context: &Context,
        metadata: &Metadata,
    ) -> Result<FilterSession, Failure> {
        if function.version.learnt.native.is_some() {
            let user = filter::user_of(context);
            if let Some(session) = FilterSession::native(function, &user) {
                return Ok(session);
            }
        }
        let session = self.open(function, context, metadata).await?;
        Ok(FilterSession::Worker(Box::new(session)))
    }

    /// The models of a manifold, each `{"id", "name"}`, as JSON.
    ///
    /// # Errors
    ///
    /// If the function raises, crashes or takes too long.
    pub async fn list_pipes(&self, function: &Arc<Function>) -> Result<Bytes, Failure> {
        let runner = self.runner_of(&function.version)?;
        let seat = runner
            .seat(&function.settings, &function.valves.stored)
            .await?;
        seat.send_valves(&function.valves);
        let payload = json!({"slot": seat.slot, "valves": function.valves.version});
        let limit = function.settings.limits.inlet;
        runner
            .call(&seat, Handler::Pipes, payload.to_string().into(), limit)
            .await
    }

    /// How functions are isolated on this machine, tried out on a process without one.
    ///
    /// # Errors
    ///
    /// If no process can be started, or isolation is required and cannot be had.
    pub async fn try_isolation(&self) -> Result<Vec<Protection>, LoadError> {
        let worker = self.shared.start_worker(&[], 0).await;
        let worker = worker.map_err(load_error)?;
        let protections = self.shared.warden.confine(&worker, None).await;
        protections.map_err(load_error)
    }

    /// The process of a version; there is none for what could not be read.
    fn runner_of(&self, version: &FunctionVersion) -> Result<Arc<Runner>, Failure> {
        match &version.learnt.not_loaded {
            Some(why) if version.learnt.is_unreadable => Err(Failure::Unavailable(why.clone())),
            _ => Ok(self.runner(&version.pocket, &version.id, &version.source)),
        }
    }

    fn runner(&self, pocket: &Pocket, id: &FunctionId, source: &Arc<str>) -> Arc<Runner> {
        pocket.get_or_make(|| {
            Arc::new(Runner::new(
                Arc::clone(&self.shared),
                id.clone(),
                Arc::clone(source),
            ))
        })
    }

    async fn load_candidate(
        &self,
        candidate: &Candidate,
        settings: &FunctionSettings,
    ) -> Result<Learnt, LoadError> {
        let runner = self.runner(&candidate.pocket, &candidate.id, &candidate.source);
        // Whoever uploads or activates code asks anew for what it requires.
        self.shared.environments.retry(runner.requirements());
        let seat = runner
            .seat(settings, &candidate.valves)
            .await
            .map_err(load_error)?;
        serde_json::from_slice(&seat.learnt).map_err(|error| {
            LoadError::unavailable(format!(
                "the worker described the function in a way that makes no sense: {error}"
            ))
        })
    }

    async fn check(
        &self,
        version: &FunctionVersion,
        settings: &FunctionSettings,
        values: &Value,
        user: bool,
    ) -> Result<CheckedValves, LoadError> {
        let payload = json!({"values": values, "user": user});
        let reply = self
            .ask_about_valves(version, settings, Handler::CheckValves, payload)
            .await?;
        Ok(CheckedValves {
            stored: reply.get("stored").cloned().unwrap_or_else(|| json!({})),
            priority: reply.get("priority").and_then(Value::as_f64).unwrap_or(0.0),
        })
    }
}

impl Host {
    /// Asks the process of a version something about its valves.
    async fn ask_about_valves(
        &self,
        version: &FunctionVersion,
        settings: &FunctionSettings,
        handler: Handler,
        mut payload: Value,
    ) -> Result<Value, LoadError> {
        let runner = self.runner_of(version).map_err(load_error)?;
        let seat = runner.seat(settings, &[]).await.map_err(load_error)?;
        payload["slot"] = json!(seat.slot);
        let limit = settings.limits.load;
        let reply = runner
            .call(&seat, handler, payload.to_string().into(), limit)
            .await
            .map_err(load_error)?;
        Ok(serde_json::from_slice(&reply).unwrap_or_default())
    }

    async fn spec(
        &self,
        version: &FunctionVersion,
        settings: &FunctionSettings,
        asker: &Value,
        user: bool,
    ) -> Result<Value, LoadError> {
        let payload = json!({"user": user, "user_entry": asker});
        let mut reply = self
            .ask_about_valves(version, settings, Handler::ValvesSpec, payload)
            .await?;
        Ok(reply["spec"].take())
    }
}

impl Loader for Host {
    fn load<'a>(
        &'a self,
        candidate: &'a Candidate,
        settings: &'a FunctionSettings,
    ) -> BoxFuture<'a, Result<Learnt, LoadError>> {
        match frontmatter::native(&candidate.source) {
            Some(name) => ready(filter::learn(&name)).boxed(),
            None => self.load_candidate(candidate, settings).boxed(),
        }
    }

    fn check_valves<'a>(
        &'a self,
        version: &'a FunctionVersion,
        settings: &'a FunctionSettings,
        values: &'a Value,
        user: bool,
    ) -> BoxFuture<'a, Result<CheckedValves, LoadError>> {
        match &version.learnt.native {
            Some(name) => ready(filter::check(name, values, user)).boxed(),
            None => self.check(version, settings, values, user).boxed(),
        }
    }

    fn valves_spec<'a>(
        &'a self,
        version: &'a FunctionVersion,
        settings: &'a FunctionSettings,
        asker: &'a Value,
        user: bool,
    ) -> BoxFuture<'a, Result<Value, LoadError>> {
        match &version.learnt.native {
            Some(name) => ready(filter::spec(name, user)).boxed(),
            None => self.spec(version, settings, asker, user).boxed(),
        }
    }

    fn settle(&self, snapshot: &Snapshot) {
        self.shared.groups.settle(snapshot);
    }
}

/// What a failed load or check says to the author.
fn load_error(failure: Failure) -> LoadError {
    match failure {
        Failure::Raised(exception) => LoadError {
            line: exception.line(),
            ..LoadError::refused(exception.message)
        },
        Failure::Crashed => LoadError::refused("the process ended while the code was loading"),
        Failure::TimedOut(limit) => LoadError::refused(format!(
            "the code took longer than {} s to load",
            limit.as_secs_f64()
        )),
        Failure::NotInstalled(why) => LoadError::not_installed(why),
        Failure::Unavailable(why) => LoadError::unavailable(why),
        Failure::Garbled => LoadError::unavailable("the worker answered nonsense"),
    }
}

impl Shared {
    /// Where the next worker's tasks run.
    pub(crate) fn runtime(&self) -> &Handle {
        let next = self.next_runtime.fetch_add(1, Ordering::Relaxed);
        &self.runtimes[next % self.runtimes.len()]
    }

    /// A process for a function: its group's, or one of its own, in an environment that has its `requirements`.
    async fn worker_for(
        self: &Arc<Self>,
        requirements: &[String],
        tenant: Tenant<'_>,
    ) -> Result<Arc<Worker>, Failure> {
        let settings = tenant.settings;
        if settings.group.is_empty() {
            return self.new_worker(requirements, tenant).await;
        }
        let bounds = Bounds::of(settings);
        if let Some(worker) = self.groups.worker(&settings.group, &bounds) {
            return Ok(worker);
        }
        let worker = self.new_worker(requirements, tenant).await?;
        self.groups.set_worker(&settings.group, &worker, bounds);
        Ok(worker)
    }

    async fn new_worker(
        &self,
        requirements: &[String],
        tenant: Tenant<'_>,
    ) -> Result<Arc<Worker>, Failure> {
        let memory_mib = tenant.settings.memory_mib;
        let worker = self.start_worker(requirements, memory_mib).await?;
        self.warden.confine(&worker, Some(tenant)).await?;
        Ok(Arc::new(worker))
    }

    /// A process that is connected and not confined yet.
    async fn start_worker(
        &self,
        requirements: &[String],
        memory_mib: u64,
    ) -> Result<Worker, Failure> {
        let unavailable = |error: std::io::Error| Failure::Unavailable(error.to_string());
        let nursery = self.nursery(requirements).await.map_err(|error| {
            if requirements::is_refusal(&error) {
                Failure::requirement(&error)
            } else if requirements::is_not_installed(&error) {
                Failure::NotInstalled(error.to_string())
            } else {
                unavailable(error)
            }
        })?;
        let runtime = self.runtime();
        let process = nursery.process(runtime).await.map_err(unavailable)?;
        let output = SlotOutput::new(Arc::clone(&self.output));
        let worker = Worker::connect(process, runtime, output).map_err(unavailable)?;
        if memory_mib > 0 {
            let limited = worker.limit_memory(memory_mib * 1024 * 1024);
            limited.map_err(|error| {
                Failure::Unavailable(format!("its memory cannot be limited: {error}"))
            })?;
        }
        Ok(worker)
    }

    async fn nursery(&self, requirements: &[String]) -> std::io::Result<Arc<Nursery>> {
        let launch = self.environments.launch(requirements).await?;
        let mut nurseries = self
            .nurseries
            .lock()
            .expect("no code that holds this lock panics");
        let nursery = nurseries
            .entry(launch.python.clone())
            .or_insert_with(|| Arc::new(Nursery::new(launch)));
        Ok(Arc::clone(nursery))
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("environments", &self.environments)
            .finish_non_exhaustive()
    }
}
