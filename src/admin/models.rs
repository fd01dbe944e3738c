//! Models: presets and overlays, their access lists, import and export.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Query, State};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::reply::{Administrator, Answer, Form, Refusal};
use super::revisions::{self, IfMatch, OnlyNew, Tagged, TaggedAnswer};
use crate::auth::Caller;
use crate::config::Role;
use crate::registry::{Access, Others, Preset, PresetError, PresetForm, Registry};
use crate::store::StoreErrorKind;

/// How many models a page of the list has.
const PAGE: usize = 30;

/// Which model is meant: Open WebUI 0.6 says so in the query, 0.12 in the body.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Named {
    id: Option<String>,
}

/// Which part of the list is asked for.
#[derive(Debug, Deserialize)]
pub(super) struct ListQuery {
    query: Option<String>,
    tag: Option<String>,
    page: Option<usize>,
}

impl From<PresetError> for Refusal {
    fn from(error: PresetError) -> Self {
        let status = match &error {
            PresetError::UnknownPreset => StatusCode::NOT_FOUND,
            PresetError::IdTaken | PresetError::Refused(_) => StatusCode::BAD_REQUEST,
            PresetError::Stale(stale) => return revisions::stale(stale.clone()),
            PresetError::Store(store) => match store.kind() {
                StoreErrorKind::Full => StatusCode::INSUFFICIENT_STORAGE,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            },
        };
        Self::new(status, error.to_string())
    }
}

fn refused(reason: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, reason)
}

fn is_for(preset: &Preset, caller: &Caller) -> bool {
    caller.rights == Role::Admin || preset.is_for(&caller.owner.id)
}

/// The presets that a caller may see.
fn seen(registry: &Registry, caller: &Caller) -> Vec<Arc<Preset>> {
    let snapshot = registry.current();
    let presets = snapshot.presets().filter(|preset| is_for(preset, caller));
    presets.cloned().collect()
}

/// A preset as a caller may see it: parameters and prompt are for its owner and administrators.
fn shown(preset: &Preset, caller: &Caller) -> Value {
    let mut shown = preset.to_json();
    if caller.rights != Role::Admin && preset.user_id != caller.owner.id {
        shown["params"] = json!({});
    }
    shown
}

/// A preset as an administrator sees it, and its state.
fn tagged(registry: &Registry, preset: &Preset) -> Tagged {
    Tagged {
        body: preset.to_json(),
        revision: registry.preset_revision(preset),
    }
}

fn tags(preset: &Preset) -> impl Iterator<Item = &str> {
    let tags = preset.meta().get("tags").and_then(Value::as_array);
    let tags = tags.into_iter().flatten();
    tags.filter_map(|tag| tag.get("name")?.as_str())
}

/// Every preset and overlay, as Open WebUI 0.6 lists them.
pub(super) async fn all(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
) -> Answer {
    let presets = seen(&registry, &caller);
    Ok(Json(
        presets
            .iter()
            .map(|preset| shown(preset, &caller))
            .collect(),
    ))
}

/// Presets, a page at a time, the newest change first.
pub(super) async fn list(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<ListQuery>,
) -> Answer {
    let words = query.query.unwrap_or_default().to_lowercase();
    let is_asked_for = |preset: &Arc<Preset>| {
        let has_tag = |tag: &str| tags(preset).any(|known| known == tag);
        preset.base_model_id().is_some()
            && (preset.name().to_lowercase().contains(&words)
                || preset.id().to_lowercase().contains(&words))
            && query
                .tag
                .as_deref()
                .is_none_or(|tag| tag.is_empty() || has_tag(tag))
    };
    let mut presets = seen(&registry, &caller);
    presets.retain(is_asked_for);
    presets.sort_by_key(|preset| std::cmp::Reverse(preset.updated_at));
    let before = query
        .page
        .map_or(0, |page| page.saturating_sub(1).saturating_mul(PAGE));
    let length = query.page.map_or(usize::MAX, |_| PAGE);
    let items = presets.iter().skip(before).take(length);
    let items: Vec<Value> = items.map(|preset| shown(preset, &caller)).collect();
    Ok(Json(json!({"items": items, "total": presets.len()})))
}

