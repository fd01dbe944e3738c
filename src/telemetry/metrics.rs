//! What is counted, for Prometheus. No label grows with users, models or prompts: functions are the longest list.

mod recent;

use std::cell::RefCell;
use std::sync::LazyLock;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use self::recent::Recent;
use super::Outcome;

/// The media type of [`render`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// A chat completion.
    Chat,
    /// A list of models, or one of them.
    Models,
    /// One of OpenAI's other routes.
    Passthrough,
    /// The management API.
    Management,
    /// Everything else.
    Other,
}

impl Route {
    const ALL: [Self; 5] = [
        Self::Chat,
        Self::Models,
        Self::Passthrough,
        Self::Management,
        Self::Other,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Models => "models",
            Self::Passthrough => "passthrough",
            Self::Management => "management",
            Self::Other => "other",
        }
    }
}

/// Why a worker process is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerEnd {
    /// It died by itself.
    Crashed,
    /// It hung, and was killed.
    Killed,
    /// A call in it could not be cancelled.
    Replaced,
}

/// What a worker process has used up when it is replaced in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recycling {
    /// Its requests.
    Calls,
    /// Its address space.
    Memory,
    /// Its descriptors.
    Descriptors,
    /// Its threads.
    Threads,
}

impl Recycling {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Memory => "memory",
            Self::Descriptors => "descriptors",
            Self::Threads => "threads",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    route: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    function: String,
    hook: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HookLabels {
    function: String,
    hook: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// One route's numbers, found once: requests pay for no look-up.
struct RouteMetrics {
    /// By status class, 1xx first; the sixth is for clients that left.
    requests: [Counter; 6],
    duration: Histogram,
    first_byte: Histogram,
}

struct Metrics {
    registry: Registry,
    routes: Vec<RouteMetrics>,
    streams: Gauge,
    calls: Family<CallLabels, Counter>,
    call_seconds: Family<HookLabels, Histogram, fn() -> Histogram>,
    process_calls: Counter,
    workers: Gauge,
    worker_ends: Family<ReasonLabel, Counter>,
    recycled: Family<ReasonLabel, Counter>,
    generation: Gauge,
    last_reload: Gauge,
    events: Counter,
    memory: Memory,
}

/// What the watch over memory tells.
#[derive(Default)]
struct Memory {
    used: Gauge,
    resident: Gauge,
    level: Gauge,
    readers_let_go: Counter,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

thread_local! {
    static RECENT_CALLS: RefCell<Recent<CallLabels, Counter>> = const { RefCell::new(Recent::new()) };
    static RECENT_SECONDS: RefCell<Recent<HookLabels, Histogram>> = const { RefCell::new(Recent::new()) };
}

/// The words for status classes, in the order of [`RouteMetrics::requests`].
const STATUSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "left"];

fn request_seconds() -> Histogram {
    Histogram::new([
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
        120.0, 300.0,
    ])
}

fn call_seconds() -> Histogram {
    Histogram::new([
        0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0,
        5.0, 30.0,
    ])
}

impl Metrics {
    fn new() -> Self {
        let mut registry = Registry::with_prefix("sluicegate");
        let routes = Self::routes(&mut registry);
        let metrics = Self {
            routes,
            streams: Gauge::default(),
            calls: Family::default(),
            call_seconds: Family::new_with_constructor(call_seconds),
            process_calls: Counter::default(),
            workers: Gauge::default(),
            worker_ends: Family::default(),
            recycled: Family::default(),
            generation: Gauge::default(),
            last_reload: Gauge::default(),
            events: Counter::default(),
            memory: Memory::default(),
            registry,
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        let help = "Streams that are under way";
        registry.register("active_streams", help, self.streams.clone());
        let help = "Calls of functions, by what came of them; a batch of stream events is one call";
        registry.register("function_calls", help, self.calls.clone());
        let help = "How long functions took for a call";
        let seconds = self.call_seconds.clone();
        registry.register_with_unit("function_duration", help, Unit::Seconds, seconds);
        let help = "Calls that went to processes of functions; neighbours of one group share one";
        registry.register("process_calls", help, self.process_calls.clone());
        let help = "Events that functions emitted";
        registry.register("function_events", help, self.events.clone());
        let help = "Worker processes that serve functions";
        registry.register("workers", help, self.workers.clone());
        let help = "Worker processes that ended before their time";
        registry.register("worker_failures", help, self.worker_ends.clone());
        let help =
            "Worker processes that were replaced before they could fail, by what they had used up";
        registry.register("workers_recycled", help, self.recycled.clone());
        let help = "The generation that new requests get; it rises with every change";
        registry.register("generation", help, self.generation.clone());
        let help = "Whether all that the last reload, or the start, found was put to work: 1, or 0";
        self.last_reload.set(1);
        registry.register("last_reload_successful", help, self.last_reload.clone());
        self.memory.register(registry);
        self
    }

    fn routes(registry: &mut Registry) -> Vec<RouteMetrics> {
        let requests = Family::<StatusLabels, Counter>::default();
        let duration = duration_family();
        let first_byte = duration_family();
        let help =
            "Requests that are over, by status class; `left` are those whose client did not wait";
        registry.register("requests", help, requests.clone());
        let help = "From the request's head to the answer's last byte";
        let family = duration.clone();
        registry.register_with_unit("request_duration", help, Unit::Seconds, family);
        let help =
            "From the request's head to the answer's head, which waits for a stream's first event";
        let family = first_byte.clone();
        registry.register_with_unit("first_byte", help, Unit::Seconds, family);
        let of_route = |route: Route| {
            let label = RouteLabel {
                route: route.as_str(),
            };
            RouteMetrics {
                requests: STATUSES.map(|status| {
                    let route = route.as_str();
                    requests.get_or_create_owned(&StatusLabels { route, status })
                }),
                duration: duration.get_or_create_owned(&label),
                first_byte: first_byte.get_or_create_owned(&label),
            }
        };
        Route::ALL.into_iter().map(of_route).collect()
    }
}

impl Memory {
    fn register(&self, registry: &mut Registry) {
        let help = "Memory that the gateway has for itself, its functions' processes aside";
        registry.register_with_unit("memory", help, Unit::Bytes, self.used.clone());
        let help = "All of the gateway that is in memory, the program's files included";
        let resident = self.resident.clone();
        registry.register_with_unit("resident_memory", help, Unit::Bytes, resident);
        let help = "How short memory is: 0 ample, 1 tight, 2 new chats are refused, 3 slow readers are let go";
        registry.register("memory_level", help, self.level.clone());
        let help =
            "Connections that ended since their clients took nothing and memory was critical";
        registry.register("readers_let_go", help, self.readers_let_go.clone());
    }
}

fn duration_family() -> Family<RouteLabel, Histogram, fn() -> Histogram> {
    Family::new_with_constructor(request_seconds)
}

/// Counts a request that is over. `status` is `None` for a client that left.
pub fn request_over(
    route: Route,
    status: Option<u16>,
    duration: Duration,
    first_byte: Option<Duration>,
) {
    let metrics = &METRICS.routes[route as usize];
    let class = status.map_or(STATUSES.len() - 1, |status| {
        usize::from(status / 100).clamp(1, 5) - 1
    });
    metrics.requests[class].inc();
    metrics.duration.observe(duration.as_secs_f64());
    if let Some(first_byte) = first_byte {
        metrics.first_byte.observe(first_byte.as_secs_f64());
    }
}

/// Counts a stream for as long as it lives.
#[derive(Debug)]
pub struct ActiveStream(());

impl ActiveStream {
    /// A stream begins.
    #[must_use]
    pub fn begin() -> Self {
        METRICS.streams.inc();
        Self(())
    }
}

impl Drop for ActiveStream {
    fn drop(&mut self) {
        METRICS.streams.dec();
    }
}

/// Counts a call of a function by what came of it.
pub fn function_ran(function: &str, hook: &'static str, outcome: Outcome) {
    let outcome = outcome.as_str();
    let is_same =
        |it: &CallLabels| it.function == function && it.hook == hook && it.outcome == outcome;
    let labels = || CallLabels {
        function: function.to_owned(),
        hook,
        outcome,
    };
    let find = |labels: &CallLabels| METRICS.calls.get_or_create_owned(labels);
    RECENT_CALLS.with_borrow_mut(|recent| recent.find(is_same, labels, find).inc());
}

/// Notes how long a call of a function took.
pub fn function_took(function: &str, hook: &'static str, duration: Duration) {
    let is_same = |it: &HookLabels| it.function == function && it.hook == hook;
    let labels = || HookLabels {
        function: function.to_owned(),
        hook,
    };
    let find = |labels: &HookLabels| METRICS.call_seconds.get_or_create_owned(labels);
    let seconds = duration.as_secs_f64();
    RECENT_SECONDS.with_borrow_mut(|recent| recent.find(is_same, labels, find).observe(seconds));
}

/// Counts a call that goes to a process, whether for one function or for several.
pub fn process_called() {
    METRICS.process_calls.inc();
}

/// Counts an event that a function emitted.
pub fn event_emitted() {
    METRICS.events.inc();
}

/// Counts a worker process for as long as it is held.
#[derive(Debug)]
pub struct LiveWorker(());

impl LiveWorker {
    /// A worker process was connected.
    #[must_use]
    pub fn begin() -> Self {
        METRICS.workers.inc();
        Self(())
    }
}

impl Drop for LiveWorker {
    fn drop(&mut self) {
        METRICS.workers.dec();
    }
}

/// Counts a worker process that ended before its time.
pub fn worker_failed(end: WorkerEnd) {
    let reason = match end {
        WorkerEnd::Crashed => "crashed",
        WorkerEnd::Killed => "killed",
        WorkerEnd::Replaced => "replaced",
    };
    METRICS
        .worker_ends
        .get_or_create(&ReasonLabel { reason })
        .inc();
}

/// Counts a worker process that was replaced before it could fail.
pub fn worker_recycled(reason: Recycling) {
    let reason = reason.as_str();
    METRICS
        .recycled
        .get_or_create(&ReasonLabel { reason })
        .inc();
}

/// Notes the generation that new requests get.
pub fn set_generation(generation: u64) {
    METRICS.generation.set(saturated(generation));
}

/// Notes whether all that the last reload found was put to work.
pub fn set_last_reload(is_successful: bool) {
    METRICS.last_reload.set(i64::from(is_successful));
}

/// Notes how many bytes the process has for itself, and how many of it are in memory.
pub fn set_memory(used_bytes: u64, resident_bytes: u64) {
    let memory = &METRICS.memory;
    memory.used.set(saturated(used_bytes));
    memory.resident.set(saturated(resident_bytes));
}

/// Notes how short memory is.
pub fn set_memory_level(level: i64) {
    METRICS.memory.level.set(level);
}

/// Counts connections that ended for the sake of memory.
pub fn readers_let_go(count: u64) {
    METRICS.memory.readers_let_go.inc_by(count);
}

fn saturated(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Everything that is counted, as OpenMetrics text.
#[must_use]
pub fn render() -> String {
    let mut rendered = String::new();
    // Writing to a string does not fail.
    let _ = text::encode(&mut rendered, &METRICS.registry);
    rendered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_told_apart_however_many_there_are() {
        for round in 1..=2 {
            for nth in 0..20 {
                function_ran(&format!("apart{nth}"), "stream", Outcome::Passed);
                function_took(&format!("apart{nth}"), "stream", Duration::ZERO);
            }
            let text = render();
            for nth in 0..20 {
                let labels = format!("function=\"apart{nth}\",hook=\"stream\"");
                for line in [
                    format!("function_calls_total{{{labels},outcome=\"passed\"}} {round}\n"),
                    format!("function_duration_seconds_count{{{labels}}} {round}\n"),
                ] {
                    assert!(text.contains(&line), "no `{line}` in:\n{text}");
                }
            }
        }
    }

    #[test]
    fn what_happened_is_told() {
        let took = Duration::from_millis(3);
        request_over(Route::Models, Some(404), took, Some(took));
        request_over(Route::Models, None, took, None);
        function_ran("told", "inlet", Outcome::Refused);
        function_took("told", "inlet", took);
        let stream = ActiveStream::begin();
        let text = render();
        drop(stream);
        for line in [
            "sluicegate_requests_total{route=\"models\",status=\"4xx\"} 1",
            "sluicegate_requests_total{route=\"models\",status=\"left\"} 1",
            "sluicegate_function_calls_total{function=\"told\",hook=\"inlet\",outcome=\"refused\"} 1",
            "sluicegate_function_duration_seconds_count{function=\"told\",hook=\"inlet\"} 1",
            "# EOF",
        ] {
            assert!(text.contains(line), "no `{line}` in:\n{text}");
        }
    }
}
