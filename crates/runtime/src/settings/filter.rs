//! What is logged, in the language of tracing's filters.

use tracing_subscriber::EnvFilter;

/// Filters for libraries that the operator's own filter does not name. `pgp` warns of every key that it writes shorter than it
/// was; the other two only repeat what this program logs itself.
const LIBRARIES: &str = "pgp=error,sea_orm_migration=warn,poem=warn";

/// The filter that a setting means.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn filter(setting: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(format!("{LIBRARIES},{setting}"))
        .map_err(|_| format!("`{setting}` is no filter, such as `info` or `info,store=debug`"))
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn filters_of_the_language_are_taken_and_the_operators_own_comes_last() {
        for good in [
            "info",
            "warn,store=debug",
            "off",
            "store[span{id=7}]=trace",
            "pgp=debug",
        ] {
            filter(good).unwrap();
        }
        for bad in ["=", "info,store=7x", "store=loud"] {
            let words = format!("`{bad}` is no filter, such as `info` or `info,store=debug`");
            assert_eq!(filter(bad).unwrap_err(), words);
        }
        // A library that the operator names is not held back.
        let shown = filter("pgp=debug").unwrap().to_string();
        assert!(
            shown.contains("pgp=debug") && !shown.contains("pgp=error"),
            "{shown}"
        );
        assert!(filter("info").unwrap().to_string().contains("pgp=error"));
    }
}
