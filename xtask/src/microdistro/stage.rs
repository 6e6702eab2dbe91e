//! All packages' files in one tree, as the build root will have them: unpacked, folded into a merged /usr, manuals
//! left out; and which package owns what.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::debian::Package;
use super::tables;
use crate::process::Tool;
use crate::progress::Count;

/// How many packages are unpacked at once.
const WORKERS: usize = 4;

/// One path that a package owns.
#[derive(Debug)]
pub(super) struct Entry {
    /// Absolute, as in the build root.
    pub(super) path: String,
    pub(super) is_directory: bool,
}

/// The tree and its owners.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) tree: PathBuf,
    pub(super) owned: BTreeMap<String, Vec<Entry>>,
    /// Packages with a library: RPM finds what those provide.
    pub(super) with_libraries: BTreeSet<String>,
}

/// Unpacks all packages into one tree below `work`.
pub(super) fn unpack(work: &Path, packages: &BTreeMap<String, Package>, log: &Path) -> Result<Staged> {
    let single = work.join("unpacked");
    let tree = work.join("tree");
    fs_err::create_dir(&single)?;
    fs_err::create_dir(&tree)?;
    unpack_each(&single, packages, log)?;
    let mut staged = Staged {
        tree,
        owned: BTreeMap::new(),
        with_libraries: BTreeSet::new(),
    };
    let mut owners = BTreeMap::new();
    for name in packages.keys() {
        let root = single.join(name);
        fold(&root)?;
        make_links(name, &root)?;
        let mut mover = Mover {
            name,
            root: &root,
            staged: &mut staged,
            owners: &mut owners,
            entries: Vec::new(),
        };
        mover.directory("")?;
        let entries = mover.entries;
        staged.owned.insert(name.clone(), entries);
    }
    make_filesystem(&staged.tree)?;
    Ok(staged)
}

fn unpack_each(single: &Path, packages: &BTreeMap<String, Package>, log: &Path) -> Result<()> {
    let all = packages.iter().collect::<Vec<_>>();
    let share = all.len().div_ceil(WORKERS).max(1);
    let count = std::sync::Mutex::new(Count::of("unpacked", all.len()));
    std::thread::scope(|scope| {
        let start = |part| {
            let count = &count;
            scope.spawn(move || unpack_some(single, part, log, count))
        };
        let threads = all.chunks(share).map(start).collect::<Vec<_>>();
        for thread in threads {
            match thread.join() {
                Ok(result) => result?,
                Err(_) => bail!("a thread that unpacks packages panicked"),
            }
        }
        Ok(())
    })
}

fn unpack_some(
    single: &Path,
    packages: &[(&String, &Package)],
    log: &Path,
    count: &std::sync::Mutex<Count>,
) -> Result<()> {
    for (name, package) in packages {
        Tool::new("dpkg-deb")
            .arg("--extract")
            .arg(&package.file)
            .arg(single.join(name))
            .log(log)?;
        if let Ok(mut count) = count.lock() {
            count.one_more();
        }
    }
    Ok(())
}

/// Moves /bin, /lib and their like into /usr.
fn fold(root: &Path) -> Result<()> {
    for top in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        let from = root.join(top);
        if from.is_symlink() {
            fs_err::remove_file(&from)?;
        } else if from.is_dir() {
            merge(&from, &root.join("usr").join(top))?;
        }
    }
    Ok(())
}

/// Moves a directory's content into another, which may exist.
fn merge(from: &Path, to: &Path) -> Result<()> {
    if !to.exists() {
        fs_err::create_dir_all(to.parent().context("a path without a directory")?)?;
        fs_err::rename(from, to)?;
        return Ok(());
    }
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            merge(&entry.path(), &target)?;
        } else if target.symlink_metadata().is_ok() {
            bail!("a package has {} twice, in / and in /usr", target.display());
        } else {
            fs_err::rename(entry.path(), &target)?;
        }
    }
    fs_err::remove_dir(from)?;
    Ok(())
}

fn make_links(name: &str, root: &Path) -> Result<()> {
    for (_, link, target) in tables::LINKS.iter().filter(|(package, ..)| *package == name) {
        let path = below(root, link);
        if path.symlink_metadata().is_err() {
            fs_err::create_dir_all(path.parent().context("a link without a directory")?)?;
            fs_err::os::unix::fs::symlink(target, &path)?;
        }
    }
    Ok(())
}

