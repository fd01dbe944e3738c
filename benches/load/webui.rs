//! Open WebUI with the same functions, set up over its own API: whoever signs up first is its administrator.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::gateway::{FUNCTIONS, INLET, STREAM};
use crate::management::client;
use crate::peers::{Door, Peer, Program, folder, free_address};
use crate::proxies::{find, version_of};
use crate::upstream::Wish;

const PATH: &str = "/api/chat/completions";
/// What the stream filter makes of a word that stands in every event.
const WORD_IN_CAPITALS: &str = " WORD ";
const REQUEST_LIMIT: Duration = Duration::from_secs(60);

/// Open WebUI, with `upstream` as its only connection.
pub(crate) fn start(upstream: SocketAddr) -> Result<Peer> {
    // A link into an environment of its own, in which its Python stands beside it.
    let program = fs::canonicalize(find("open-webui")?)?;
    let (addr, folder) = (free_address()?, folder()?);
    let mut command = Command::new(&program);
    command.args(["serve", "--host", "127.0.0.1", "--port"]);
    command.arg(addr.port().to_string());
    command.current_dir(folder.path());
    command.env("HOME", folder.path());
    command.env("DATA_DIR", folder.path());
    command.env("OPENAI_API_BASE_URLS", format!("http://{upstream}/v1"));
    command.envs(ENVIRONMENT);
    let program = Program {
        name: "Open WebUI",
        version: version_of(&program.with_file_name("python"), "open-webui")?,
        addr,
        folder,
        command,
    };
    let peer = program.start()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let key = runtime.block_on(set_up(addr))?;
    Ok(peer.with_door(Door { path: PATH, key }))
}

/// Nothing is downloaded and nobody is told anything.
const ENVIRONMENT: [(&str, &str); 14] = [
    ("WEBUI_SECRET_KEY", "of-the-load-runs"),
    ("OPENAI_API_KEYS", "none"),
    ("ENABLE_OLLAMA_API", "false"),
    ("ENABLE_API_KEYS", "true"),
    ("BYPASS_MODEL_ACCESS_CONTROL", "true"),
    ("GLOBAL_LOG_LEVEL", "WARNING"),
    ("OFFLINE_MODE", "true"),
    ("HF_HUB_OFFLINE", "1"),
    ("RAG_EMBEDDING_ENGINE", "openai"),
    ("ENABLE_VERSION_UPDATE_CHECK", "false"),
    ("ANONYMIZED_TELEMETRY", "false"),
    ("DO_NOT_TRACK", "true"),
    ("SCARF_NO_ANALYTICS", "true"),
    ("ENABLE_PERSISTENT_CONFIG", "false"),
];

/// Signs up, installs the functions, gives each a model; the key for chats.
async fn set_up(addr: SocketAddr) -> Result<String> {
    let mut api = Api {
        http: client(REQUEST_LIMIT)?,
        base: format!("http://{addr}/api"),
        token: String::new(),
    };
    let account =
        json!({"name": "Bench", "email": "bench@example.org", "password": "of-the-load-runs"});
    api.token = text(&api.post("v1/auths/signup", account).await?, "token")?;
    for id in [INLET, STREAM] {
        let content = fs::read_to_string(format!("{FUNCTIONS}/{id}.py"))?;
        let function =
            json!({"id": id, "name": id, "content": content, "meta": {"description": id}});
        api.post("v1/functions/create", function).await?;
        let toggle = format!("v1/functions/id/{id}/toggle");
        api.post(&toggle, Value::Null).await?;
        let model = json!({"id": id, "name": id, "meta": {"filterIds": [id]}, "params": {}});
        api.post("v1/models/create", model).await?;
    }
    // What it has not listed it does not know.
    api.ask(Method::GET, "models", Value::Null).await?;
    api.ensure_filters_run().await?;
    let key = api.post("v1/auths/api_key", Value::Null).await?;
    text(&key, "api_key")
}

struct Api {
    http: Client,
    base: String,
    token: String,
}

impl Api {
    /// A filter that does not run costs nothing.
    async fn ensure_filters_run(&self) -> Result<()> {
        let question = json!({"role": "user", "content": Wish::new(1, 0).to_string()});
        let chat = json!({"model": STREAM, "stream": true, "messages": [question]});
        let answer = self.ask(Method::POST, "chat/completions", chat).await?;
        if !answer.contains(WORD_IN_CAPITALS) {
            bail!("the filter has not run: {answer}");
        }
        Ok(())
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        let answer = self.ask(Method::POST, path, body).await?;
        Ok(serde_json::from_str(&answer)?)
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Result<String> {
        let request = self.http.request(method, format!("{}/{path}", self.base));
        let answer = request.bearer_auth(&self.token).json(&body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            bail!("{path} was answered {status}: {text}");
        }
        Ok(text)
    }
}

fn text(answer: &Value, member: &str) -> Result<String> {
    let text = answer.get(member).and_then(Value::as_str);
    Ok(text
        .with_context(|| format!("the answer has no `{member}`"))?
        .to_owned())
}
