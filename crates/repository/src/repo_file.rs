//! The `.repo` text that `dnf copr enable` and people fetch: field for field the one that Copr serves.
//!
//! The order and the fields matter: `dnf`'s plugin wants the first line to begin with `[copr:` and names the
//! file after it. A value with a line break could add a section of its own, so values are checked.

use std::fmt::Write as _;

use model::{DirectoryName, OwnerName};

use crate::{Error, Result, error::shortened};

/// What goes into a `.repo` file.
#[derive(Clone, Debug)]
pub struct RepoFile<'a> {
    /// Host name of the farm; a port is left out of the repository's id.
    pub host: &'a str,
    /// Owner of the project.
    pub owner: &'a OwnerName,
    /// The project's directory.
    pub directory: &'a DirectoryName,
    /// Where the results lie, without a slash at the end: `https://HOST/results`.
    pub results_url: &'a str,
    /// The chroot as the address has it, such as `fedora-$releasever-$basearch`: see [`chroot_pattern`].
    pub chroot: &'a str,
    /// The section for the second architecture (`:ml`, at a higher cost).
    pub multilib: bool,
    /// `priority=`.
    pub priority: Option<u32>,
    /// `module_hotfixes=1`.
    pub module_hotfixes: bool,
    /// Repositories that packages of this one need.
    pub dependencies: Vec<RepoDependency>,
}

/// A repository that the project's packages need when they run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepoDependency {
    /// Another project of the same farm.
    Project {
        /// Its owner.
        owner: OwnerName,
        /// Its directory.
        directory: DirectoryName,
    },
    /// Any other repository.
    External {
        /// Its address, which may hold `$releasever` and `$basearch`.
        base_url: String,
    },
}

/// The last part of a repository's address: with `$releasever` for distributions whose chroots are named like
/// their releases, always with `$basearch`.
#[must_use]
pub fn chroot_pattern(chroot: &model::ChrootName) -> String {
    let (name, release, _architecture) = chroot.parts();
    let follows = match name {
        "fedora" | "centos-stream" | "opensuse-leap" => true,
        "mageia" => release != "cauldron",
        _ => false,
    };
    if follows {
        format!("{name}-$releasever-$basearch")
    } else {
        format!("{name}-{release}-$basearch")
    }
}

/// The text of a `.repo` file.
///
/// # Errors
/// [`Error::RepoValue`] when a value would break the file.
pub fn repo_file(repo: &RepoFile<'_>) -> Result<String> {
    let host = checked("host", repo.host)?;
    let host = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    let results = checked("results_url", repo.results_url)?.trim_end_matches('/');
    let chroot = checked("chroot", repo.chroot)?;
    let (owner, directory) = (repo.owner, repo.directory);
    let suffix = if repo.multilib { ":ml" } else { "" };
    let mut out = String::new();
    let head = Section {
        id: format!("copr:{host}:{}:{directory}{suffix}", id_owner(owner)),
        name: format!("Copr repo for {directory} owned by {owner}"),
        base_url: format!("{results}/{owner}/{directory}/{chroot}/"),
        key: Some(format!("{results}/{owner}/{directory}/pubkey.gpg")),
    };
    section(&mut out, &head);
    if repo.multilib {
        out.push_str("cost=1100\n");
    }
    out.push_str("enabled=1\nenabled_metadata=1\n");
    if repo.module_hotfixes {
        out.push_str("module_hotfixes=1\n");
    }
    if let Some(priority) = repo.priority {
        line(&mut out, "priority", &priority.to_string());
    }
    for (number, dependency) in repo.dependencies.iter().enumerate() {
        out.push('\n');
        section(
            &mut out,
            &dependency_section(repo, host, number.saturating_add(1), dependency)?,
        );
        out.push_str("enabled=1\nenabled_metadata=1\n");
    }
    Ok(out)
}

struct Section {
    id: String,
    name: String,
    base_url: String,
    key: Option<String>,
}

fn dependency_section(
    repo: &RepoFile<'_>,
    host: &str,
    number: usize,
    dependency: &RepoDependency,
) -> Result<Section> {
    let results = repo.results_url.trim_end_matches('/');
    let chroot = repo.chroot;
    match dependency {
        RepoDependency::Project { owner, directory } => Ok(Section {
            id: format!("coprdep:{host}:{}:{directory}", id_owner(owner)),
            name: format!(
                "Copr {host}/{owner}/{directory} runtime dependency #{number} - {owner}/{directory}"
            ),
            base_url: format!("{results}/{owner}/{directory}/{chroot}/"),
            key: Some(format!("{results}/{owner}/{directory}/pubkey.gpg")),
        }),
        RepoDependency::External { base_url } => {
            let base_url = checked("dependency", base_url)?;
            let known = ["http://", "https://", "ftp://"]
                .iter()
                .any(|scheme| base_url.starts_with(scheme));
            if !known {
                return Err(refused(
                    "dependency",
                    base_url,
                    "it must begin with http://, https:// or ftp://",
                ));
            }
            let id: String = base_url
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
                .collect();
            Ok(Section {
                id: format!("coprdep:{id}"),
                name: format!(
                    "Copr {host}/{}/{} external runtime dependency #{number} - {id}",
                    repo.owner, repo.directory
                ),
                base_url: base_url.to_owned(),
                key: None,
            })
        }
    }
}

/// Groups are written `group_NAME` in ids, where an at sign cannot stand.
fn id_owner(owner: &OwnerName) -> String {
    match owner.as_str().strip_prefix('@') {
        Some(group) => format!("group_{group}"),
        None => owner.as_str().to_owned(),
    }
}

fn section(out: &mut String, section: &Section) {
    out.push('[');
    out.push_str(&section.id);
    out.push_str("]\n");
    line(out, "name", &section.name);
    line(out, "baseurl", &section.base_url);
    out.push_str("type=rpm-md\nskip_if_unavailable=True\n");
    match &section.key {
        Some(key) => {
            out.push_str("gpgcheck=1\n");
            line(out, "gpgkey", key);
        }
        None => out.push_str("gpgcheck=0\n"),
    }
    out.push_str("repo_gpgcheck=0\n");
}

fn line(out: &mut String, field: &str, value: &str) {
    writeln!(out, "{field}={value}").ok(); // Writing to a String cannot fail.
}

fn checked<'a>(field: &'static str, value: &'a str) -> Result<&'a str> {
    if value.is_empty() || value.len() > 2_000 {
        return Err(refused(field, value, "it is empty or longer than 2000 bytes"));
    }
    if value.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(refused(
            field,
            value,
            "it holds white space or control characters",
        ));
    }
    Ok(value)
}

fn refused(field: &'static str, value: &str, why: &'static str) -> Error {
    Error::RepoValue {
        field,
        value: shortened(value),
        why,
    }
}

#[cfg(test)]
mod tests;
