//! Builders that have run a build and are kept for more of the same sandbox.

use super::Builder;
use crate::{
    BuilderState, Timestamp,
    fleet::{ReuseScope, ReuseSpec},
};

/// Why a used builder that nothing runs on is kept no longer; `None` for one that is kept, or that an operator took out of use.
pub(super) fn outstayed(builder: &Builder, reuse: &ReuseSpec, now: Timestamp) -> Option<String> {
    let sandbox = builder.sandbox.as_ref()?;
    if builder.state != BuilderState::Ready || builder.cordoned {
        return None;
    }
    let ReuseSpec {
        idle_for, max_age, ..
    } = reuse;
    if reuse.scope == ReuseScope::Never {
        return Some(format!("builders of pool {} run one build by now", builder.pool));
    }
    let first = builder.ready_at.unwrap_or(builder.entered_at);
    if now.since(first) >= max_age.get() {
        return Some(format!(
            "it has taken builds for {max_age}, and no builder does for longer"
        ));
    }
    let is_idle = now.since(builder.entered_at) >= idle_for.get();
    is_idle.then(|| format!("no build of {sandbox} came within {idle_for}"))
}
