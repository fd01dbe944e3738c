//! A program that calls one function as the gateway does, again as soon as it has its answer, and says what a call costs.
//! What the gateway does before and after, and HTTP, is not in it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use sluicegate::config::{self, Config, Sources};
use sluicegate::gateway::python_settings;
use sluicegate::host::{Alone, Context, Hook, Host, Metadata};
use sluicegate::registry::folder::Files;
use sluicegate::registry::{Function, FunctionId, Registry};
use sluicegate::store::Store;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::cpu::Family;
use crate::gateway::{FUNCTIONS, PLAIN, python};
use crate::generator::Answers;
use crate::measure::WARM_UP;
use crate::target;
use crate::upstream::event_data;

/// The first argument of a process that is such a program.
pub(crate) const CALL: &str = "--call";

/// As long as a text that is worth filtering.
const BODY_BYTES: usize = 4096;
const USER: &str = r#"{"id":"bench","email":"bench@example.org","name":"Bench","role":"user"}"#;
const MODEL: &str =
    r#"{"id":"plain","object":"model","created":1700000000,"owned_by":"bench","name":"plain"}"#;
const HTTP: &str = r#"{"method":"POST","url":"http://127.0.0.1/v1/chat/completions","headers":{},"client":["127.0.0.1",1]}"#;
const METADATA: &str = r#"{"user_id":"bench","chat_id":"a","message_id":"b","session_id":"c","filter_ids":["inlet"],"tool_ids":[],"files":[],"features":{},"variables":{},"params":{},"interface":"open-webui"}"#;

/// Calls of one function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calls {
    /// The function, a file in [`FUNCTIONS`].
    pub(crate) function: &'static str,
    /// How many are under way at a time, each of a request of its own.
    pub(crate) at_once: usize,
    /// Events of each call of a `stream`; without, it is one of an `inlet`, with a body of 4 KB.
    pub(crate) events: Option<usize>,
}

/// Who calls.
#[derive(Clone, Debug)]
struct Caller {
    host: Host,
    function: Arc<Function>,
    context: Arc<Context>,
    metadata: Metadata,
    done: Arc<AtomicU64>,
}

