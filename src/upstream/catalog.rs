//! Which models there are: the lists of all upstreams, kept for a while, merged into one, found by
//! id without waiting.

mod lists;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use moka::future::Cache;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tracing::warn;

use self::lists::{List, Merged, configured_models, entry, list, list_entries, named};
use super::directory::{Directory, SetupError, Upstream};
use super::fetch::Fetcher;
use super::pipelines::RemoteFilter;

/// How often at most an unknown id makes us ask the upstreams again.
const MISS_PAUSE: Duration = Duration::from_secs(1);
/// How long a listing waits for slow upstreams once there is an older list to fall back on.
const PATIENCE: Duration = Duration::from_secs(1);

/// A model that can be called.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelEntry {
    /// The id for callers, with the upstream's prefix.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// The upstream's place in the [`Directory`].
    pub upstream: usize,
    /// The id at the upstream.
    pub upstream_id: String,
    /// The dialect: `openai` or `ollama`.
    pub owned_by: &'static str,
    /// What the upstream itself says of the model.
    pub raw: Value,
    /// When it was made, in seconds since 1970; 0 where the upstream does not say.
    pub created: u64,
    /// A model of a Pipelines server is asked before and after its own answers, like a filter.
    pub pipeline: Option<Arc<RemoteFilter>>,
    /// What functions are told of it, once one was.
    pub told: Told,
}

/// JSON that is made of a model when it is first asked for. Two models with the same members are the same with or
/// without it.
#[derive(Clone, Debug, Default)]
pub struct Told(OnceLock<Bytes>);

impl Told {
    /// The JSON, made by `make` if it is asked for the first time.
    pub fn get_or_make(&self, make: impl FnOnce() -> Bytes) -> Bytes {
        self.0.get_or_init(make).clone()
    }
}

impl PartialEq for Told {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The models of all upstreams. Clones share what is known.
#[derive(Clone, Debug)]
pub struct Catalog {
    shared: Arc<Shared>,
    /// The control runtime: a request that leaves must not stop a load that others wait for.
    runtime: Handle,
}

#[derive(Debug)]
struct Shared {
    directory: Arc<Directory>,
    fetcher: Fetcher,
    ttl: Duration,
    /// One list per upstream; loads of one list are joined.
    lists: Cache<usize, List>,
    merged: watch::Sender<Arc<Merged>>,
    is_refreshing: AtomicBool,
    /// A std mutex, for it is held for one comparison and never across an await.
    last_miss: Mutex<Option<Instant>>,
}

impl Catalog {
    /// A catalog that has loaded nothing yet; lists are kept for `ttl`.
    ///
    /// # Errors
    ///
    /// When the client for it cannot be made.
    pub fn new(
        directory: Arc<Directory>,
        runtime: Handle,
        ttl: Duration,
    ) -> Result<Self, SetupError> {
        let shared = Shared {
            fetcher: Fetcher::new(&directory)?,
            directory,
            ttl,
            lists: Cache::builder().time_to_live(ttl).build(),
            merged: watch::Sender::new(Arc::default()),
            is_refreshing: AtomicBool::new(false),
            last_miss: Mutex::new(None),
        };
        Ok(Self {
            shared: Arc::new(shared),
            runtime,
        })
    }

    /// All models, upstream by upstream. Waits for upstreams that were never heard; where there is
    /// an older list, a slow upstream holds it up for a second at most.
    pub async fn list(&self) -> Arc<Vec<Arc<ModelEntry>>> {
        let merged = self.shared.merged();
        if merged.is_fresh(&self.shared) {
            return merged.all.clone();
        }
        let load = self.load();
        if merged.is_complete(&self.shared) {
            // Late or not, what is known by then is the answer.
            let _ = timeout(PATIENCE, load).await;
        } else {
            let _ = load.await;
        }
        self.shared.merged().all.clone()
    }

    /// The model with this id as far as known; never waits. An old list is renewed behind its back.
    #[must_use]
    pub fn known(&self, id: &str) -> Option<Arc<ModelEntry>> {
        let merged = self.shared.merged();
        if !merged.is_fresh(&self.shared) {
            self.renew();
        }
        merged.by_id.get(id).cloned()
    }

    /// The model with this id. An unknown id makes us ask the upstreams again, once a second at
    /// most.
    pub async fn find(&self, id: &str) -> Option<Arc<ModelEntry>> {
        let known = self.known(id).or_else(|| self.accepted(id));
        if known.is_some() {
            return known;
        }
        // Boxed, because it is rare.
        Box::pin(self.ask_for(id)).await
    }

    async fn ask_for(&self, id: &str) -> Option<Arc<ModelEntry>> {
        if self.shared.may_ask_again() {
            self.shared.lists.invalidate_all();
        }
        self.wait_for(id).await;
        self.known(id).or_else(|| self.accepted(id))
    }

