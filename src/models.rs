//! Which models there are for a caller: those of the model servers and those of the pipes.

mod entry;
mod manifolds;
mod presets;

use std::sync::Arc;

use http::{Response, StatusCode};
use serde_json::{Value, json};

pub use self::entry::toggles;
use self::manifolds::SubModel;
use crate::actions;
use crate::auth::Caller;
use crate::body::Body;
use crate::chat::request::Incoming;
use crate::chat::{Contract, respond};
use crate::config::{ModelAccess, ModelsConfig, Role, UpstreamKind};
use crate::error::{Error, Kind, Result};
use crate::host::Host;
use crate::registry::function::is_target;
use crate::registry::{Function, Preset, Snapshot};
use crate::upstream::{self, Catalog, Directory, ModelEntry, RemoteFilter};
use crate::wire::percent;

/// Manifolds whose lists are kept.
const KEPT_LISTS: u64 = 10_000;

/// Where requests for a model go.
#[derive(Clone, Debug)]
pub enum Target {
    /// To a model server.
    Upstream(upstream::Target),
    /// To a local pipe.
    Pipe(Arc<Function>),
}

/// A model that a caller may use.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its id, as callers know it.
    pub id: String,
    /// Where its requests go.
    pub target: Target,
    source: Source,
    preset: Option<Arc<Preset>>,
}

#[derive(Clone, Debug)]
enum Source {
    Upstream(Arc<ModelEntry>),
    Pipe { name: String },
}

/// The models of every upstream and pipe.
#[derive(Debug)]
pub struct Models {
    catalog: Catalog,
    directory: Arc<Directory>,
    host: Host,
    access: ModelAccess,
    /// The lists of manifolds, by version of code and valves: `pipes()` may go to the network.
    manifolds: moka::future::Cache<(u64, u64), Arc<Vec<SubModel>>>,
}

impl Models {
    /// The models of `catalog` and of whatever pipes a snapshot has.
    #[must_use]
    pub fn new(
        catalog: Catalog,
        directory: Arc<Directory>,
        host: Host,
        config: &ModelsConfig,
    ) -> Self {
        let manifolds = moka::future::Cache::builder()
            .max_capacity(KEPT_LISTS)
            .time_to_live(config.cache)
            .build();
        Self {
            catalog,
            directory,
            host,
            access: config.access,
            manifolds,
        }
    }

    /// The model of this id.
    ///
    /// # Errors
    ///
    /// If there is none that this caller may use.
    pub async fn find(&self, snapshot: &Snapshot, caller: &Caller, id: &str) -> Result<Model> {
        let preset = snapshot.preset(id);
        let is_hidden = preset.is_some_and(|preset| !preset.is_active());
        if is_hidden {
            return Err(Error::unknown_model(id));
        }
        if preset.is_some_and(|preset| preset.unreadable_because().is_some()) {
            return Err(Error::unreadable_model(id));
        }
        if !self.may_use(caller, preset.map(Arc::as_ref)) {
            return Err(Error::unknown_model(id));
        }
        let Some(preset) = preset else {
            return self.locate(snapshot, id).await;
        };
        let base = preset.base_model_id().unwrap_or(id);
        let model = self.locate(snapshot, base).await;
        // In the caller's words, who knows nothing of the base.
        let model = model.map_err(|_| Error::unknown_model(id))?;
        Ok(model.with_preset(preset))
    }

    /// The model of this id, whatever presets say.
    async fn locate(&self, snapshot: &Snapshot, id: &str) -> Result<Model> {
        if let Some(function) = snapshot.pipe_of(id)
            && let Some(name) = Box::pin(self.name_in_pipe(function, id)).await
        {
            let target = Target::Pipe(Arc::clone(function));
            return Ok(Model {
                id: id.to_owned(),
                target,
                source: Source::Pipe { name },
                preset: None,
            });
        }
        let entry = self
            .catalog
            .find(id)
            .await
            .ok_or_else(|| Error::unknown_model(id))?;
        Ok(Model::of_entry(entry))
    }

    /// The upstream or function that answers for a model, for logs.
    #[must_use]
    pub fn target_name<'a>(&'a self, model: &'a Model) -> &'a str {
        match &model.target {
            Target::Pipe(function) => function.id.as_str(),
            Target::Upstream(target) => self.directory.name(target.upstream).unwrap_or_default(),
        }
    }

    /// The kind of server that answers for a model, `None` for a pipe.
    #[must_use]
    pub fn server_of(&self, model: &Model) -> Option<UpstreamKind> {
        match &model.target {
            Target::Pipe(_) => None,
            Target::Upstream(target) => self.directory.kind(target.upstream),
        }
    }

