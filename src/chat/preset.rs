//! A preset's parameters and system prompt, put into a request on its way to the base model.

use bytes::Bytes;

use super::messages;
use crate::registry::Preset;
use crate::wire::json::{Document, Kind};
use crate::wire::openwebui::Template;

const MAX_TOKENS: &str = "max_tokens";

/// The request with what the preset adds; `None` if it adds nothing. What the request itself says goes first.
pub(super) fn apply<'a>(
    document: &Document,
    preset: &Preset,
    template: impl FnOnce() -> Template<'a>,
) -> Option<Bytes> {
    let mut edit = document.edit();
    let mut is_changed = false;
    for (name, raw) in preset.applied_params() {
        if !says(document, name) {
            edit.set(name, raw.clone());
            is_changed = true;
        }
    }
    let prompt = preset.system();
    let messages =
        prompt.and_then(|prompt| messages::with_system(document, &template().fill(prompt)));
    if let Some(messages) = messages {
        edit.set("messages", messages);
        is_changed = true;
    }
    is_changed.then(|| edit.finish())
}

/// Whether the limit of tokens is the preset's.
pub(super) fn sets_max_tokens(preset: &Preset, document: &Document) -> bool {
    let mut params = preset.applied_params().iter();
    params.any(|(name, _)| name == MAX_TOKENS) && !says(document, MAX_TOKENS)
}

/// Whether a request gives a parameter, under either name.
fn says(document: &Document, name: &str) -> bool {
    let is_given = |name| !matches!(document.kind(name), None | Some(Kind::Null));
    is_given(name) || name == MAX_TOKENS && is_given("max_completion_tokens")
}