/// What was set for models of the model servers and pipes.
pub(super) async fn base(State(registry): State<Arc<Registry>>, _: Administrator) -> Answer {
    let snapshot = registry.current();
    let overlays = snapshot
        .presets()
        .filter(|preset| preset.base_model_id().is_none());
    Ok(Json(overlays.map(|preset| preset.to_json()).collect()))
}

/// The tags that presets have.
pub(super) async fn list_tags(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
) -> Answer {
    let presets = seen(&registry, &caller);
    let mut names: Vec<&str> = presets.iter().flat_map(|preset| tags(preset)).collect();
    names.sort_unstable();
    names.dedup();
    Ok(Json(json!(names)))
}

/// A model as it is exported: one without an access list says so, which an empty list would not.
fn exported(preset: &Preset) -> Value {
    let mut exported = preset.to_json();
    if preset.is_access_unset() {
        exported["access_grants"] = Value::Null;
    }
    exported
}

pub(super) async fn export(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
) -> TaggedAnswer {
    let snapshot = registry.current();
    Ok(Tagged {
        body: snapshot.presets().map(|preset| exported(preset)).collect(),
        revision: registry.presets_revision(&snapshot),
    })
}

pub(super) async fn read(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Query(named): Query<Named>,
) -> TaggedAnswer {
    let snapshot = registry.current();
    let preset = snapshot.preset(&named.id.unwrap_or_default());
    let preset = preset.filter(|preset| is_for(preset, &caller));
    let preset = preset.ok_or_else(Refusal::not_found)?;
    Ok(Tagged {
        body: shown(preset, &caller),
        revision: registry.preset_revision(preset),
    })
}

