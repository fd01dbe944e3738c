//! What the parts cost by themselves that every request or event passes: the JSON gate, the readers of streams, the
//! frames to workers, and the choice of filters.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use frames::{Frame, HEADER_BYTES, Kind};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, Uri};
use serde_json::{Value, json};
use sluicegate::auth::{Auth, Caller};
use sluicegate::chat::Contract;
use sluicegate::chat::callbacks::{Reach, Within};
use sluicegate::chat::chain::Chain;
use sluicegate::chat::request::{ChatRequest, Incoming};
use sluicegate::config::{self, Config, Sources};
use sluicegate::host::{Host, PythonSettings};
use sluicegate::models::{Model, Models};
use sluicegate::native::{Kind as Native, Session, User};
use sluicegate::registry::folder::Files;
use sluicegate::registry::{
    Candidate, CheckedValves, FunctionId, FunctionSettings, FunctionVersion, Learnt, LoadError,
    Loader, Registry, Snapshot,
};
use sluicegate::store::Store;
use sluicegate::telemetry::RequestLog;
use sluicegate::telemetry::metrics::Route;
use sluicegate::upstream::{Catalog, Directory};
use sluicegate::wire::json::{Document, Tape};
use sluicegate::wire::sse::{Decoder, EventEnds};
use tempfile::TempDir;

/// Functions of the snapshot that filters are chosen from.
const FUNCTIONS: usize = 1000;
/// How many of them run on the model that is asked for.
const ATTACHED: usize = 5;
/// Events that come in one piece.
const BATCH: usize = 64;
/// The key with which the bench calls.
const KEY: &str = "sk-benchbenchbenchbenchbenchbench00";

criterion_group! {
    name = benches;
    // Short, because the differences that matter here are large.
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = json_gate, event_streams, worker_frames, chain, native_filters
}
criterion_main!(benches);

fn json_gate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("json");
    for kibibytes in [1, 4, 16] {
        let body = chat_body(kibibytes * 1024);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("gate/{kibibytes}KiB"), |bencher| {
            bencher.iter(|| Document::parse(black_box(body.clone())));
        });
        let document = Document::parse(body).expect("the body is valid");
        group.bench_function(format!("edit/{kibibytes}KiB"), |bencher| {
            bencher.iter(|| document.edit().set_string("model", "other").finish());
        });
    }
}

fn event_streams(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sse");
    for count in [1, BATCH] {
        let piece = Bytes::from(event().repeat(count));
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("ends/{count}"), |bencher| {
            let mut ends = EventEnds::new();
            bencher.iter(|| ends.push(black_box(piece.clone())));
        });
        group.bench_function(format!("decoder/{count}"), |bencher| {
            let mut decoder = Decoder::per_line();
            bencher.iter(|| {
                let pushed = decoder.push(black_box(piece.clone()));
                pushed.expect("the events are short");
                while let Some(event) = decoder.next_event() {
                    black_box(event);
                }
            });
        });
    }
}

fn worker_frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frames");
    for bytes in [256, 4096] {
        let frame = Frame::new(Kind::Reply, 7, Bytes::from(vec![b'x'; bytes]));
        let mut wire = BytesMut::new();
        frames::encode(&frame, &mut wire);
        let wire = wire.freeze();
        group.throughput(Throughput::Bytes(wire.len() as u64));
        group.bench_function(format!("encode/{bytes}B"), |bencher| {
            let mut out = BytesMut::with_capacity(HEADER_BYTES + bytes);
            bencher.iter(|| {
                out.clear();
                frames::encode(black_box(&frame), &mut out);
            });
        });
        group.bench_function(format!("decode/{bytes}B"), |bencher| {
            let filled = || {
                let mut decoder = frames::Decoder::default();
                decoder.buffer.extend_from_slice(&wire);
                decoder
            };
            bencher.iter_batched_ref(filled, frames::Decoder::next_frame, BatchSize::SmallInput);
        });
    }
}

