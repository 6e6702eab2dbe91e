//! What a controller remembers of its fleet from one round to the next, so that a round reads the rows that changed and not
//! those of every builder and of everybody who waits.

use model::AttemptId;

use super::{builder_cache::BuilderCache, queue_cache::QueueCache};

/// The builders and the queue of one fleet as they were at the last look. Empty at first; what it holds is taken for granted, so
/// that a controller that lost its lease begins with an empty one.
#[derive(Debug, Default)]
pub struct FleetCache {
    pub(super) builders: BuilderCache,
    pub(super) queue: QueueCache,
}

impl FleetCache {
    /// Forgets an attempt that gets a builder: when it comes back to the queue, its row is another.
    pub fn forget(&mut self, id: AttemptId) {
        self.queue.forget(id);
    }
}
