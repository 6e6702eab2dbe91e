//! Logs of a process: one line for each event on standard error, as text for people or JSON for machines.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    Error,
    settings::{LogFormat, LogSettings},
};

/// Filters for libraries that the operator's own filter does not name. `pgp` warns of every key that it writes shorter than it
/// was; the other two only repeat what this program logs itself.
const LIBRARIES: &str = "pgp=error,sea_orm_migration=warn,poem=warn";

/// Whether logging can be set up so.
///
/// # Errors
/// When the filter is no filter.
pub fn check(settings: &LogSettings) -> Result<(), Error> {
    filter(settings).map(drop)
}

fn filter(settings: &LogSettings) -> Result<EnvFilter, Error> {
    EnvFilter::try_new(format!("{LIBRARIES},{}", settings.filter)).map_err(|_| {
        Error::Logging(format!(
            "`log.filter`: `{}` is no filter, such as `info` or `info,store=debug`",
            settings.filter
        ))
    })
}

/// Sets up logging for the whole process.
///
/// # Errors
/// When the filter is no filter, or logging is set up already.
pub fn start(settings: &LogSettings) -> Result<(), Error> {
    let filter = filter(settings)?;
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

#[cfg(test)]
mod tests {
    use super::{LogSettings, check, filter};

    #[test]
    fn a_filter_that_is_none_is_named_with_its_setting() {
        check(&LogSettings::default()).unwrap();
        let wrong = LogSettings {
            filter: "store=loud".to_owned(),
            ..LogSettings::default()
        };
        let said = check(&wrong).unwrap_err().to_string();
        assert!(said.contains("`log.filter`: `store=loud` is no filter"), "{said}");
    }

    #[test]
    fn filters_of_the_language_are_taken_and_the_operators_own_comes_last() {
        let set = |filter: &str| LogSettings {
            filter: filter.to_owned(),
            ..LogSettings::default()
        };
        for good in [
            "info",
            "warn,store=debug",
            "off",
            "store[span{id=7}]=trace",
            "pgp=debug",
        ] {
            check(&set(good)).unwrap();
        }
        for bad in ["=", "info,store=7x"] {
            let said = check(&set(bad)).unwrap_err().to_string();
            let words = format!(
                "cannot set up logging: `log.filter`: `{bad}` is no filter, such as `info` or `info,store=debug`"
            );
            assert_eq!(said, words);
        }
        // A library that the operator names is not held back.
        let shown = filter(&set("pgp=debug")).unwrap().to_string();
        assert!(
            shown.contains("pgp=debug") && !shown.contains("pgp=error"),
            "{shown}"
        );
        assert!(filter(&set("info")).unwrap().to_string().contains("pgp=error"));
    }
}
