//! What Open WebUI's host writes differently on `/api`: parameters and template variables before filters see the
//! request, the words of the model server after. On `/v1` only a preset's own parameters are put in.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::request::{ChatRequest, Incoming};
use super::{Contract, messages, preset};
use crate::config::UpstreamKind;
use crate::error::{Error, Result};
use crate::models::{Model, Models};
use crate::wire::json::{Document, quote};
use crate::wire::openwebui::{self, Template};

/// How the ids of OpenAI's reasoning models begin.
const REASONING: &[&str] = &["o1", "o3", "o4", "gpt-5"];

/// Those of them that know no message of the developer.
const WITHOUT_DEVELOPER: &[&str] = &["o1-mini", "o1-preview"];

/// Merges `params` and fills in the variables of system messages, before the filters.
///
/// # Errors
///
/// If what comes out is no request that we accept.
pub(super) fn before_inlet(
    request: &mut ChatRequest,
    incoming: &Incoming<'_>,
    models: &Models,
    model: &Model,
) -> Result<()> {
    if request.contract == Contract::OpenAi {
        return Ok(());
    }
    let is_ollama = models.server_of(model) == Some(UpstreamKind::Ollama);
    if let Some(params) = object(request.original(), "params") {
        add_params(request, openwebui::merge(params), is_ollama)?;
    }
    let template = || template(request, incoming);
    match messages::fill_in(&request.document, template) {
        Some(messages) => request.set("messages", messages),
        None => Ok(()),
    }
}

/// What goes to the target: the request with a preset's parameters and prompt, in the words of its model server.
///
/// # Errors
///
/// If a member cannot be said there.
pub(super) fn for_target<'a>(
    request: &'a ChatRequest,
    incoming: &Incoming<'_>,
    models: &Models,
    model: &Model,
) -> Result<Cow<'a, ChatRequest>> {
    let mut text = Text(Cow::Borrowed(&request.document));
    if let Some(known) = model.preset() {
        let template = || template(request, incoming);
        text.edit(|document| preset::apply(document, known, template))?;
    }
    if model.is_pipe() && model.base_id() != model.id {
        // A model server is told its own id for the model by whoever sends to it.
        text.edit(|document| Some(set(document, "model", quote(model.base_id()))))?;
    }
    match request.contract {
        Contract::OpenWebUi => {
            text.edit(|document| {
                let merged = messages::merge_system(document)?;
                Some(set(document, "messages", merged))
            })?;
            Words::of(models, model).rewrite(&mut text)?;
        }
        Contract::OpenAi => {
            let preset = model.preset();
            let is_ours =
                preset.is_some_and(|preset| preset::sets_max_tokens(preset, &request.document));
            if is_ours {
                text.edit(|document| Words::of(models, model).max_tokens(document))?;
            }
        }
    }
    Ok(match text.0 {
        Cow::Borrowed(_) => Cow::Borrowed(request),
        Cow::Owned(document) => Cow::Owned(request.with_document(document)),
    })
}

/// The body on its way to the target.
struct Text<'a>(Cow<'a, Document>);

impl Text<'_> {
    /// Puts what `edit` makes of it in its place.
    fn edit(&mut self, edit: impl FnOnce(&Document) -> Option<Bytes>) -> Result<()> {
        if let Some(edited) = edit(&self.0) {
            self.0 = Cow::Owned(Document::parse(edited).map_err(Error::internal)?);
        }
        Ok(())
    }
}

fn set(document: &Document, key: &str, raw: Bytes) -> Bytes {
    document.edit().set(key, raw).finish()
}

fn object(document: &Document, key: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&document.raw(key)?).ok()
}

/// The variables of a request. `variables` are Open WebUI's; on `/v1` it is a member like any other.
fn template<'a>(request: &ChatRequest, incoming: &'a Incoming<'_>) -> Template<'a> {
    let variables = match request.contract {
        Contract::OpenWebUi => object(request.original(), "variables"),
        Contract::OpenAi => None,
    };
    Template {
        user_name: &incoming.caller.user.name,
        user_email: &incoming.caller.user.email,
        now: incoming.now,
        variables: variables.unwrap_or_default(),
    }
}

