//! A chat request: its body as it stands, and what functions are told of it.

mod tools;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};

use super::Contract;
use super::callbacks::Within;
use super::metadata;
use crate::auth::Caller;
use crate::error::{Error, Kind, Result};
use crate::host::Metadata;
use crate::telemetry::RequestLog;
use crate::wire::json::{Document, InvalidJson, Kind as JsonKind};

/// Members of Open WebUI's requests that its host takes out before any function sees the body.
const HOST_ONLY: &[&str] = &[
    "model_item",
    "background_tasks",
    "chat_id",
    "id",
    "session_id",
    "filter_ids",
    "tool_servers",
    "params",
    "variables",
    "parent_id",
    "metadata",
];

/// The member of `stream_options` by which a client asks for events.
const EVENT_OPTION: &str = "include_events";

/// Members that functions see and model servers do not.
const FUNCTIONS_ONLY: &[&str] = &["files", "features", "tool_ids", "filter_ids"];

/// A request as it came in, around its body.
#[derive(Debug)]
pub struct Incoming<'a> {
    /// Whose manners it follows.
    pub contract: Contract,
    /// Who asks.
    pub caller: &'a Caller,
    /// Its method.
    pub method: &'a Method,
    /// Its target.
    pub uri: &'a Uri,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Where it came from.
    pub peer: IpAddr,
    /// Whether it came encrypted.
    pub is_encrypted: bool,
    /// Its line in the access log.
    pub log: &'a Arc<RequestLog>,
    /// The functions within whose calls it is made, outermost first; none for a client's own request.
    pub within: Within,
    /// Whether it passes no filter: asked for by a function that the operator trusts with that.
    pub bypasses_filters: bool,
    /// The time, in seconds since 1970.
    pub now: u64,
}

/// A chat request.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    /// Whose manners it follows.
    pub contract: Contract,
    /// The body as it stands: as it came where no function is active.
    pub document: Document,
    /// `__metadata__`, made when the first function needs it.
    pub metadata: Option<Metadata>,
    /// Whether the client asks for events within the stream.
    pub wants_events: bool,
    /// The toggles that the client turned on.
    pub filter_ids: Vec<String>,
    /// The body as it came, for what functions are told of the original request.
    original: Document,
}

impl ChatRequest {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// If it is no JSON that we accept, or no chat request.
    pub fn parse(incoming: &Incoming<'_>, body: Bytes) -> Result<Self> {
        let original = Document::parse(body).map_err(invalid_json)?;
        let contract = incoming.contract;
        check_shape(&original, contract)?;
        incoming
            .log
            .set_model(original.string("model").as_deref().unwrap_or_default());
        let document = match contract {
            Contract::OpenAi => original.clone(),
            Contract::OpenWebUi => without_host_keys(&original)?,
        };
        let (document, wants_events) = without_event_option(document)?;
        let filter_ids = string_list(&original, "filter_ids");
        Ok(Self {
            contract,
            wants_events,
            document,
            metadata: None,
            filter_ids,
            original,
        })
    }

    /// Reads the body of `/api/chat/completed`: a conversation that a client holds, with the answer's message named.
    ///
    /// # Errors
    ///
    /// If it is no JSON that we accept, or names no message.
    pub fn parse_conversation(incoming: &Incoming<'_>, body: Bytes) -> Result<Self> {
        let original = Document::parse(body).map_err(invalid_json)?;
        let model = original.string("model").unwrap_or_default();
        incoming.log.set_model(&model);
        if original.string("id").is_none_or(|id| id.is_empty()) {
            return Err(Error::invalid_request("id", "Missing message id"));
        }
        Ok(Self {
            contract: incoming.contract,
            document: original.clone(),
            metadata: None,
            wants_events: false,
            filter_ids: string_list(&original, "filter_ids"),
            original,
        })
    }

