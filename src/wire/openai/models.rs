//! The list of models.

use bytes::Bytes;
use serde::Serialize;

/// One model of the list.
#[derive(Clone, Copy, Debug)]
pub struct ModelEntry<'a> {
    /// What a request says as its `model`.
    pub id: &'a str,
    /// Since when the model has existed, in Unix seconds.
    pub created: u64,
    /// Who serves it.
    pub owned_by: &'a str,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'a str,
}

impl<'a> From<ModelEntry<'a>> for Entry<'a> {
    fn from(model: ModelEntry<'a>) -> Self {
        Self {
            id: model.id,
            object: "model",
            created: model.created,
            owned_by: model.owned_by,
        }
    }
}

/// The body of `GET /v1/models`.
#[must_use]
pub fn models_list<'a>(models: impl IntoIterator<Item = ModelEntry<'a>>) -> Bytes {
    let list = List {
        object: "list",
        data: models.into_iter().map(Entry::from).collect(),
    };
    let written =
        serde_json::to_vec(&list).expect("texts and numbers can always be written as JSON");
    Bytes::from(written)
}