/// Puts parameters into the request: among the members, or, for Ollama, in `options`.
fn add_params(
    request: &mut ChatRequest,
    params: Map<String, Value>,
    is_ollama: bool,
) -> Result<()> {
    if params.is_empty() {
        return Ok(());
    }
    let mut edit = request.document.edit();
    if is_ollama {
        let mut options = object(&request.document, "options").unwrap_or_default();
        options.extend(params);
        edit.set("options", Value::Object(options).to_string().into());
    } else {
        for (key, value) in params {
            edit.set(&key, value.to_string().into());
        }
    }
    request.document = Document::parse(edit.finish())
        .map_err(|error| Error::invalid_request("params", format!("`params`: {error}")))?;
    Ok(())
}

/// What a model server wants to be asked with.
struct Words<'a> {
    models: &'a Models,
    model: &'a Model,
    /// Whether it is of OpenAI's kind: others have a translation of their own.
    is_openai: bool,
}

impl<'a> Words<'a> {
    fn of(models: &'a Models, model: &'a Model) -> Self {
        Self {
            models,
            model,
            is_openai: models.server_of(model) == Some(UpstreamKind::OpenAi),
        }
    }

    /// Whether the model's id there begins in one of these ways.
    fn begins(&self, prefixes: &[&str]) -> bool {
        let id = self.model.upstream_id().unwrap_or_default();
        prefixes.iter().any(|prefix| id.starts_with(prefix))
    }

    fn rewrite(&self, text: &mut Text<'_>) -> Result<()> {
        if !self.is_openai {
            return Ok(());
        }
        text.edit(|document| self.max_tokens(document))?;
        if self.begins(REASONING) {
            let role = match self.begins(WITHOUT_DEVELOPER) {
                true => "user",
                false => "developer",
            };
            text.edit(|document| {
                let renamed = messages::rename_system(document, role)?;
                Some(set(document, "messages", renamed))
            })?;
        }
        let bias = bias(&text.0)?;
        text.edit(|_| bias)?;
        text.edit(without_stream_options)
    }

    /// The limit of tokens under the name that the model server knows.
    fn max_tokens(&self, document: &Document) -> Option<Bytes> {
        const OLD: &str = "max_tokens";
        const NEW: &str = "max_completion_tokens";
        let given = |key| document.raw(key).filter(|raw| raw.as_ref() != b"null");
        let (old, new) = (given(OLD), given(NEW));
        if !self.is_openai || old.is_none() && new.is_none() {
            return None;
        }
        // OpenAI's own server knows both names, and the newer one is right for all of its models.
        let takes_new =
            self.begins(REASONING) || new.is_some() && self.models.is_at_openai(self.model);
        let (from, to) = match takes_new {
            true => (OLD, NEW),
            false => (NEW, OLD),
        };
        document.kind(from)?;
        let value = new.or(old)?;
        let mut edit = document.edit();
        edit.remove(from);
        edit.set(to, value);
        Some(edit.finish())
    }
}

/// `logit_bias` as the object that its text stands for; an object passes as it is (ruling R25).
fn bias(document: &Document) -> Result<Option<Bytes>> {
    let Some(text) = document.string("logit_bias") else {
        return Ok(None);
    };
    let bias = openwebui::logit_bias(&text).ok_or_else(|| {
        let message = "`logit_bias` must be an object, or a text of pairs like `50256:-100,11:5`";
        Error::invalid_request("logit_bias", message)
    })?;
    let raw = Value::Object(bias).to_string().into();
    Ok(Some(set(document, "logit_bias", raw)))
}

/// Options of a stream make no sense without one, and model servers refuse them there.
fn without_stream_options(document: &Document) -> Option<Bytes> {
    let is_lost =
        document.kind("stream_options").is_some() && !document.boolean("stream").unwrap_or(false);
    is_lost.then(|| document.edit().remove("stream_options").finish())
}
