//! The API's description, `api/openapi.json`: the program prints it, the checkout keeps it, and CI compares the two.

use anyhow::{Context, Result, bail};

use crate::cache::write_atomically;
use crate::process::Tool;
use crate::progress::say;
use crate::workspace::{self, cargo};

const FILE: &str = "api/openapi.json";

/// Writes the description, or compares it with what is there.
pub(crate) fn run(check: bool) -> Result<()> {
    let printed = Tool::new(program(false)?).arg("openapi").output()?;
    let path = workspace::root()?.join(FILE);
    if !check {
        write_atomically(&path, printed.as_bytes())?;
        say(format!("{FILE}: written"));
        return Ok(());
    }
    let kept = fs_err::read_to_string(&path).unwrap_or_default();
    match first_difference(&kept, &printed) {
        None => Ok(()),
        Some(line) => {
            bail!("{FILE}:{line}: not what the program prints: run `cargo xtask openapi` and commit the file")
        }
    }
}

/// Builds the whole workspace's programs and returns the path of ours. The whole workspace, always: building one crate alone
/// resolves other features, and the cloud's client then compiles once more for eight gigabytes and minutes.
pub(crate) fn program(release: bool) -> Result<std::path::PathBuf> {
    let mut build = cargo()?.args(["build", "--workspace", "--bins", "--quiet"]);
    let mut profile = "debug";
    if release {
        build = build.arg("--release");
        profile = "release";
    }
    build.show().context("the farm does not compile")?;
    Ok(workspace::read()?
        .target_directory
        .join(profile)
        .join("verdigris"))
}

/// The number of the first line that differs.
fn first_difference(kept: &str, printed: &str) -> Option<usize> {
    if kept == printed {
        return None;
    }
    let same = kept
        .lines()
        .zip(printed.lines())
        .take_while(|(kept, printed)| kept == printed)
        .count();
    Some(same + 1)
}

#[cfg(test)]
mod tests;
