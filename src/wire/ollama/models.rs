//! The models that an Ollama server has.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::ReplyError;

/// One installed model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// What a request says as its `model`.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The entry as the server sent it.
    pub raw: Bytes,
}

#[derive(Deserialize)]
struct Tags<'a> {
    #[serde(borrow, default)]
    models: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Entry {
    model: Option<String>,
    name: Option<String>,
}

/// The models in an answer of `/api/tags`, in its order. Entries without a name are left out.
///
/// # Errors
///
/// [`ReplyError::Refused`] or [`ReplyError::Invalid`] where it is no such answer.
pub fn models(tags: &[u8]) -> Result<Vec<Model>, ReplyError> {
    if let Some(text) = super::error_text(tags) {
        return Err(ReplyError::Refused(text));
    }
    let tags: Tags<'_> = serde_json::from_slice(tags).map_err(|_| ReplyError::Invalid)?;
    let entries = tags.models.unwrap_or_default();
    Ok(entries.into_iter().filter_map(model).collect())
}

fn model(raw: &RawValue) -> Option<Model> {
    let entry: Entry = serde_json::from_str(raw.get()).ok()?;
    let id = entry.model.or_else(|| entry.name.clone())?;
    Some(Model {
        name: entry.name.unwrap_or_else(|| id.clone()),
        id,
        raw: Bytes::copy_from_slice(raw.get().as_bytes()),
    })
}
