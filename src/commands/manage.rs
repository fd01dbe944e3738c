//! `sluicegate functions list|add|update|…`: the management API from the command line.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{CommandError, read_json, read_text};
use crate::cli::Action;
use crate::config::Secret;

/// How long an answer may take: loading a function may have to build an environment first.
const LIMIT: Duration = Duration::from_secs(900);

/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The functions of a gateway that runs.
#[derive(Debug)]
pub struct Remote {
    http: reqwest::Client,
    url: String,
    key: Secret,
}

/// What a command shows.
#[derive(Debug)]
pub struct Shown {
    /// For people.
    pub text: String,
    /// For machines: what the gateway answered.
    pub json: Value,
}

impl Shown {
    fn new(text: impl Into<String>, json: Value) -> Self {
        Self {
            text: text.into(),
            json,
        }
    }
}

impl Remote {
    /// The gateway at an address, called with a key.
    ///
    /// # Errors
    ///
    /// If there is no key.
    pub fn new(url: &str, key: Option<Secret>) -> Result<Self, CommandError> {
        let hint = "hint: set --key or SLUICEGATE_KEY to an administrator's key";
        let key = key.ok_or_else(|| CommandError::new(format!("there is no key; {hint}")))?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .timeout(LIMIT)
            .build();
        let http = http.map_err(|error| CommandError::new(format!("no client: {error}")))?;
        Ok(Self {
            http,
            url: url.trim_end_matches('/').to_owned(),
            key,
        })
    }

    /// Does what was asked for.
    ///
    /// # Errors
    ///
    /// If the gateway cannot be reached or refuses, or a file cannot be read or written.
    pub async fn run(&self, action: Action) -> Result<Shown, CommandError> {
        match action {
            Action::List => self.list().await,
            Action::Add {
                file,
                id,
                name,
                enable,
                global,
            } => self.add(&file, id, name, enable, global).await,
            Action::Update { id, file } => self.update(&id, &file).await,
            Action::Enable { id, global } => self.enable(&id, global).await,
            Action::Disable { id } => {
                let function = self.set(&id, "is_active", "toggle", false).await?;
                Ok(Shown::new(line(&function), function))
            }
            Action::Valves { id, values, file } => self.valves(&id, &values, file.as_deref()).await,
            Action::History { id } => self.history(&id).await,
            Action::Rollback {
                id,
                version,
                keep_valves,
            } => self.rollback(&id, version, keep_valves).await,
            Action::Export { valves, output } => self.export(valves, output.as_deref()).await,
            Action::Import { file, sync } => self.import(&file, sync).await,
            Action::Environments => self.environments().await,
        }
    }

    async fn list(&self) -> Result<Shown, CommandError> {
        let mut functions = self.get("list").await?;
        if let Some(functions) = functions.as_array_mut() {
            functions.sort_by_key(|function| function["id"].to_string());
        }
        Ok(Shown::new(lines(&functions, line), functions))
    }

    async fn add(
        &self,
        file: &Path,
        id: Option<String>,
        name: Option<String>,
        enable: bool,
        global: bool,
    ) -> Result<Shown, CommandError> {
        let content = read_text(file)?;
        let stem = || {
            file.file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
        };
        let id = id.or_else(stem).unwrap_or_default();
        let title = || {
            let pairs = crate::registry::frontmatter::parse(&content);
            let mut pairs = pairs.into_iter();
            pairs
                .find(|(key, _)| key == "title")
                .map(|(_, title)| title)
        };
        let name = name.or_else(title).unwrap_or_else(|| id.clone());
        let form = json!({"id": id, "name": name, "content": content, "meta": {"description": ""}});
        let created = self.post("create", &form).await?;
        let id = text(&created["id"]).to_owned();
        if enable || global {
            return self.enable(&id, global).await;
        }
        Ok(Shown::new(line(&created), created))
    }

    async fn update(&self, id: &str, file: &Path) -> Result<Shown, CommandError> {
        let known = self.get(&format!("id/{id}")).await?;
        let form = json!({
            "id": id, "name": known["name"], "content": read_text(file)?, "meta": known["meta"],
        });
        let updated = self.post(&format!("id/{id}/update"), &form).await?;
        Ok(Shown::new(line(&updated), updated))
    }

