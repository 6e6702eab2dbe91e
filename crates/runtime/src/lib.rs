//! What every process of the farm needs around its work: settings, files that operators write, logs,
//! supervised tasks, back-off, the clock and chance.
//!
//! It holds no business rule and knows neither database, cloud nor SSH. Start with [`settings`] for how a
//! process is configured and [`supervisor`] for how its tasks live and end.

pub mod backoff;
pub mod chance;
pub mod clock;
pub mod settings;
pub mod supervisor;
pub mod telemetry;
mod text;
pub mod yaml;

pub use backoff::Backoff;
pub use settings::Settings;
pub use supervisor::Supervisor;
pub use tokio_util::sync::CancellationToken;

/// What can go wrong while a process is being set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {path}: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// What is in the way.
        why: String,
    },
    /// A file of an operator's holds mistakes; one line for each.
    #[error("{path} has mistakes:\n{}", .mistakes.join("\n"))]
    Mistakes {
        /// The file.
        path: String,
        /// What is wrong, with line and column where they are known.
        mistakes: Vec<String>,
    },
    /// The log filter cannot be parsed, or logging was set up before.
    #[error("cannot set up logging: {0}")]
    Logging(String),
}
