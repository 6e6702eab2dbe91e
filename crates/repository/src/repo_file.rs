//! The `.repo` text that `dnf copr enable` and people fetch: field for field the one that Copr serves.
//!
//! The order and the fields matter: `dnf`'s plugin wants the first line to begin with `[copr:` and names the
//! file after it. A value with a line break could add a section of its own, so values are checked.

use std::fmt::Write as _;

use model::{DirectoryName, OwnerName, RepositoryAddress, RepositoryPlace, repository_address::fill};
use sha2::{Digest as _, Sha256};

use crate::{Error, Result, error::shortened};

/// What goes into a `.repo` file.
#[derive(Clone, Debug)]
pub struct RepoFile<'a> {
    /// Host name of the farm, as [`host_of`] has it.
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
    pub priority: Option<u32>,
    /// `module_hotfixes=1`.
    pub module_hotfixes: bool,
    /// Repositories that packages of this one need.
    pub dependencies: Vec<RepoDependency>,
}

/// A repository that the project's packages need when they run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoDependency {
    /// The address as the project's owner wrote it.
    pub named: String,
    /// The same, understood.
    pub address: RepositoryAddress,
}

impl RepoDependency {
    /// Takes an address apart.
    ///
    /// # Errors
    /// As [`RepositoryAddress::parse`].
    pub fn parse(named: &str) -> std::result::Result<Self, &'static str> {
        Ok(Self {
            address: RepositoryAddress::parse(named)?,
            named: named.to_owned(),
        })
    }

    /// Whether it is none of this farm's.
    #[must_use]
    pub const fn is_external(&self) -> bool {
        matches!(self.address.place, RepositoryPlace::Web(_))
    }

    /// The id and the name of its section. `host` is the farm's, without a port; `needed_by` is `OWNER/PROJECT`;
    /// `number` counts from 1.
    #[must_use]
    pub fn id_and_name(&self, host: &str, needed_by: &str, number: usize) -> (String, String) {
        match &self.address.place {
            RepositoryPlace::Farm { owner, directory } => (
                format!("coprdep:{host}:{}:{directory}", id_owner(owner)),
                format!("Copr {host}/{needed_by} runtime dependency #{number} - {owner}/{directory}"),
            ),
            RepositoryPlace::Web(_) => {
                let id = address_as_id(&self.named);
                let name = format!("Copr {host}/{needed_by} external runtime dependency #{number} - {id}");
                (format!("coprdep:{id}"), name)
            }
        }
    }
}

/// The longest id of an address. dnf names files by ids and 23 bytes more, and fails where that is too long for a name.
const LONGEST_ID: usize = 180;

/// An address as it may stand in the id of a repository: runs of other characters than letters and digits become
/// one `_`, and none is at the ends. Of a long one the beginning and a digest are left.
#[must_use]
pub fn address_as_id(address: &str) -> String {
    let id = address
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("_");
    match id.get(..LONGEST_ID.saturating_sub(17)) {
        Some(start) if id.len() > LONGEST_ID => {
            let digest = hex::encode(Sha256::digest(address));
            format!("{start}_{}", digest.get(..16).unwrap_or_default())
        }
        _ => id,
    }
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

/// The host of a farm's address as it stands in the ids of repositories and keys: without a port, and an IPv6 address
/// without what `dnf` takes for the end of a section or of a part of the id, so that `http://[::1]:5080` is at `__1`.
#[must_use]
pub fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _port)) => address.replace(':', "_"),
        None => authority.split(':').next().unwrap_or_default().to_owned(),
    }
}

/// The text of a `.repo` file.
///
/// # Errors
/// [`Error::RepoValue`] when a value would break the file.
pub fn repo_file(repo: &RepoFile<'_>) -> Result<String> {
    let host = checked("host", repo.host)?;
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
    let needed_by = format!("{owner}/{directory}");
    // Copr counts its own projects and foreign repositories each from 1.
    let (mut projects, mut others) = (0_usize, 0_usize);
    for dependency in &repo.dependencies {
        let number = if dependency.is_external() {
            &mut others
        } else {
            &mut projects
        };
        *number = number.saturating_add(1);
        let (id, name) = dependency.id_and_name(host, &needed_by, *number);
        let (base_url, key) = dependency_addresses(results, chroot, dependency)?;
        out.push('\n');
        section(
            &mut out,
            &Section {
                id,
                name,
                base_url,
                key,
            },
        );
        out.push_str("enabled=1\nenabled_metadata=1\n");
        if let Some(priority) = dependency.address.priority {
            line(&mut out, "priority", &priority.to_string());
        }
    }
    Ok(out)
}

struct Section {
    id: String,
    name: String,
    base_url: String,
    key: Option<String>,
}

/// Where a dependency is, and its key if it has one. dnf knows no `$chroot` and no `$distname`: they are filled in
/// here, with the pattern of this file's chroot, so that dnf's own variables in it mean what they mean to dnf.
fn dependency_addresses(
    results: &str,
    chroot: &str,
    dependency: &RepoDependency,
) -> Result<(String, Option<String>)> {
    match &dependency.address.place {
        RepositoryPlace::Farm { owner, directory } => Ok((
            format!("{results}/{owner}/{directory}/{chroot}/"),
            Some(format!("{results}/{owner}/{directory}/pubkey.gpg")),
        )),
        RepositoryPlace::Web(address) => {
            let name = chroot.rsplitn(3, '-').nth(2).unwrap_or_default();
            let base_url = fill(address, |variable| match variable {
                "chroot" => Some(chroot),
                "distname" => Some(name),
                _ => None,
            });
            let base_url = checked("dependency", &base_url)?;
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
            Ok((base_url.to_owned(), None))
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