    async fn enable(&self, id: &str, global: bool) -> Result<Shown, CommandError> {
        let mut function = self.set(id, "is_active", "toggle", true).await?;
        if global {
            function = self.set(id, "is_global", "toggle/global", true).await?;
        }
        Ok(Shown::new(line(&function), function))
    }

    /// Toggles a switch unless it stands as wanted.
    async fn set(
        &self,
        id: &str,
        switch: &str,
        route: &str,
        wanted: bool,
    ) -> Result<Value, CommandError> {
        let function = self.get(&format!("id/{id}")).await?;
        if function[switch] == wanted {
            return Ok(function);
        }
        self.post(&format!("id/{id}/{route}"), &json!({})).await
    }

    async fn valves(
        &self,
        id: &str,
        values: &[String],
        file: Option<&Path>,
    ) -> Result<Shown, CommandError> {
        let path = format!("id/{id}/valves");
        let mut stored = self.get(&path).await?;
        let mut changes = match file {
            Some(file) => object(read_json(file)?, file)?,
            None => Map::new(),
        };
        for value in values {
            let (name, value) = assignment(value)?;
            changes.insert(name, value);
        }
        if !changes.is_empty() {
            // Secrets that are not changed go back as the masks that they came as.
            let mut sent = stored.as_object().cloned().unwrap_or_default();
            sent.extend(changes);
            let path = format!("{path}/update");
            self.post(&path, &Value::Object(sent)).await?;
            stored = self.get(&format!("id/{id}/valves")).await?;
        }
        let mut shown = String::new();
        for (name, value) in stored.as_object().into_iter().flatten() {
            // Writing to a string does not fail.
            let _ = writeln!(shown, "{name} = {value}");
        }
        let shown = if shown.is_empty() {
            "every value is the default\n".to_owned()
        } else {
            shown
        };
        Ok(Shown::new(shown, stored))
    }

    async fn history(&self, id: &str) -> Result<Shown, CommandError> {
        let versions = self.get(&format!("id/{id}/history")).await?;
        Ok(Shown::new(lines(&versions, version_line), versions))
    }

    async fn rollback(
        &self,
        id: &str,
        version: Option<String>,
        keep_valves: bool,
    ) -> Result<Shown, CommandError> {
        let version = match version {
            Some(version) => version,
            None => {
                let versions = self.get(&format!("id/{id}/history")).await?;
                before_current(&versions).ok_or_else(|| {
                    CommandError::new(format!("`{id}` has no version before the one that serves"))
                })?
            }
        };
        let valves = if keep_valves { "current" } else { "version" };
        let form = json!({"version_id": version, "valves": valves});
        let function = self.post(&format!("id/{id}/update/version"), &form).await?;
        Ok(Shown::new(line(&function), function))
    }

    async fn export(&self, valves: bool, output: Option<&Path>) -> Result<Shown, CommandError> {
        let functions = self.get(&format!("export?include_valves={valves}")).await?;
        let text = serde_json::to_string_pretty(&functions).unwrap_or_default() + "\n";
        let Some(output) = output else {
            return Ok(Shown::new(text, functions));
        };
        std::fs::write(output, text)
            .map_err(|error| CommandError::new(format!("`{}`: {error}", output.display())))?;
        let count = functions.as_array().map_or(0, Vec::len);
        let said = format!("{count} functions in `{}`\n", output.display());
        Ok(Shown::new(said, json!({"functions": count})))
    }

    async fn import(&self, file: &Path, sync: bool) -> Result<Shown, CommandError> {
        let functions = match read_json(file)? {
            Value::Object(mut named) => named.remove("functions").unwrap_or_default(),
            functions => functions,
        };
        let route = if sync { "sync" } else { "import" };
        let placed = self.post(route, &json!({"functions": functions})).await?;
        Ok(Shown::new(lines(&placed, line), placed))
    }

    async fn environments(&self) -> Result<Shown, CommandError> {
        let environments = self.get("environments").await?;
        Ok(Shown::new(
            lines(&environments, environment_line),
            environments,
        ))
    }

