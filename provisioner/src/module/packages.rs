//! Packages of the operating system: asked for first, installed only when missing.

use crate::arguments::Arguments;
use crate::host::Host;
use crate::outcome::{Done, Failure, Problem};
use crate::scripts::PACKAGE;

/// State, names, and whether the lists are read anew.
pub(super) fn package_arguments(
    arguments: &Arguments,
) -> Result<(&'static str, Vec<String>, String), Problem> {
    let state = arguments.choice("state", "present", &["present", "installed", "absent", "removed"])?;
    let state = if matches!(state.as_str(), "present" | "installed") {
        "present"
    } else {
        "absent"
    };
    let names = arguments.list("name")?;
    if let Some(bad) = names.iter().find(|name| !is_package_name(name)) {
        return Err(arguments.about("name", format!("{bad:?} is not the name of a package")));
    }
    Ok((state, names, arguments.bit("update_cache", false)?))
}

/// `apt`, `dnf` or `package`, which chooses between them by what the host is made of.
pub(super) async fn package(arguments: &Arguments, host: &Host<'_>) -> Result<Done, Failure> {
    let (state, names, refresh) = package_arguments(arguments)?;
    let mut values = vec![arguments.module(), state, refresh.as_str()];
    values.extend(names.iter().map(String::as_str));
    let lines = host.script_that_starts("package", PACKAGE, &values).await?;
    Ok(Done::changes(lines.changes()))
}

fn is_package_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-:~".contains(&byte);
    name.bytes().all(allowed)
        && name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
}