impl Calls {
    /// What a call costs, or an event of one, in CPU microseconds of all processes together.
    pub(crate) fn measure(&self, window: Duration) -> Result<f64> {
        let output = Command::new(std::env::current_exe()?)
            .args([CALL, self.function])
            .args([self.at_once, self.events.unwrap_or(0)].map(|number| number.to_string()))
            .arg(window.as_secs_f64().to_string())
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let micros = said.trim().parse();
        micros.map_err(|_| anyhow!("{}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// Calls and prints what a unit cost: `arguments` are what [`Calls::measure`] says.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [function, at_once, events, window] = arguments else {
        bail!("a function, how many at a time, events of each, and seconds are needed");
    };
    let (at_once, events): (usize, usize) = (at_once.parse()?, events.parse()?);
    let window = Duration::try_from_secs_f64(window.parse()?)?;
    let folder = tempfile::tempdir()?;
    let runtimes = runtimes()?;
    let handles: Vec<Handle> = runtimes.iter().map(|it| it.handle().clone()).collect();
    for runtime in runtimes {
        // Each ends with the process.
        thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    }
    let main = Builder::new_current_thread().enable_all().build()?;
    let micros = main.block_on(async {
        let caller = Caller::start(folder.path(), function, &handles).await?;
        let mut calls = JoinSet::new();
        for (place, runtime) in (0..at_once).zip(handles.iter().cycle()) {
            let caller = caller.clone();
            calls.spawn_on(async move { caller.call_on(place, events).await }, runtime);
        }
        tokio::select! {
            ended = calls.join_next() => match ended {
                Some(Ok(Err(error))) => Err(error),
                ended => Err(anyhow!("a caller has ended: {ended:?}")),
            },
            micros = caller.watch(window) => micros,
        }
    })?;
    println!("{micros}");
    Ok(())
}

/// As many as the gateway has.
fn runtimes() -> Result<Vec<Runtime>> {
    let count = thread::available_parallelism().map_or(1, usize::from);
    let runtimes = (0..count).map(|_| Builder::new_current_thread().enable_all().build());
    Ok(runtimes.collect::<Result<_, _>>()?)
}

impl Caller {
    async fn start(folder: &Path, function: &str, handles: &[Handle]) -> Result<Self> {
        let config = configuration(folder)?;
        let host = Host::new(python_settings(&config), handles.to_vec());
        let store = Store::open(&folder.join("data"))?;
        let registry = Registry::open(&config, store, Arc::new(host.clone())).await?;
        let source = fs::read_to_string(Path::new(FUNCTIONS).join(format!("{function}.py")))?;
        let id = FunctionId::parse(function).context("it has no id")?;
        let files = Files {
            sources: [(id, source)].into(),
            ..Files::default()
        };
        registry.apply_folder(files, true).await;
        let snapshot = registry.current();
        let function = snapshot.function(function).context("it is not loaded")?;
        Ok(Self {
            host,
            function: Arc::clone(function),
            context: Arc::new(context()),
            metadata: Metadata {
                json: METADATA.into(),
                version: 1,
            },
            done: Arc::default(),
        })
    }

    /// Calls for ever.
    async fn call_on(&self, place: usize, events: usize) -> Result<()> {
        // Not all in one breath.
        sleep(Duration::from_micros(place as u64)).await;
        match events {
            0 => self.call_inlet().await,
            _ => self.call_stream(events).await,
        }
    }

    async fn call_inlet(&self) -> Result<()> {
        let body = Bytes::from(target::body(PLAIN, BODY_BYTES, Answers::Whole));
        loop {
            let mut session = self.open().await?;
            let made = session.call_hook(Hook::Inlet, &body, &self.metadata).await;
            let (made, _) = made.map_err(|failure| anyhow!("{failure:?}"))?;
            if made == body {
                bail!("the function has changed nothing");
            }
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn call_stream(&self, events: usize) -> Result<()> {
        let events = vec![Bytes::from(event_data()); events];
        let mut session = self.open().await?;
        loop {
            let made = session.call_stream(&events, &self.metadata).await;
            if let Some(failure) = made.failure {
                bail!("{failure:?}");
            }
            self.done
                .fetch_add(made.events.len() as u64, Ordering::Relaxed);
        }
    }

    async fn open(&self) -> Result<sluicegate::host::Session> {
        let opened = self
            .host
            .open(&self.function, &self.context, &self.metadata);
        opened.await.map_err(|failure| anyhow!("{failure:?}"))
    }

    /// What a unit costs in one window.
    async fn watch(&self, window: Duration) -> Result<f64> {
        sleep(WARM_UP).await;
        let family = Family::of(std::process::id())?;
        let (done, cpu) = (self.done.load(Ordering::Relaxed), family.nanoseconds()?);
        sleep(window).await;
        let (done_after, cpu_after) = (self.done.load(Ordering::Relaxed), family.nanoseconds()?);
        if done_after == done {
            bail!("nothing was answered");
        }
        Ok((cpu_after - cpu) as f64 / (done_after - done) as f64 / 1000.0)
    }
}

fn configuration(folder: &Path) -> Result<Config> {
    let file = folder.join("sluicegate.toml");
    let data = folder.join("data");
    let text = format!("data_dir = \"{}\"\n{}", data.display(), python());
    fs::write(&file, text)?;
    let sources = Sources {
        file: Some(file),
        ..Sources::default()
    };
    Ok(config::load(&sources)?)
}

fn context() -> Context {
    Context {
        user_id: "bench".to_owned(),
        user: USER.into(),
        model: MODEL.into(),
        http: HTTP.into(),
        callbacks: Arc::new(Alone),
        now: 1_700_000_000,
    }
}