    /// The model that it asks for, now.
    #[must_use]
    pub fn model(&self) -> Cow<'_, str> {
        self.document.string("model").unwrap_or_default()
    }

    /// Whether it asks for a stream, now.
    #[must_use]
    pub fn is_streamed(&self) -> bool {
        self.document.boolean("stream").unwrap_or(false)
    }

    /// The body as it came.
    pub(super) fn original(&self) -> &Document {
        &self.original
    }

    /// The same request with another body.
    pub(super) fn with_document(&self, document: Document) -> Self {
        Self {
            document,
            ..self.clone()
        }
    }

    /// Makes the metadata that functions see, with the entry of the model that was asked for, in the place of a client's own.
    ///
    /// # Errors
    ///
    /// If the result is no JSON object, which would be a fault of ours.
    pub fn make_metadata(&mut self, incoming: &Incoming<'_>, model: &Bytes) -> Result<()> {
        let json = metadata::of_request(&self.original, &self.filter_ids, incoming, model);
        self.metadata = Some(Metadata { json, version: 1 });
        if self.document.kind("metadata").is_some() {
            self.document = edited(&self.document, &["metadata"])?;
        }
        Ok(())
    }

    /// Takes over what a function made of body and metadata; whether the body is another one now.
    ///
    /// # Errors
    ///
    /// If the body is no JSON object, or what it asks for makes no sense any more.
    pub fn replace(&mut self, body: Bytes, metadata: Bytes) -> Result<bool> {
        let is_changed = !is_same_memory(&body, self.document.bytes()) && self.take(body)?;
        if let Some(known) = &mut self.metadata
            && known.json != metadata
        {
            *known = Metadata {
                json: metadata,
                version: known.version + 1,
            };
        }
        Ok(is_changed)
    }

    /// Takes over another body; whether it says something else.
    fn take(&mut self, body: Bytes) -> Result<bool> {
        let document =
            Document::parse(body).map_err(|error| Error::new(Kind::Internal, error.to_string()))?;
        check_shape(&document, self.contract)?;
        let is_changed = !document.is_equivalent(&self.document);
        self.document = document;
        Ok(is_changed)
    }

    /// Gives a member of the body another value, which is JSON.
    ///
    /// # Errors
    ///
    /// If the result is no JSON object, which would be a fault of ours.
    pub fn set(&mut self, key: &str, value: Bytes) -> Result<()> {
        self.document = parsed(self.document.edit().set(key, value).finish())?;
        Ok(())
    }

    /// Gives a member of the metadata another value, if there is metadata.
    pub fn set_in_metadata(&mut self, key: &str, value: &serde_json::Value) {
        let Some(known) = &mut self.metadata else {
            return;
        };
        if let Ok(document) = Document::parse(known.json.clone()) {
            *known = Metadata {
                json: document.edit().set(key, value.to_string().into()).finish(),
                version: known.version + 1,
            };
        }
    }

    /// Takes uploaded files out, for a function that handles them itself.
    ///
    /// # Errors
    ///
    /// If the result is no JSON object, which would be a fault of ours.
    pub fn drop_files(&mut self) -> Result<()> {
        self.document = edited(&self.document, &["files"])?;
        let Some(known) = &mut self.metadata else {
            return Ok(());
        };
        if let Ok(document) = Document::parse(known.json.clone()) {
            let json = document.edit().remove("files").finish();
            *known = Metadata {
                json,
                version: known.version + 1,
            };
        }
        Ok(())
    }

    /// The body for a model server: without what only functions see. On `/v1` a client's own `metadata`, which is a
    /// parameter of OpenAI's there, comes back in.
    ///
    /// # Errors
    ///
    /// If the result is no JSON object, which would be a fault of ours.
    pub fn for_upstream(&self) -> Result<Cow<'_, Document>> {
        if self.contract == Contract::OpenAi && self.metadata.is_none() {
            return Ok(Cow::Borrowed(&self.document));
        }
        let own_metadata = match self.contract {
            Contract::OpenAi => self.original.raw("metadata"),
            Contract::OpenWebUi => None,
        };
        let has_any = FUNCTIONS_ONLY
            .iter()
            .any(|key| self.document.kind(key).is_some());
        if own_metadata.is_none() && !has_any {
            return Ok(Cow::Borrowed(&self.document));
        }
        let mut edit = self.document.edit();
        for key in FUNCTIONS_ONLY {
            edit.remove(key);
        }
        if let Some(metadata) = own_metadata {
            edit.set("metadata", metadata);
        }
        parsed(edit.finish()).map(Cow::Owned)
    }

    /// A number that is the same for every turn of one conversation: a hash of its first messages, so that model
    /// servers find their prefix caches again.
    #[must_use]
    pub fn conversation(&self) -> Option<u64> {
        use std::hash::{Hash, Hasher};
        let messages = crate::wire::json::elements(&self.document.raw("messages")?).ok()?;
        let mut hasher = std::hash::DefaultHasher::new();
        let mut roles = messages.iter().map(message_role);
        let opening = roles
            .position(|role| role.as_deref() == Some("user"))
            .map_or(1, |first| first + 1);
        messages
            .iter()
            .take(opening)
            .for_each(|message| message.hash(&mut hasher));
        Some(hasher.finish())
    }
}

