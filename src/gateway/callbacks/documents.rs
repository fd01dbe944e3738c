//! What functions keep in the store: documents of any kind, and blobs.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, store_failed};
use crate::host::Refusal;
use crate::store::{DocumentRow, Store};

/// The kind of documents that hold the bytes of files.
const BLOB: &str = "blob";

#[derive(Deserialize)]
pub(super) struct Named {
    kind: String,
    id: String,
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    kind: String,
    user_id: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct New {
    kind: String,
    id: String,
    user_id: String,
    data: Map<String, Value>,
}

#[derive(Deserialize)]
pub(super) struct BlobId {
    id: String,
}

#[derive(Deserialize)]
pub(super) struct Blob {
    id: String,
    base64: String,
}

pub(super) async fn find(store: &Store, named: Named) -> Answer {
    check_kind(&named.kind)?;
    let found = store.find_document(named.kind, named.id).await;
    Ok(found
        .map_err(store_failed)?
        .map_or(Value::Null, |row| described(&row)))
}

pub(super) async fn list(store: &Store, wanted: Wanted) -> Answer {
    check_kind(&wanted.kind)?;
    let found = store.list_documents(wanted.kind, wanted.user_id).await;
    Ok(found.map_err(store_failed)?.iter().map(described).collect())
}

pub(super) async fn put(store: &Store, new: New) -> Answer {
    check_kind(&new.kind)?;
    let data = Value::Object(new.data).to_string();
    let kept = store
        .put_document(new.kind, new.id, new.user_id, data)
        .await;
    Ok(described(&kept.map_err(store_failed)?))
}

pub(super) async fn delete(store: &Store, named: Named) -> Answer {
    check_kind(&named.kind)?;
    let was_there = store.delete_document(named.kind, named.id).await;
    Ok(json!(was_there.map_err(store_failed)?))
}

pub(super) async fn find_blob(store: &Store, blob: BlobId) -> Answer {
    let found = store.find_document(BLOB.to_owned(), blob.id).await;
    Ok(found
        .map_err(store_failed)?
        .map_or(Value::Null, |row| data_of(&row)))
}

pub(super) async fn put_blob(store: &Store, blob: Blob) -> Answer {
    let data = json!({"base64": blob.base64}).to_string();
    let kept = store.put_document(BLOB.to_owned(), blob.id, String::new(), data);
    kept.await.map_err(store_failed)?;
    Ok(json!(true))
}

pub(super) async fn delete_blob(store: &Store, blob: BlobId) -> Answer {
    let was_there = store.delete_document(BLOB.to_owned(), blob.id).await;
    Ok(json!(was_there.map_err(store_failed)?))
}

/// Blobs have questions of their own, which lists of documents must not answer by the way.
fn check_kind(kind: &str) -> Answer<()> {
    if kind == BLOB {
        return Err(Refusal::new("documents cannot be of kind `blob`"));
    }
    Ok(())
}

fn described(row: &DocumentRow) -> Value {
    json!({
        "id": row.id,
        "user_id": row.user_id,
        "data": data_of(row),
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    })
}

fn data_of(row: &DocumentRow) -> Value {
    serde_json::from_str(&row.data).unwrap_or_default()
}
