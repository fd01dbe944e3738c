//! Changes deep in a JSON text, made by writing only the parts anew that hold them.

use bytes::Bytes;

use super::{Changed, Refusal};
use crate::wire::json::{Document, elements};

/// The array `raw` with what `change` makes of each element; `None` if that is nothing, or if it is no array.
pub(super) fn items(
    raw: &Bytes,
    mut change: impl FnMut(usize, &Bytes) -> Changed,
) -> Result<Option<Bytes>, Refusal> {
    let Ok(mut items) = elements(raw) else {
        return Ok(None);
    };
    let mut is_changed = false;
    for (place, item) in items.iter_mut().enumerate() {
        if let Some(changed) = change(place, item)? {
            *item = changed;
            is_changed = true;
        }
    }
    Ok(is_changed.then(|| array(&items)))
}

/// The array of these elements.
pub(super) fn array(items: &[Bytes]) -> Bytes {
    let length: usize = items.iter().map(|item| item.len() + 1).sum();
    let mut written = Vec::with_capacity(length + 2);
    written.push(b'[');
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            written.push(b',');
        }
        written.extend_from_slice(item);
    }
    written.push(b']');
    Bytes::from(written)
}

/// The member `key` of `document`, if it is an object.
pub(super) fn object(document: &Document, key: &str) -> Option<Document> {
    Document::parse(document.raw(key)?).ok()
}

/// `document` with `raw` as its member `key`.
pub(super) fn with(document: &Document, key: &str, raw: Bytes) -> Bytes {
    document.edit().set(key, raw).finish()
}