/// Whether a filter gave back the very bytes that it was shown, which need no second look.
fn is_same_memory(one: &Bytes, other: &Bytes) -> bool {
    one.as_ptr() == other.as_ptr() && one.len() == other.len()
}

fn message_role(message: &Bytes) -> Option<String> {
    Some(
        Document::parse(message.clone())
            .ok()?
            .string("role")?
            .into_owned(),
    )
}

fn invalid_json(error: InvalidJson) -> Error {
    Error::new(
        Kind::InvalidJson,
        format!("the body is not valid JSON: {error}"),
    )
}

/// Checks what no model server would accept, so that no function has to.
fn check_shape(document: &Document, contract: Contract) -> Result<()> {
    if !matches!(
        document.kind("stream"),
        None | Some(JsonKind::Boolean | JsonKind::Null)
    ) {
        return Err(Error::invalid_request(
            "stream",
            "`stream` must be true or false",
        ));
    }
    if contract == Contract::OpenAi && document.kind("model") != Some(JsonKind::String) {
        return Err(Error::invalid_request(
            "model",
            "you must provide a model parameter",
        ));
    }
    match (document.kind("messages"), contract) {
        (None, Contract::OpenWebUi) => Ok(()),
        (Some(JsonKind::Array), Contract::OpenWebUi) => Ok(()),
        (Some(JsonKind::Array), Contract::OpenAi) if has_elements(document, "messages") => Ok(()),
        (None, Contract::OpenAi) => {
            Err(Error::invalid_request("messages", "`messages` is missing"))
        }
        (_, Contract::OpenWebUi) => Err(Error::invalid_request(
            "messages",
            "`messages` must be a list",
        )),
        _ => Err(Error::invalid_request(
            "messages",
            "`messages` must be a list of messages that is not empty",
        )),
    }
}

fn has_elements(document: &Document, key: &str) -> bool {
    let raw = document.raw(key).unwrap_or_default();
    raw.iter()
        .skip(1)
        .any(|byte| !byte.is_ascii_whitespace() && *byte != b']')
}

/// The body without the members that Open WebUI's host keeps to itself, and with `messages` in any case.
fn without_host_keys(original: &Document) -> Result<Document> {
    let has_any = HOST_ONLY.iter().any(|key| original.kind(key).is_some());
    let has_messages = original.kind("messages").is_some();
    if !has_any && has_messages {
        return Ok(original.clone());
    }
    let mut edit = original.edit();
    for key in HOST_ONLY {
        edit.remove(key);
    }
    if !has_messages {
        edit.set("messages", Bytes::from_static(b"[]"));
    }
    parsed(edit.finish())
}

/// The body without `stream_options.include_events`, which is ours, and whether it was on.
fn without_event_option(document: Document) -> Result<(Document, bool)> {
    const KEY: &str = "stream_options";
    let options = document
        .raw(KEY)
        .map(Document::parse)
        .and_then(|options| options.ok());
    let Some(options) = options.filter(|options| options.kind(EVENT_OPTION).is_some()) else {
        return Ok((document, false));
    };
    let is_on = options.boolean(EVENT_OPTION).unwrap_or(false);
    let rest = options.edit().remove(EVENT_OPTION).finish();
    let mut edit = document.edit();
    match rest.contains(&b':') {
        true => edit.set(KEY, rest),
        false => edit.remove(KEY),
    };
    parsed(edit.finish()).map(|document| (document, is_on))
}

fn edited(document: &Document, without: &[&str]) -> Result<Document> {
    let mut edit = document.edit();
    for key in without {
        edit.remove(key);
    }
    parsed(edit.finish())
}

fn parsed(body: Bytes) -> Result<Document> {
    Document::parse(body).map_err(Error::internal)
}

fn string_list(document: &Document, key: &str) -> Vec<String> {
    let list = document
        .raw(key)
        .and_then(|raw| serde_json::from_slice(&raw).ok());
    list.unwrap_or_default()
}
