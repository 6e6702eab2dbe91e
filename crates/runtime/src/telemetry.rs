//! Logs of a process: one line for each event on standard error, as text for people or JSON for machines.

use std::io::IsTerminal as _;

use tracing_subscriber::{fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    Error,
    settings::{LogFormat, LogSettings, log_filter},
};

/// Sets up logging for the whole process.
///
/// # Errors
/// When the filter is no filter, or logging is set up already.
pub fn start(settings: &LogSettings) -> Result<(), Error> {
    let filter = log_filter(&settings.filter).map_err(Error::Logging)?;
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let registry = tracing_subscriber::registry().with(filter);
    let done = match settings.format {
        LogFormat::Text => registry
            .with(
                fmt::layer()
                    .with_writer(std::io::stderr)
                    .with_ansi(std::io::stderr().is_terminal() && !no_color)
                    .with_target(false),
            )
            .try_init(),
        LogFormat::Json => registry
            .with(fmt::layer().json().with_writer(std::io::stderr))
            .try_init(),
    };
    done.map_err(|cause| Error::Logging(cause.to_string()))
}
