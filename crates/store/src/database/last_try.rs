use std::time::Instant;

use tokio::sync::Mutex;

use crate::error::Error;

/// When a change was last tried, and what that came to. Held during a try, so that there is one at a time.
#[derive(Default)]
pub(crate) struct LastTry(pub(crate) Mutex<Option<(Instant, Option<Error>)>>);
