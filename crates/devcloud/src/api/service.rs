//! What handlers work with.

use std::sync::Arc;

use crate::{CloudConfig, faults::Faults, ledger::Ledger, life::Life, machines::Machines};

/// Everything that an action may look at or change.
pub(crate) struct Service {
    pub(crate) ledger: Ledger,
    pub(crate) life: Arc<Life>,
    pub(crate) machines: Arc<dyn Machines>,
    pub(crate) faults: Faults,
    pub(crate) config: Arc<CloudConfig>,
}
