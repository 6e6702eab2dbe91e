//! The POSIX scripts that run on the host. What they are given are arguments or standard input, never code.

/// Puts the prelude before a script.
macro_rules! script {
    ($name:literal) => {
        concat!(
            include_str!("scripts/prelude.sh"),
            include_str!(concat!("scripts/", $name, ".sh"))
        )
    };
}

pub(crate) const FILE: &str = script!("file");
pub(crate) const COPY: &str = script!("copy");
pub(crate) const COPY_FILES: &str = script!("copy_files");
pub(crate) const STAT: &str = script!("stat");
pub(crate) const GROUP: &str = script!("group");
pub(crate) const USER: &str = script!("user");
pub(crate) const AUTHORIZED_KEY: &str = script!("authorized_key");
pub(crate) const LINE_IN_FILE: &str = script!("lineinfile");
pub(crate) const PACKAGE: &str = script!("package");
pub(crate) const WAIT_FOR: &str = script!("wait_for");
pub(crate) const SURVEY: &str = include_str!("scripts/survey.sh");

#[cfg(test)]
mod tests;
