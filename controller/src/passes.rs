//! Whole passes that operators ask for.

use std::time::Duration;

/// How far a whole pass has come that an operator asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// When it began, by the clock's elapsed time: every cloud is asked after that.
    pub(crate) since: Duration,
    /// Whether something was decided since, or done in a cloud.
    pub(crate) has_acted: bool,
}
