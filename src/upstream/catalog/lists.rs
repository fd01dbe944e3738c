//! The lists of upstreams, one by one and merged, and how their entries are read.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{ModelEntry, Shared, Told};
use crate::config::{Closing, UpstreamKind};
use crate::upstream::directory::Upstream;
use crate::upstream::embedded;
use crate::upstream::fetch::Listed;
use crate::upstream::pipelines::{self, RemoteFilter};

/// The models of one upstream.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) entries: Arc<Vec<Arc<ModelEntry>>>,
    pub(super) filters: Arc<Vec<Arc<RemoteFilter>>>,
    /// Whether the upstream has ever said what it has.
    pub(super) is_heard: bool,
    pub(super) fetched: Instant,
}

/// The lists of all upstreams, the last good one of each.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) lists: HashMap<usize, List>,
    pub(super) all: Arc<Vec<Arc<ModelEntry>>>,
    pub(super) by_id: HashMap<String, Arc<ModelEntry>>,
    /// The filters of all Pipelines servers, in the order in which they run.
    pub(super) filters: Arc<Vec<Arc<RemoteFilter>>>,
    /// When the oldest of the lists came.
    pub(super) oldest: Option<Instant>,
}

impl Merged {
    /// In the order of the upstreams. Of two entries with one id the last serves calls, as in Open
    /// WebUI.
    pub(super) fn new(lists: HashMap<usize, List>) -> Self {
        let mut indexes: Vec<_> = lists.keys().copied().collect();
        indexes.sort_unstable();
        let all: Vec<_> = indexes
            .iter()
            .flat_map(|index| lists[index].entries.iter().cloned())
            .collect();
        let by_id = all
            .iter()
            .map(|entry| (entry.id.clone(), Arc::clone(entry)))
            .collect();
        let mut filters: Vec<_> = indexes
            .iter()
            .flat_map(|index| lists[index].filters.iter().cloned())
            .collect();
        // Stable, as in Open WebUI.
        filters.sort_by(|one, other| one.priority.total_cmp(&other.priority));
        Self {
            filters: Arc::new(filters),
            oldest: lists.values().map(|list| list.fetched).min(),
            lists,
            all: Arc::new(all),
            by_id,
        }
    }

    /// Whether an upstream has not answered yet that may turn out to be a Pipelines server.
    pub(super) fn may_lack_filters(&self, shared: &Shared) -> bool {
        let mut upstreams = shared.directory.all();
        upstreams.any(|(index, upstream)| {
            upstream.kind == UpstreamKind::OpenAi && !self.lists.contains_key(&index)
        })
    }

    /// The first upstream whose filters must run and that was never heard.
    pub(super) fn unheard<'a>(&self, shared: &'a Shared) -> Option<&'a Upstream> {
        let is_heard = |index| self.lists.get(&index).is_some_and(|list| list.is_heard);
        let mut must = shared.directory.all().filter(|(_, upstream)| {
            upstream.filters.are_expected && upstream.filters.on_error == Closing::Closed
        });
        let unheard = must.find(|(index, _)| !is_heard(*index));
        unheard.map(|(_, upstream)| &**upstream)
    }

    /// Whether every upstream has answered, or failed to, at least once.
    pub(super) fn is_complete(&self, shared: &Shared) -> bool {
        self.lists.len() == shared.directory.all().count()
    }

    pub(super) fn is_fresh(&self, shared: &Shared) -> bool {
        let is_young = |fetched: Instant| fetched.elapsed() < shared.ttl;
        self.is_complete(shared) && self.oldest.is_none_or(is_young)
    }
}

/// The models that need no asking: the demo's own, or those the operator wrote down.
pub(super) fn configured_models(upstream: &Upstream) -> Option<Vec<Listed>> {
    if upstream.kind == UpstreamKind::Embedded {
        let models = embedded::models().into_iter();
        return Some(models.filter_map(Listed::from_entry).collect());
    }
    let models = upstream.models.iter().filter(|model| *model != "*");
    let models: Vec<_> = models.map(|model| named(model)).collect();
    (!models.is_empty()).then_some(models)
}

/// A model of which only the id is known.
pub(super) fn named(id: &str) -> Listed {
    Listed {
        id: id.to_owned(),
        name: None,
        raw: json!({"id": id}),
    }
}

/// What an upstream says it has: models, and filters, which are none.
pub(super) fn list(index: usize, upstream: &Upstream, listed: Vec<Listed>) -> List {
    let (filters, models): (Vec<_>, Vec<_>) = listed
        .into_iter()
        .partition(|listed| pipelines::is_filter(&listed.raw));
    let filters = filters
        .iter()
        .map(|listed| pipelines::filter_of(index, upstream, &listed.id, &listed.raw));
    List {
        filters: Arc::new(filters.map(Arc::new).collect()),
        entries: list_entries(index, upstream, models),
        is_heard: true,
        fetched: Instant::now(),
    }
}

pub(super) fn list_entries(
    index: usize,
    upstream: &Upstream,
    models: Vec<Listed>,
) -> Arc<Vec<Arc<ModelEntry>>> {
    let made = models
        .into_iter()
        .filter_map(|listed| entry(index, upstream, listed));
    Arc::new(made.map(Arc::new).collect())
}

/// `None` for what cannot chat.
pub(super) fn entry(index: usize, upstream: &Upstream, listed: Listed) -> Option<ModelEntry> {
    if upstream.is_hidden(&listed.id) {
        return None;
    }
    let id = upstream.public_id(&listed.id);
    let created = listed.raw.get("created").and_then(Value::as_u64);
    let pipeline = pipelines::is_pipeline(&listed.raw).then(|| {
        Arc::new(pipelines::filter_of(
            index,
            upstream,
            &listed.id,
            &listed.raw,
        ))
    });
    Some(ModelEntry {
        pipeline,
        name: listed.name.unwrap_or_else(|| id.clone()),
        id,
        upstream: index,
        upstream_id: listed.id,
        owned_by: match upstream.kind {
            UpstreamKind::Ollama => "ollama",
            UpstreamKind::OpenAi | UpstreamKind::Embedded => "openai",
        },
        raw: listed.raw,
        created: created.unwrap_or(0),
        told: Told::default(),
    })
}