    /// The filters of all Pipelines servers, in the order in which they run. Waits for servers that were never heard:
    /// for a second at most if they may have some, else for their answer; the error is the name of one that must have
    /// some and cannot be heard.
    ///
    /// # Errors
    ///
    /// If the filters of a server are not known that no request may pass by.
    pub async fn filters(&self) -> Result<Arc<Vec<Arc<RemoteFilter>>>, String> {
        let merged = self.shared.merged();
        if !merged.is_fresh(&self.shared) {
            self.renew();
        }
        if !merged.may_lack_filters(&self.shared) && merged.unheard(&self.shared).is_none() {
            return Ok(Arc::clone(&merged.filters));
        }
        // Boxed, because it is rare.
        Box::pin(self.ask_for_filters()).await
    }

    async fn ask_for_filters(&self) -> Result<Arc<Vec<Arc<RemoteFilter>>>, String> {
        if self.shared.merged().may_lack_filters(&self.shared) {
            // Only at the start: nobody has said whether there are filters.
            let _ = timeout(PATIENCE, self.load()).await;
        }
        if self.shared.merged().unheard(&self.shared).is_some() {
            if self.shared.may_ask_again() {
                self.shared.lists.invalidate_all();
            }
            // The task cannot fail but by the end of the runtime, and then nobody needs the list.
            let _ = self.load().await;
        }
        let merged = self.shared.merged();
        match merged.unheard(&self.shared) {
            Some(upstream) => Err(upstream.name.clone()),
            None => Ok(Arc::clone(&merged.filters)),
        }
    }

    /// Asks all upstreams again and waits for them.
    pub async fn refresh(&self) {
        self.shared.lists.invalidate_all();
        // The task cannot fail but by the end of the runtime, and then nobody needs the list.
        let _ = self.load().await;
    }

    /// Waits until `id` is known or all upstreams have answered: one that hangs holds up only its
    /// own models.
    async fn wait_for(&self, id: &str) {
        let mut changes = self.shared.merged.subscribe();
        let mut load = self.load();
        loop {
            if changes.borrow_and_update().by_id.contains_key(id) {
                return;
            }
            tokio::select! {
                _ = &mut load => return,
                _ = changes.changed() => {}
            }
        }
    }

    /// The model that an upstream makes of any id. Only when all lists are there: a listed model
    /// goes first.
    #[must_use]
    pub fn accepted(&self, id: &str) -> Option<Arc<ModelEntry>> {
        let shared = &self.shared;
        if !shared.merged().is_complete(shared) {
            return None;
        }
        let takers = shared
            .directory
            .all()
            .filter(|(_, upstream)| upstream.takes_any_model());
        let accept = |(index, upstream): (usize, &Arc<Upstream>)| {
            let own_id = upstream.own_id(id)?;
            Some(Arc::new(entry(index, upstream, named(own_id))?))
        };
        takers.filter_map(accept).last()
    }

    /// Starts a load unless one is under way.
    fn renew(&self) {
        if !self.shared.is_refreshing.swap(true, Ordering::Relaxed) {
            self.load();
        }
    }

    /// Loads what is not in the cache; nobody has to wait for the task, it ends by itself.
    fn load(&self) -> JoinHandle<()> {
        let shared = Arc::clone(&self.shared);
        self.runtime.spawn(async move {
            shared.load().await;
            shared.is_refreshing.store(false, Ordering::Relaxed);
        })
    }
}

impl Shared {
    fn merged(&self) -> Arc<Merged> {
        self.merged.borrow().clone()
    }

    /// Every list is published when it comes, the slow ones later.
    async fn load(&self) {
        let mut loads: FuturesUnordered<_> = self
            .directory
            .all()
            .map(|(index, upstream)| async move {
                let fetch = self.fetch(index, upstream);
                (index, self.lists.get_with(index, fetch).await)
            })
            .collect();
        while let Some((index, list)) = loads.next().await {
            self.publish(index, list);
        }
    }

    fn publish(&self, index: usize, list: List) {
        self.merged.send_if_modified(|merged| {
            let before = merged.lists.get(&index).map(|list| list.fetched);
            let is_new = before != Some(list.fetched);
            if is_new {
                let mut lists = merged.lists.clone();
                lists.insert(index, list);
                *merged = Arc::new(Merged::new(lists));
            }
            is_new
        });
    }

    /// The upstream's list, or the last good one while it is down.
    async fn fetch(&self, index: usize, upstream: &Upstream) -> List {
        let configured = configured_models(upstream);
        let models = match &configured {
            // Who has filters is asked for them all the same.
            Some(_) if !upstream.filters.are_expected => Ok(Vec::new()),
            _ => self.fetcher.models(upstream).await,
        };
        let list = match models {
            Ok(models) => list(index, upstream, models),
            Err(error) => {
                warn!(upstream = %upstream.name, %error, "Model list not loaded, kept the last");
                let merged = self.merged();
                let last = merged.lists.get(&index).cloned();
                last.unwrap_or_else(|| List {
                    is_heard: false,
                    ..list(index, upstream, Vec::new())
                })
            }
        };
        let entries = configured.map(|models| list_entries(index, upstream, models));
        List {
            entries: entries.unwrap_or(list.entries),
            fetched: Instant::now(),
            ..list
        }
    }

    fn may_ask_again(&self) -> bool {
        let mut last_miss = self
            .last_miss
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let may = last_miss.is_none_or(|last| last.elapsed() >= MISS_PAUSE);
        if may {
            *last_miss = Some(Instant::now());
        }
        may
    }
}