pub(super) async fn create(
    State(registry): State<Arc<Registry>>,
    Administrator(caller): Administrator,
    only_new: OnlyNew,
    Form(form): Form<Map<String, Value>>,
) -> TaggedAnswer {
    let form = PresetForm::parse(form).map_err(refused)?;
    match registry.create_preset(form, &caller.owner.id).await {
        Ok(preset) => Ok(tagged(&registry, &preset)),
        Err(error @ PresetError::IdTaken) => Err(only_new.taken(error.into())),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn update(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
    Query(named): Query<Named>,
    IfMatch(expected): IfMatch,
    Form(form): Form<Map<String, Value>>,
) -> TaggedAnswer {
    let form = PresetForm::parse(form).map_err(refused)?;
    let id = named.id.unwrap_or_else(|| form.id.clone());
    let preset = registry.update_preset(&id, form, &expected).await?;
    Ok(tagged(&registry, &preset))
}

pub(super) async fn toggle(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
    Query(named): Query<Named>,
    IfMatch(expected): IfMatch,
    body: Bytes,
) -> TaggedAnswer {
    let id = named.or_in(&body)?;
    let preset = registry.toggle_preset(&id, &expected).await?;
    Ok(tagged(&registry, &preset))
}

pub(super) async fn update_access(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
    Query(named): Query<Named>,
    IfMatch(expected): IfMatch,
    Form(form): Form<Map<String, Value>>,
) -> TaggedAnswer {
    let id = form.get("id").and_then(Value::as_str).map(str::to_owned);
    let id = named.id.or(id).ok_or_else(|| refused("`id` is missing"))?;
    let access = match (form.get("access_grants"), form.get("access_control")) {
        (Some(grants), _) => Access::from_grants(grants),
        (None, Some(control)) => Access::from_control(control),
        (None, None) => Err("`access_grants` is missing".to_owned()),
    };
    let access = access.map_err(refused)?;
    let preset = registry.set_preset_access(&id, access, &expected).await?;
    Ok(tagged(&registry, &preset))
}

pub(super) async fn delete(
    State(registry): State<Arc<Registry>>,
    _: Administrator,
    Query(named): Query<Named>,
    IfMatch(expected): IfMatch,
    body: Bytes,
) -> Answer {
    let id = named.or_in(&body)?;
    if registry.delete_preset(&id, &expected).await? {
        Ok(Json(Value::Bool(true)))
    } else {
        Err(Refusal::not_found())
    }
}

pub(super) async fn delete_all(
    State(registry): State<Arc<Registry>>,
    caller: Administrator,
    if_match: IfMatch,
) -> Answer {
    bring_in(&registry, &caller, Vec::new(), Others::Remove, &if_match).await?;
    Ok(Json(Value::Bool(true)))
}

/// Adds models of an export; those that are there already are made anew.
pub(super) async fn import(
    State(registry): State<Arc<Registry>>,
    caller: Administrator,
    if_match: IfMatch,
    Form(exported): Form<Value>,
) -> Answer {
    let forms = forms(exported)?;
    bring_in(&registry, &caller, forms, Others::Keep, &if_match).await?;
    Ok(Json(Value::Bool(true)))
}

/// Makes the models those of a list, and no others.
pub(super) async fn sync(
    State(registry): State<Arc<Registry>>,
    caller: Administrator,
    if_match: IfMatch,
    Form(exported): Form<Value>,
) -> TaggedAnswer {
    let forms = forms(exported)?;
    bring_in(&registry, &caller, forms, Others::Remove, &if_match).await?;
    let snapshot = registry.current();
    Ok(Tagged {
        body: snapshot.presets().map(|preset| preset.to_json()).collect(),
        revision: registry.presets_revision(&snapshot),
    })
}

async fn bring_in(
    registry: &Registry,
    Administrator(caller): &Administrator,
    forms: Vec<PresetForm>,
    others: Others,
    IfMatch(expected): &IfMatch,
) -> Result<(), Refusal> {
    let imported = registry.import_presets(forms, &caller.owner.id, others, expected);
    Ok(imported.await?)
}

impl Named {
    fn or_in(self, body: &[u8]) -> Result<String, Refusal> {
        let in_body = || serde_json::from_slice::<Self>(body).unwrap_or_default().id;
        self.id
            .or_else(in_body)
            .ok_or_else(|| refused("`id` is missing"))
    }
}

/// The models of an export: a list, or `{"models": list}`. Older exports wrap each in the entry of the model list.
fn forms(exported: Value) -> Result<Vec<PresetForm>, Refusal> {
    let list = match exported {
        Value::Object(mut form) => form.shift_remove("models").unwrap_or_default(),
        list => list,
    };
    let Value::Array(list) = list else {
        return Err(refused(
            "an export is a list of models, or `{\"models\": list}`",
        ));
    };
    let form = |model: Value| {
        let Value::Object(mut model) = model else {
            return Err(refused("each model of an export must be an object"));
        };
        let row = match model.shift_remove("info") {
            Some(Value::Object(info)) => info,
            _ => model,
        };
        PresetForm::parse(row).map_err(refused)
    };
    list.into_iter().map(form).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(exported: Value) -> Option<Vec<String>> {
        let forms = forms(exported).ok()?;
        Some(forms.into_iter().map(|form| form.id).collect())
    }

    #[test]
    fn exports_of_both_versions_are_read() {
        let row = json!({"id": "a", "name": "A"});
        let expected = Some(vec!["a".to_owned()]);
        assert_eq!(ids(json!([row])), expected);
        assert_eq!(ids(json!({"models": [row]})), expected);
        assert_eq!(ids(json!([{"id": "entry", "info": row}])), expected);
        assert_eq!(ids(json!([])), Some(Vec::new()));
        for wrong in [json!({}), json!([1]), json!([{"id": "a"}])] {
            assert_eq!(ids(wrong), None);
        }
    }
}
