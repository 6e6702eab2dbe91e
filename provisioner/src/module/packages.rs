//! Packages of the operating system: asked for first, installed only when missing.

use crate::arguments::Arguments;
use crate::host::Host;
use crate::outcome::{Done, Failure, Problem};
use crate::scripts::PACKAGE;

/// `apt`, `dnf` or `package`, which chooses between them by what the host is made of.
pub(super) async fn package(arguments: &Arguments, host: &Host<'_>) -> Result<Done, Failure> {
    let state = arguments.choice("state", "present", &["present", "installed", "absent", "removed"])?;
    let state = if matches!(state.as_str(), "present" | "installed") {
        "present"
    } else {
        "absent"
    };
    let names = arguments.list("name")?;
    if let Some(bad) = names.iter().find(|name| !is_package_name(name)) {
        return Err(Problem::new(format!("{bad:?} is not the name of a package")).into());
    }
    let refresh = arguments.bit("update_cache", false)?;
    let mut values = vec![arguments.module(), state, refresh.as_str()];
    values.extend(names.iter().map(String::as_str));
    let lines = host.script("package", PACKAGE, &values, Vec::new()).await?;
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
