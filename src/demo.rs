//! `sluicegate demo`: a model inside the binary, the sample functions, and a key. No upstream is needed.

mod tour;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::config::{
    self, Affinity, Config, Mistakes, Secret, Sources, UpstreamConfig, UpstreamKind,
};
use crate::gateway::{self, Gateway, GatewayError, Hangups};
use crate::server::drain::Shutdown;

/// The key of the demo's administrator. It is worth nothing elsewhere: the demo listens on loopback only.
pub const KEY: &str = "sk-demo";

/// The sample functions that the demo runs, by file name.
const FUNCTIONS: &[(&str, &str)] = &[
    (
        "models_manifold.py",
        include_str!("../filters/models_manifold.py"),
    ),
    ("redact.py", include_str!("../filters/redact.py")),
    (
        "system_prompt.py",
        include_str!("../filters/system_prompt.py"),
    ),
    ("turn_limit.py", include_str!("../filters/turn_limit.py")),
];

/// The configuration of a demo: the settings as given, the embedded model, the demo's key.
///
/// # Errors
///
/// If the settings are wrong.
pub fn configure(mut sources: Sources) -> Result<Config, Mistakes> {
    // A demo leaves a gateway's own data alone.
    sources
        .flags
        .entry("data_dir")
        .or_insert_with(|| default_data_dir().display().to_string());
    // What it shows is not to drown in log lines.
    if !sources.env.contains_key("SLUICEGATE_LOG_LEVEL") {
        sources
            .flags
            .entry("log.level")
            .or_insert_with(|| "warn".to_owned());
    }
    // Nor does it talk to the model servers that a developer's shell names.
    sources
        .env
        .retain(|name, _| !name.starts_with("OPENAI_") && !name.starts_with("OLLAMA_"));
    let mut config = config::load(&sources)?;
    config.auth.admin_key = Some(Secret::new(KEY));
    config.upstreams.push(embedded_model());
    let prompt =
        json!({"prompt": "You are the demo model of Sluicegate. You talk to {{USER_NAME}}."});
    let defaults = config.functions.defaults.clone();
    let entry = config
        .functions
        .entries
        .entry("system_prompt".to_owned())
        .or_insert(defaults);
    if let (serde_json::Value::Object(valves), true) = (prompt, entry.valves.is_empty()) {
        entry.valves = valves;
    }
    Ok(config)
}

/// The model inside the binary, as an upstream.
fn embedded_model() -> UpstreamConfig {
    UpstreamConfig {
        name: "demo".to_owned(),
        kind: UpstreamKind::Embedded,
        base_urls: Vec::new(),
        api_key: None,
        prefix: String::new(),
        models: Vec::new(),
        headers: Vec::new(),
        affinity: Affinity::None,
        max_in_flight: 0,
        filters: Default::default(),
    }
}

/// Below the folder in which it was started: a predictable name in a shared one could be somebody else's.
fn default_data_dir() -> PathBuf {
    PathBuf::from("data/demo")
}

/// Serves the demo until a signal, or takes the tour through it and ends.
///
/// # Errors
///
/// If it does not start, or the tour does not go as it should.
pub async fn run(mut config: Config, tour: bool) -> Result<(), GatewayError> {
    if tour {
        config.listen.set_port(0);
        config.functions.dir = config.data_dir.join("tour");
        return take_tour(config).await;
    }
    install_functions(&config.functions.dir).map_err(|error| {
        GatewayError::new(
            format!(
                "the sample functions cannot be written to `{}`",
                config.functions.dir.display()
            ),
            error,
        )
    })?;
    let (shutdown, hangups) = (Shutdown::new(), Hangups::receive());
    let gateway = Gateway::build(config, shutdown.clone()).await?;
    let address = gateway
        .local_addr()
        .map_err(|error| GatewayError::new("the listener has no address", error))?;
    show_what_to_try(&format!("http://{address}"));
    tokio::spawn(gateway::stop_on_signal(shutdown));
    gateway.run(None, hangups).await
}

async fn take_tour(config: Config) -> Result<(), GatewayError> {
    let (shutdown, hangups) = (Shutdown::new(), Hangups::receive());
    let gateway = Gateway::build(config, shutdown.clone()).await?;
    let address = gateway
        .local_addr()
        .map_err(|error| GatewayError::new("the listener has no address", error))?;
    let served = tokio::spawn(gateway.run(None, hangups));
    let shown = tour::take(&format!("http://{address}")).await;
    shutdown.signal();
    served
        .await
        .map_err(|error| GatewayError::new("the demo gateway failed", error))??;
    shown.map_err(|error| GatewayError::new("the tour did not go as it should", error))
}

fn install_functions(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, source) in FUNCTIONS {
        let path = folder.join(name);
        // A copy that was edited stays as it is.
        if !path.exists() {
            fs::write(path, source)?;
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this text is what the command is for")]
fn show_what_to_try(base: &str) {
    println!(
        r#"
Sluicegate demo: {base}   key: {KEY}

A model inside the binary answers as `demo`; the functions in filters/ run on every chat.

  curl -N {base}/v1/chat/completions -H 'Authorization: Bearer {KEY}' -H 'Content-Type: application/json' \
    -d '{{"model":"demo","stream":true,"messages":[{{"role":"user","content":"Mail me at ada@example.org"}}]}}'

  curl {base}/v1/models -H 'Authorization: Bearer {KEY}'

  curl -X POST {base}/api/v1/functions/id/redact/valves/update -H 'Authorization: Bearer {KEY}' \
    -H 'Content-Type: application/json' -d '{{"mail":false}}'

Ctrl-C ends it.
"#
    );
}
