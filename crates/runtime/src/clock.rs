//! The one place where the farm's processes ask for the time of day.

use std::time::{SystemTime, UNIX_EPOCH};

use model::Timestamp;

/// The present moment. A clock set before 1970 reads as 1970.
#[must_use]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}