    async fn get(&self, path: &str) -> Result<Value, CommandError> {
        self.ask(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, CommandError> {
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, CommandError> {
        let url = format!("{}/api/v1/functions/{path}", self.url);
        let mut request = self.http.request(method, url);
        request = request.bearer_auth(self.key.reveal());
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let cause = cause.unwrap_or_else(|| error.to_string());
            let hint = "hint: set --url or SLUICEGATE_URL to the gateway's address";
            CommandError::new(format!("`{}` cannot be reached: {cause}\n{hint}", self.url))
        })?;
        let status = answer.status();
        let answer: Value = answer.json().await.map_err(|_| {
            CommandError::new(format!(
                "`{}` is no gateway: its answer is no JSON",
                self.url
            ))
        })?;
        if status.is_success() {
            return Ok(answer);
        }
        Err(CommandError::new(match answer["detail"].as_str() {
            Some(detail) => detail.to_owned(),
            None => format!("the gateway answered {status}: {answer}"),
        }))
    }
}

/// NAME=VALUE; a value that is no JSON is a text.
fn assignment(text: &str) -> Result<(String, Value), CommandError> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| CommandError::new(format!("`{text}` is not NAME=VALUE")))?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
    Ok((name.to_owned(), value))
}

fn object(value: Value, file: &Path) -> Result<Map<String, Value>, CommandError> {
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(CommandError::new(format!(
            "`{}` is no JSON object",
            file.display()
        ))),
    }
}

/// The version that stands behind the current one in a history, which has the newest first.
fn before_current(versions: &Value) -> Option<String> {
    let mut versions = versions.as_array()?.iter();
    versions.find(|version| version["current"] == true)?;
    versions.next()?["id"].as_str().map(str::to_owned)
}

fn lines(list: &Value, line: fn(&Value) -> String) -> String {
    list.as_array().into_iter().flatten().map(line).collect()
}

fn line(function: &Value) -> String {
    let active = match (&function["is_active"], &function["is_global"]) {
        (Value::Bool(true), Value::Bool(true)) => "on, global",
        (Value::Bool(true), _) => "on",
        _ => "off",
    };
    let (id, kind) = (text(&function["id"]), text(&function["type"]));
    let name = text(&function["name"]);
    let why = function["not_loaded"].as_str();
    let why = why.map_or_else(String::new, |why| format!("  {why}\n"));
    format!("{id:<32} {kind:<8} {active:<12} {name}\n{why}")
}

fn version_line(version: &Value) -> String {
    let mark = if version["current"] == true { "*" } else { " " };
    let (id, user) = (text(&version["id"]), text(&version["user"]["name"]));
    let made = &version["created_at"];
    format!("{mark} {id} {made} {user}\n")
}

fn environment_line(environment: &Value) -> String {
    let list = |value: &Value| {
        let items = value.as_array().into_iter().flatten();
        items.map(text).collect::<Vec<_>>().join(", ")
    };
    let requirements = list(&environment["requirements"]);
    let requirements = if requirements.is_empty() {
        "(nothing more)"
    } else {
        &requirements
    };
    let (state, functions) = (text(&environment["state"]), list(&environment["functions"]));
    let why = environment["error"].as_str();
    let why = why.map_or_else(String::new, |why| format!("  {why}\n"));
    format!("{state:<12} {requirements}: {functions}\n{why}")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_or_text() {
        let read = |text| assignment(text).unwrap().1;
        assert_eq!(read("a=1"), json!(1));
        assert_eq!(read("a=null"), Value::Null);
        assert_eq!(read("a=b=c"), json!("b=c"));
        assert_eq!(read("a="), json!(""));
        assert!(assignment("=1").is_err() && assignment("a").is_err());
    }

    #[test]
    fn rollback_goes_behind_the_version_that_serves() {
        let version = |id: &str, current: bool| json!({"id": id, "current": current});
        let versions = json!([version("c", false), version("b", true), version("a", false)]);
        assert_eq!(before_current(&versions).as_deref(), Some("a"));
        assert_eq!(before_current(&json!([version("a", true)])), None);
    }
}
