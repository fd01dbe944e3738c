//! Which filters are attached to which models, worked out once for a snapshot: a request pays for its own filters, not
//! for all that are installed.

use std::collections::HashMap;
use std::sync::Arc;

use super::function::{EVERY_MODEL, Function, FunctionId};

/// Places in a list of filters.
#[derive(Debug, Default)]
pub(super) struct Attached {
    everywhere: Vec<usize>,
    by_model: HashMap<String, Vec<usize>>,
    by_id: HashMap<FunctionId, usize>,
}

impl Attached {
    /// The index of a list of filters.
    pub(super) fn of(filters: &[Arc<Function>]) -> Self {
        let mut attached = Self::default();
        for (place, filter) in filters.iter().enumerate() {
            attached.by_id.insert(filter.id.clone(), place);
            attached.attach(filter, place);
        }
        attached
    }

    fn attach(&mut self, filter: &Function, place: usize) {
        let models = match filter.targets() {
            Some(targets) if targets == [EVERY_MODEL] => return self.everywhere.push(place),
            Some(targets) => targets,
            None if filter.is_global => return self.everywhere.push(place),
            None => &filter.settings.models,
        };
        for model in models {
            self.by_model.entry(model.clone()).or_default().push(place);
        }
    }

    /// The places, in their order, of filters that are attached to one of these models or named by these ids.
    pub(super) fn places(&self, models: [&str; 2], named: &[String]) -> Vec<usize> {
        let of_models = models.iter().filter_map(|model| self.by_model.get(*model));
        let of_ids = named.iter().filter_map(|id| self.by_id.get(id.as_str()));
        let mut places: Vec<usize> = self.everywhere.clone();
        places.extend(of_models.flatten().chain(of_ids));
        places.sort_unstable();
        places.dedup();
        places
    }
}
