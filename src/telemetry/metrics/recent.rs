//! Metrics that a thread has looked up, kept at hand.

/// What one thread has looked up last: a look-up takes a copy of the function's name, a hash and a lock, and a stream asks for
/// the same with every event.
pub(super) struct Recent<L, M>(Vec<(L, M)>);

/// More than the filters of one chain have handlers.
const MOST_RECENT: usize = 16;

impl<L, M> Recent<L, M> {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// The metric whose labels are the same, looked up if it is not known.
    pub(super) fn find(
        &mut self,
        is_same: impl Fn(&L) -> bool,
        labels: impl FnOnce() -> L,
        find: impl FnOnce(&L) -> M,
    ) -> &M {
        let known = self.0.iter().position(|(labels, _)| is_same(labels));
        let place = known.unwrap_or_else(|| {
            if self.0.len() == MOST_RECENT {
                self.0.clear();
            }
            let labels = labels();
            let metric = find(&labels);
            self.0.push((labels, metric));
            self.0.len() - 1
        });
        &self.0[place].1
    }
}
