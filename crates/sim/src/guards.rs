//! The guards by which the executor keeps the rules, each of which a test can take away to see that the rules notice.

/// Which guards are there. All of them, but in tests of the simulation itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guards {
    /// Whether a write under a lease that is another's by now is refused.
    pub fencing: bool,
    /// Whether a write is refused that was decided on an older look at the row.
    pub compare: bool,
    /// Whether a launch without an answer is asked for again with its own token.
    pub tokens: bool,
    /// Whether a launch is on record before the cloud is called.
    pub record_first: bool,
    /// Whether whoever connects to a machine checks its host key.
    pub host_keys: bool,
    /// Whether a machine that is not found is looked for again before it counts as gone.
    pub patience: bool,
    /// Whether a builder refuses to be cleaned and provisioned while a build runs on it.
    pub refuses_when_busy: bool,
    /// Whether orphans are ended.
    pub orphans: bool,
    /// Whether a ready builder is drained that live checks give up.
    pub live_checks: bool,
    /// Whether it may fail some of them before that.
    pub live_patience: bool,
    /// Whether a notice is written down.
    pub notices: bool,
    /// Whether builders wait for hooks.
    pub waits_for_hooks: bool,
    /// Whether a try of a hook that was interrupted keeps its number.
    pub hook_numbers: bool,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            fencing: true,
            compare: true,
            tokens: true,
            record_first: true,
            host_keys: true,
            patience: true,
            refuses_when_busy: true,
            orphans: true,
            live_checks: true,
            live_patience: true,
            notices: true,
            waits_for_hooks: true,
            hook_numbers: true,
        }
    }
}