/// Moves one package's files into the tree and notes them.
struct Mover<'a> {
    name: &'a str,
    root: &'a Path,
    staged: &'a mut Staged,
    owners: &'a mut BTreeMap<String, String>,
    entries: Vec<Entry>,
}

impl Mover<'_> {
    fn directory(&mut self, path: &str) -> Result<()> {
        let mut inside = Vec::new();
        for entry in fs_err::read_dir(below(self.root, path))? {
            let entry = entry?;
            let name = entry.file_name().into_string();
            let name = name.map_err(|name| anyhow::anyhow!("{} has a file named {name:?}", self.name))?;
            inside.push((format!("{path}/{name}"), entry.file_type()?.is_dir()));
        }
        inside.sort();
        for (path, is_directory) in inside {
            if left_out(&path, is_directory) {
                continue;
            }
            if is_directory {
                self.own_directory(&path)?;
                self.directory(&path)?;
            } else {
                self.file(&path)?;
            }
        }
        Ok(())
    }

    fn own_directory(&mut self, path: &str) -> Result<()> {
        let target = below(&self.staged.tree, path);
        fs_err::create_dir_all(&target)?;
        if !tables::DIRECTORIES.contains(&path) {
            let mode = fs_err::metadata(below(self.root, path))?.permissions();
            fs_err::set_permissions(&target, mode)?;
            self.entries.push(Entry {
                path: path.to_owned(),
                is_directory: true,
            });
        }
        Ok(())
    }

    fn file(&mut self, path: &str) -> Result<()> {
        if let Some(other) = self.owners.insert(path.to_owned(), self.name.to_owned()) {
            bail!("{path} is in {other} and in {}", self.name);
        }
        let source = below(self.root, path);
        if is_library(path, &source)? {
            // RPM looks for what a library provides only where it may be executed; Debian's libraries may not.
            fs_err::set_permissions(&source, Permissions::from_mode(0o755))?;
            self.staged.with_libraries.insert(self.name.to_owned());
        }
        fs_err::rename(source, below(&self.staged.tree, path))?;
        self.entries.push(Entry {
            path: path.to_owned(),
            is_directory: false,
        });
        Ok(())
    }
}

fn left_out(path: &str, is_directory: bool) -> bool {
    let below = |dir: &str| {
        path.strip_prefix(dir)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if tables::REPLACED.contains(&path) || tables::LEFT_OUT.iter().any(|dir| below(dir)) {
        return true;
    }
    let Some(rest) = path
        .strip_prefix(tables::DOCUMENTATION)
        .and_then(|rest| rest.strip_prefix('/'))
    else {
        return false;
    };
    match rest.split_once('/') {
        None => !is_directory,
        Some((_, file)) => file != tables::LICENCE,
    }
}

fn is_library(path: &str, file: &Path) -> Result<bool> {
    if !path.contains(".so") || file.is_symlink() {
        return Ok(false);
    }
    let mut start = Vec::new();
    fs_err::File::open(file)?.take(4).read_to_end(&mut start)?;
    Ok(start == b"\x7fELF")
}

/// What the filesystem package owns.
fn make_filesystem(tree: &Path) -> Result<()> {
    for dir in tables::DIRECTORIES {
        let path = below(tree, dir);
        fs_err::create_dir_all(&path)?;
        let mode = tables::MODES
            .iter()
            .find(|(name, _)| name == dir)
            .map_or(0o755, |(_, mode)| *mode);
        fs_err::set_permissions(&path, Permissions::from_mode(mode))?;
    }
    for top in tables::FOLDED {
        fs_err::os::unix::fs::symlink(format!("usr/{top}"), tree.join(top))?;
    }
    for (path, text) in tables::FILES {
        let path = below(tree, path);
        fs_err::write(&path, text)?;
        fs_err::set_permissions(&path, Permissions::from_mode(0o644))?;
    }
    fs_err::os::unix::fs::symlink("../usr/lib/os-release", tree.join("etc/os-release"))?;
    Ok(())
}

/// An absolute path of the build root, in a tree.
fn below(tree: &Path, path: &str) -> PathBuf {
    tree.join(path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests;
