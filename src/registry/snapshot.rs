//! What is installed and configured at one moment: immutable, and held by a request from its first to its last byte.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::attached::Attached;
use super::function::{Function, FunctionId, FunctionKind};
use super::preset::Preset;
use super::presets::Presets;

/// The functions of one generation, with the order of the filters worked out.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Counts snapshots; rises with every change.
    pub generation: u64,
    functions: BTreeMap<FunctionId, Arc<Function>>,
    filters: Vec<Arc<Function>>,
    attached: Attached,
    pipes: Vec<Arc<Function>>,
    actions: Vec<Arc<Function>>,
    presets: Presets,
}

impl Snapshot {
    pub(super) fn new(generation: u64, functions: BTreeMap<FunctionId, Arc<Function>>) -> Self {
        let active = |kind| {
            functions
                .values()
                .filter(move |f| f.is_active && f.kind() == kind)
                .cloned()
        };
        let mut filters: Vec<_> = active(FunctionKind::Filter).collect();
        // Stable, and the functions come ordered by id: ties are broken by id (ruling R9).
        filters.sort_by(|one, other| one.valves.priority.total_cmp(&other.valves.priority));
        let pipes = active(FunctionKind::Pipe).collect();
        let actions = active(FunctionKind::Action).collect();
        Self {
            generation,
            attached: Attached::of(&filters),
            filters,
            pipes,
            actions,
            functions,
            presets: Presets::default(),
        }
    }

    /// The same snapshot with presets.
    pub(super) fn with_presets(self, presets: Presets) -> Self {
        Self { presets, ..self }
    }

    /// The function with this id, active or not.
    #[must_use]
    pub fn function(&self, id: &str) -> Option<&Arc<Function>> {
        self.entry(id).filter(|function| !function.id.is_tool())
    }

    /// Every function, by id; tools are none.
    pub fn functions(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.functions
            .values()
            .filter(|function| !function.id.is_tool())
    }

    /// The tools with this id, as people write it.
    #[must_use]
    pub fn tool(&self, id: &str) -> Option<&Arc<Function>> {
        self.functions.get(&FunctionId::tool(id)?)
    }

    /// All tools, by id.
    pub fn tools(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.functions
            .values()
            .filter(|function| function.id.is_tool())
    }

    /// The function or the tools with this id.
    pub(super) fn entry(&self, id: &str) -> Option<&Arc<Function>> {
        self.functions.get(id)
    }

    /// The active filters that are attached to one of these models or named by these ids, in the order in which they
    /// run.
    pub fn filters_of(
        &self,
        models: [&str; 2],
        named: &[String],
    ) -> impl Iterator<Item = &Arc<Function>> {
        let places = self.attached.places(models, named).into_iter();
        places.filter_map(|place| self.filters.get(place))
    }

    /// The active pipes, by id.
    #[must_use]
    pub fn pipes(&self) -> &[Arc<Function>] {
        &self.pipes
    }

    /// The active actions, by id.
    #[must_use]
    pub fn actions(&self) -> &[Arc<Function>] {
        &self.actions
    }

    /// The preset of this id, or the overlay on the model of this id; active or not.
    #[must_use]
    pub fn preset(&self, id: &str) -> Option<&Arc<Preset>> {
        self.presets.get(id)
    }

    /// Every preset and overlay, by id.
    pub fn presets(&self) -> impl Iterator<Item = &Arc<Preset>> {
        self.presets.values()
    }

    /// The active pipe that serves a model id: the text before the first dot names it.
    #[must_use]
    pub fn pipe_of(&self, model: &str) -> Option<&Arc<Function>> {
        let id = model.split_once('.').map_or(model, |(id, _)| id);
        self.function(id)
            .filter(|function| function.is_active && function.kind() == FunctionKind::Pipe)
    }
}