fn chain(criterion: &mut Criterion) {
    let house = House::build();
    let incoming = house.incoming();
    let body = chat_body(1024);
    let request = ChatRequest::parse(&incoming, body.clone()).expect("the body is valid");
    let reach = Reach::nothing();
    let mut group = criterion.benchmark_group("chain");
    group.bench_function(format!("select/{ATTACHED} of {FUNCTIONS}"), |bencher| {
        bencher.iter(|| {
            Chain::select(
                &reach,
                &house.snapshot,
                &request,
                &house.model,
                Vec::new(),
                &incoming,
            )
        });
    });
    group.bench_function("request/1KiB", |bencher| {
        bencher.iter(|| ChatRequest::parse(&incoming, black_box(body.clone())));
    });
}

fn native_filters(criterion: &mut Criterion) {
    let redact = || {
        let kind = Native::find("redact").expect("there is this kind");
        let filter = kind.filter(b"{}").expect("the defaults fit");
        Session::new(filter, Arc::new(User::default()), None)
    };
    let mut group = criterion.benchmark_group("native");
    let body = chat_body(4 * 1024);
    let hit = String::from_utf8_lossy(&body).replace("like.", "like? ann@example.com");
    for (name, body) in [("passed", body), ("changed", hit.into())] {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("redact/4KiB {name}"), |bencher| {
            let session = redact();
            bencher.iter(|| session.inlet(black_box(&body)));
        });
    }
    let event = event();
    let data = Bytes::from(event.strip_prefix(b"data: ").unwrap_or(&event).to_vec());
    group.throughput(Throughput::Elements(1));
    group.bench_function("redact/event", |bencher| {
        let mut session = redact();
        bencher.iter(|| {
            let event = Tape::parse(black_box(data.clone())).expect("it is JSON");
            session.event(&event)
        });
    });
}

/// What a request is chosen filters from.
struct House {
    snapshot: Arc<Snapshot>,
    model: Model,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
    log: Arc<RequestLog>,
    _data: TempDir,
}

impl House {
    fn build() -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
        let data = tempfile::tempdir().expect("a folder can be made");
        runtime.block_on(Self::build_in(data))
    }

    async fn build_in(data: TempDir) -> Self {
        let config = configuration(&data);
        let store = Store::open(data.path()).expect("the store can be opened");
        let headers = HeaderMap::from_iter([(
            http::header::AUTHORIZATION,
            HeaderValue::try_from(format!("Bearer {KEY}")).expect("the key can be a header"),
        )]);
        let (auth, _) = Auth::new(&config, &store).await.expect("users are read");
        let caller = auth
            .authenticate(&headers, Ipv4Addr::LOCALHOST.into())
            .expect("the key is known");
        let registry = Registry::open(&config, store, Arc::new(Learned))
            .await
            .expect("the store is empty");
        registry.apply_folder(functions(), true).await;
        let snapshot = registry.current();
        let model = models(&config)
            .find(&snapshot, &caller, "plain")
            .await
            .expect("the model is configured");
        Self {
            snapshot,
            model,
            caller,
            headers,
            uri: Uri::from_static("/v1/chat/completions"),
            log: RequestLog::begin("bench".into(), "POST", "/v1/chat/completions", Route::Chat),
            _data: data,
        }
    }

    fn incoming(&self) -> Incoming<'_> {
        Incoming {
            contract: Contract::OpenAi,
            caller: &self.caller,
            method: &Method::POST,
            uri: &self.uri,
            headers: &self.headers,
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            is_encrypted: false,
            log: &self.log,
            within: Within::default(),
            bypasses_filters: false,
            now: 1_700_000_000,
        }
    }
}

