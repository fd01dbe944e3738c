//! The models of pipes: one of its own, or those that a manifold lists.

use std::sync::Arc;

use serde::Deserialize;
use tracing::warn;

use super::{Model, Models, Source, Target};
use crate::registry::{Function, Pipes};

/// One model of a manifold.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct SubModel {
    id: String,
    name: String,
}

impl Models {
    /// The name of a pipe's model, if the pipe has a model of this id.
    pub(super) async fn name_in_pipe(&self, function: &Arc<Function>, id: &str) -> Option<String> {
        if function.version.learnt.is_unreadable {
            // Whether it had this model is not known: the request is told why it fails.
            return Some(function.record.name.clone());
        }
        let models = self.models_of(function).await;
        models
            .into_iter()
            .find(|model| model.id == id)
            .map(|model| match model.source {
                Source::Pipe { name } => name,
                Source::Upstream(_) => String::new(),
            })
    }

    pub(super) async fn models_of(&self, function: &Arc<Function>) -> Vec<Model> {
        let model = |id: String, name: String| Model {
            id,
            target: Target::Pipe(Arc::clone(function)),
            source: Source::Pipe { name },
            preset: None,
        };
        if function.version.learnt.pipes == Pipes::None {
            return vec![model(
                function.id.as_str().to_owned(),
                function.record.name.clone(),
            )];
        }
        let subs = self.manifold(function).await;
        let named = subs
            .iter()
            .map(|sub| model(format!("{}.{}", function.id, sub.id), sub.name.clone()));
        named.collect()
    }

    /// What a manifold lists, asked once per version of its code and valves and again when that is old.
    async fn manifold(&self, function: &Arc<Function>) -> Arc<Vec<SubModel>> {
        let key = (function.version.number, function.valves.version);
        if let Some(known) = self.manifolds.get(&key).await {
            return known;
        }
        let ask = async { Arc::new(self.ask_manifold(function).await) };
        // Boxed, because it is rare and as large as all the rest of a request's future.
        Box::pin(self.manifolds.get_with(key, ask)).await
    }

    async fn ask_manifold(&self, function: &Arc<Function>) -> Vec<SubModel> {
        #[derive(Deserialize)]
        struct Listed {
            models: Vec<SubModel>,
        }
        match self.host.list_pipes(function).await {
            Ok(json) => serde_json::from_slice::<Listed>(&json)
                .map(|listed| listed.models)
                .unwrap_or_default(),
            Err(failure) => {
                warn!(function.id = %function.id, ?failure, "pipe does not list its models, it has none for now");
                Vec::new()
            }
        }
    }
}
