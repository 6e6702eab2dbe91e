//! Addresses of the repositories that a project names beside its own: of the web, or another project of the
//! farm; with variables, and with a priority.

use crate::{ChrootName, DirectoryName, OwnerName};

/// A repository as a project names it, taken apart: `copr://OWNER/PROJECT` or an address of the web, both with
/// an optional `?priority=` that is for dnf and no part of the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryAddress {
    pub place: RepositoryPlace,
    /// dnf's priority, 1 (first) to 99.
    pub priority: Option<u8>,
}

/// Where a repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepositoryPlace {
    /// A directory of a project of this farm.
    Farm {
        /// The owner of the project.
        owner: OwnerName,
        directory: DirectoryName,
    },
    /// An address of the web, its variables not filled in.
    Web(String),
}

impl RepositoryAddress {
    /// Takes an address apart. Whether an address of the web is one is not looked at.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (rest, priority) = split_priority(text)?;
        let place = match rest.strip_prefix("copr://") {
            None => RepositoryPlace::Web(rest),
            Some(project) => {
                let named = project
                    .strip_suffix('/')
                    .unwrap_or(project)
                    .split_once('/')
                    .and_then(|(owner, directory)| Some((owner.parse().ok()?, directory.parse().ok()?)));
                let (owner, directory) =
                    named.ok_or("a project of this farm is named copr://OWNER/PROJECT")?;
                RepositoryPlace::Farm { owner, directory }
            }
        };
        Ok(Self { place, priority })
    }

    /// The base address for a chroot, with Copr's variables filled in: `$chroot` and `$distname`. dnf's own stay.
    /// `results` is the address of the farm's results, without a slash at the end.
    #[must_use]
    pub fn base(&self, results: &str, chroot: &ChrootName) -> String {
        let (name, ..) = chroot.parts();
        match &self.place {
            RepositoryPlace::Farm { owner, directory } => format!("{results}/{owner}/{directory}/{chroot}/"),
            RepositoryPlace::Web(address) => fill(address, |variable| match variable {
                "chroot" => Some(chroot.as_str()),
                "distname" => Some(name),
                _ => None,
            }),
        }
    }
}

/// An address with dnf's variables filled in, as dnf does in a chroot: `$releasever`, `$basearch`, `$arch`.
#[must_use]
pub fn fill_for_dnf(address: &str, chroot: &ChrootName) -> String {
    let (_, release, architecture) = chroot.parts();
    fill(address, |variable| match variable {
        "releasever" => Some(release),
        "basearch" => Some(base_architecture(architecture)),
        "arch" => Some(package_architecture(architecture)),
        _ => None,
    })
}

/// A text with its variables, `$name` or `${name}`, replaced by their values. A name is as long as libdnf reads
/// it (letters, digits, underscores), so `$releasever_major` is not `$releasever`; without a value it stays.
pub fn fill<'a>(text: &str, value: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, end) = variable(after);
        match value(name) {
            Some(value) => {
                out.push_str(value);
                rest = end;
            }
            None => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// The name that stands behind a dollar, empty if there is none, and what is behind the variable.
fn variable(text: &str) -> (&str, &str) {
    let is_end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let inner = text.strip_prefix('{').unwrap_or(text);
    let (name, rest) = inner.split_at(inner.find(is_end).unwrap_or(inner.len()));
    match (inner.len() < text.len(), rest.strip_prefix('}')) {
        (false, _) => (name, rest),
        (true, Some(rest)) => (name, rest),
        (true, None) => ("", text),
    }
}

/// The address without its `priority=`, and that.
fn split_priority(text: &str) -> Result<(String, Option<u8>), &'static str> {
    let Some((place, query)) = text.split_once('?') else {
        return Ok((text.to_owned(), None));
    };
    let mut priority = None;
    let mut others = Vec::new();
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            Some(("priority", value)) => {
                let is_plain = value.len() <= 2 && value.bytes().all(|byte| byte.is_ascii_digit());
                let number = value
                    .parse()
                    .ok()
                    .filter(|number| is_plain && (1..=99).contains(number));
                let number = number.ok_or("priority must be a number from 1 to 99")?;
                if priority.replace(number).is_some() {
                    return Err("priority is named twice");
                }
            }
            _ => others.push(parameter),
        }
    }
    if others.is_empty() {
        return Ok((place.to_owned(), priority));
    }
    Ok((format!("{place}?{}", others.join("&")), priority))
}

/// The architecture of a chroot's packages: chroots are named by the base architecture, packages by the one that
/// the compiler aims at.
#[must_use]
pub fn package_architecture(chroot: &str) -> &str {
    match chroot {
        "i386" => "i686",
        "armhfp" => "armv7hl",
        other => other,
    }
}

/// dnf's `$basearch`: 32-bit x86 has one for all its architectures.
#[must_use]
pub fn base_architecture(architecture: &str) -> &str {
    match architecture {
        "i486" | "i586" | "i686" | "athlon" => "i386",
        "armv7hl" => "armhfp",
        other => other,
    }
}

#[cfg(test)]
mod tests;