fn configuration(data: &TempDir) -> Config {
    let entry = |index: usize| {
        let model = if index < ATTACHED { "plain" } else { "other" };
        format!("[function.f{index}]\nglobal = false\nmodels = [\"{model}\"]\n")
    };
    let entries: String = (0..FUNCTIONS).map(entry).collect();
    let text = format!(
        "data_dir = \"{}\"\n[models]\naccess = \"open\"\n\
         [[upstreams]]\nname = \"bench\"\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\nmodels = [\"plain\"]\n\
         [[users]]\nid = \"bench\"\nname = \"Bench\"\nemail = \"bench@example.org\"\nrole = \"user\"\n\
         api_key = \"{KEY}\"\n{entries}",
        data.path().display()
    );
    let file = data.path().join("sluicegate.toml");
    std::fs::write(&file, text).expect("the folder can be written");
    let sources = Sources {
        file: Some(file),
        ..Sources::default()
    };
    config::load(&sources).expect("the configuration is right")
}

fn functions() -> Files {
    let id = |index| FunctionId::parse(&format!("f{index}")).expect("it is an id");
    let sources = (0..FUNCTIONS).map(|index| (id(index), format!("# {index}")));
    Files {
        sources: sources.collect(),
        ..Files::default()
    }
}

fn models(config: &Config) -> Models {
    let runtime = tokio::runtime::Handle::current();
    let directory = Directory::build(&config.upstreams, &config.upstream);
    let directory = Arc::new(directory.expect("the upstream is configured"));
    let catalog = Catalog::new(Arc::clone(&directory), runtime.clone(), config.models.cache);
    let python = PythonSettings {
        leave: sluicegate::host::Leave {
            policy: sluicegate::config::Requirements::Off,
            approved: Vec::new(),
        },
        interpreter: config.python.interpreter.clone(),
        data_dir: config.data_dir.clone(),
        uv: config.python.uv.clone(),
        base: false,
        pass_env: Vec::new(),
        isolation: Default::default(),
        log_prints: false,
    };
    let host = Host::new(python, vec![runtime]);
    let catalog = catalog.expect("a client can be made");
    Models::new(catalog, directory, host, &config.models)
}

/// Learns the same of every function, without Python.
struct Learned;

impl Loader for Learned {
    fn load<'a>(
        &'a self,
        _: &'a Candidate,
        _: &'a FunctionSettings,
    ) -> BoxFuture<'a, Result<Learnt, LoadError>> {
        let learnt = json!({"kind": "filter", "handlers": {"inlet": {}}});
        let learnt = serde_json::from_value(learnt);
        std::future::ready(learnt.map_err(|error| LoadError::refused(error.to_string()))).boxed()
    }

    fn check_valves<'a>(
        &'a self,
        _: &'a FunctionVersion,
        _: &'a FunctionSettings,
        values: &'a Value,
        _: bool,
    ) -> BoxFuture<'a, Result<CheckedValves, LoadError>> {
        let checked = CheckedValves {
            stored: values.clone(),
            priority: 0.0,
        };
        std::future::ready(Ok(checked)).boxed()
    }

    fn valves_spec<'a>(
        &'a self,
        _: &'a FunctionVersion,
        _: &'a FunctionSettings,
        _: &'a Value,
        _: bool,
    ) -> BoxFuture<'a, Result<Value, LoadError>> {
        std::future::ready(Ok(Value::Null)).boxed()
    }
}

/// A chat of about this length, in messages of some hundred bytes.
fn chat_body(bytes: usize) -> Bytes {
    let message = |index: usize| {
        let role = if index.is_multiple_of(2) {
            "user"
        } else {
            "assistant"
        };
        json!({"role": role, "content": "What the \"weather\" is like.\n".repeat(10)})
    };
    let messages: Vec<Value> = (0..bytes.div_ceil(350)).map(message).collect();
    let body = json!({
        "model": "plain",
        "stream": true,
        "temperature": 0.7,
        "max_tokens": 1024,
        "messages": messages,
    });
    body.to_string().into()
}

fn event() -> Vec<u8> {
    let chunk = json!({
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "plain",
        "system_fingerprint": "fp_bench",
        "choices": [{"index": 0, "delta": {"content": " word"}, "logprobs": null, "finish_reason": null}],
    });
    format!("data: {chunk}\n\n").into_bytes()
}
