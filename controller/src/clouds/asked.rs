//! What has come of questions to clouds since a moment, for the whole passes that operators ask for.

use std::time::Duration;

use model::plan::CloudHealth;

use super::{Clouds, LOOK_EVERY};

impl Clouds {
    /// Whether each cloud has answered, or failed to, a question that was asked since a moment of the clock's elapsed time. Those
    /// that have not are due.
    pub(crate) fn have_been_asked_since(&mut self, since: Duration) -> bool {
        let elapsed = self.clock.elapsed();
        let mut all = true;
        for known in self.known.values_mut() {
            if known.answered.is_some_and(|answered| answered >= since) {
                continue;
            }
            all = false;
            // A question for which there were no calls left is asked again soon, and not in every round.
            let is_old = |looked: Duration| looked < since || elapsed.saturating_sub(looked) >= LOOK_EVERY;
            if !known.is_looked_at && known.looked.is_none_or(is_old) {
                known.looked = None;
            }
        }
        all
    }

    /// Whether a look that began since a moment of the clock's elapsed time ended or tagged something, or moved a builder on.
    pub(crate) fn have_changed_something_since(&self, since: Duration) -> bool {
        let mut all = self.known.values();
        all.any(|known| known.changed.is_some_and(|changed| changed >= since))
    }

    /// The clouds that give no machines, and why, as sentences for operators.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let all = self.known.values().filter_map(|known| match &known.health {
            CloudHealth::Away(trouble) => Some(trouble.for_operators()),
            CloudHealth::Answers | CloudHealth::Unknown => None,
        });
        all.collect()
    }
}