    /// Whether OpenAI's own server answers for a model.
    #[must_use]
    pub fn is_at_openai(&self, model: &Model) -> bool {
        match &model.target {
            Target::Pipe(_) => false,
            Target::Upstream(target) => self.directory.is_openais(target.upstream),
        }
    }

    /// Every model that this caller may use: pipes first, then the model servers' in their order, then presets.
    pub async fn list(&self, snapshot: &Snapshot, caller: &Caller) -> Vec<Model> {
        let mut models = Vec::new();
        for function in snapshot.pipes() {
            models.extend(self.models_of(function).await);
        }
        let listed = self.catalog.list().await;
        models.extend(listed.iter().cloned().map(Model::of_entry));
        let mut models = self.dress(models, snapshot);
        models.retain(|model| self.may_use(caller, model.preset().map(Arc::as_ref)));
        models
    }

    /// Answers with the list of models, in the shape of the path that was asked.
    pub async fn answer_list(
        &self,
        snapshot: &Snapshot,
        incoming: &Incoming<'_>,
        refresh: bool,
    ) -> Response<Body> {
        if refresh {
            self.refresh().await;
        }
        let models = self.list(snapshot, incoming.caller).await;
        let list = match incoming.contract {
            Contract::OpenAi => {
                let data: Vec<Value> = models.iter().map(Model::in_openai_list).collect();
                let mut list = json!({"object": "list", "data": data});
                // Tells Open WebUI that its admin page can show our functions, which takes an admin's key.
                if incoming.caller.rights == Role::Admin {
                    list["pipelines"] = json!(true);
                }
                list
            }
            Contract::OpenWebUi => {
                let listed = models.iter().map(|model| {
                    let mut listed = model.listed(&toggles(snapshot, model));
                    listed["actions"] = actions::menu(snapshot, model).into();
                    listed
                });
                json!({"data": listed.collect::<Vec<Value>>()})
            }
        };
        respond::json(StatusCode::OK, list.to_string())
    }

    /// Answers with one model's entry in OpenAI's list; `id` is as it stands in the path.
    ///
    /// # Errors
    ///
    /// If there is no such model for this caller.
    pub async fn answer_one(
        &self,
        snapshot: &Snapshot,
        caller: &Caller,
        id: &str,
    ) -> Result<Response<Body>> {
        let id = percent::decode(id.as_bytes());
        let model = self.find(snapshot, caller, &id).await?;
        Ok(respond::json(
            StatusCode::OK,
            model.in_openai_list().to_string(),
        ))
    }

    /// The filters of Pipelines servers that name this model or the base of this preset, in the order in which they run.
    ///
    /// # Errors
    ///
    /// If the filters of a server are not known that no request may pass by.
    pub async fn remote_filters(&self, model: &Model) -> Result<Vec<Arc<RemoteFilter>>> {
        let filters = self.catalog.filters().await.map_err(|upstream| {
            let message = format!(
                "the filters of the Pipelines server `{upstream}` are not known, because its list cannot be read"
            );
            Error::new(Kind::UpstreamUnreachable, message)
        })?;
        let named = filters.iter().filter(|filter| {
            [&model.id, model.base_id()]
                .iter()
                .any(|id| is_target(&filter.targets, id))
        });
        Ok(named.cloned().collect())
    }

    /// Asks every model server for its list again.
    pub async fn refresh(&self) {
        self.manifolds.invalidate_all();
        self.catalog.refresh().await;
    }
}

impl Model {
    /// A model server's model.
    fn of_entry(entry: Arc<ModelEntry>) -> Self {
        let target = upstream::Target {
            upstream: entry.upstream,
            model: entry.upstream_id.clone(),
        };
        Self {
            id: entry.id.clone(),
            target: Target::Upstream(target),
            source: Source::Upstream(entry),
            preset: None,
        }
    }

    /// Its id at the model server.
    #[must_use]
    pub fn upstream_id(&self) -> Option<&str> {
        match &self.target {
            Target::Upstream(target) => Some(&target.model),
            Target::Pipe(_) => None,
        }
    }

    /// The pipe that answers for it.
    #[must_use]
    pub fn function(&self) -> Option<&Arc<Function>> {
        match &self.target {
            Target::Pipe(function) => Some(function),
            Target::Upstream(_) => None,
        }
    }

    /// Whether a pipe answers for it.
    #[must_use]
    pub fn is_pipe(&self) -> bool {
        matches!(self.target, Target::Pipe(_))
    }

    /// How a model of a Pipelines server is asked as a filter, which it may be as well.
    #[must_use]
    pub fn pipeline(&self) -> Option<&Arc<RemoteFilter>> {
        match &self.source {
            Source::Upstream(entry) => entry.pipeline.as_ref(),
            Source::Pipe { .. } => None,
        }
    }
}
