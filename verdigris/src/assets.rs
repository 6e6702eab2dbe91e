//! The playbooks and the files for builders that the program carries in itself, for farms that bring none of
//! their own. The build script gathers them.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use include_dir::{Dir, include_dir};
use runtime::settings::FleetSettings;
use sha2::{Digest as _, Sha256};

static PLAYBOOKS: Dir<'_> = include_dir!("$OUT_DIR/assets/playbooks");
static PROVISION_FILES: Dir<'_> = include_dir!("$OUT_DIR/assets/provision-files");

/// The directories of playbooks and provision-files: those in the settings, or the built-in ones, written
/// below `directory` under their digest.
pub(crate) fn directories(settings: &FleetSettings, directory: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let playbooks = match &settings.playbooks {
        Some(path) => path.clone(),
        None => unpack(&PLAYBOOKS, &directory.join("playbooks"))?,
    };
    let files = match &settings.provision_files {
        Some(path) => path.clone(),
        None => unpack(&PROVISION_FILES, &directory.join("provision-files"))?,
    };
    Ok((playbooks, files))
}

/// Writes a built-in directory, complete or not at all.
fn unpack(built_in: &Dir<'_>, parent: &Path) -> anyhow::Result<PathBuf> {
    let mut digest = Sha256::new();
    hash(built_in, &mut digest);
    let name: String = hex::encode(digest.finalize()).chars().take(16).collect();
    let target = parent.join(name);
    if target.is_dir() {
        return Ok(target);
    }
    fs_err::create_dir_all(parent)?;
    let staged = tempfile::Builder::new().prefix(".unpack-").tempdir_in(parent)?;
    built_in
        .extract(staged.path())
        .with_context(|| format!("writing {}", target.display()))?;
    make_scripts_executable(built_in, staged.path())?;
    match fs_err::rename(staged.path(), &target) {
        Ok(()) => drop(staged.keep()),
        // Another process was quicker with the same content.
        Err(_) if target.is_dir() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(target)
}

/// The built-in files have no modes: what begins with `#!` is a program, and builders are given it as one.
fn make_scripts_executable(built_in: &Dir<'_>, directory: &Path) -> anyhow::Result<()> {
    for file in built_in.files().filter(|file| file.contents().starts_with(b"#!")) {
        fs_err::set_permissions(directory.join(file.path()), Permissions::from_mode(0o755))?;
    }
    built_in
        .dirs()
        .try_for_each(|inner| make_scripts_executable(inner, directory))
}

fn hash(directory: &Dir<'_>, digest: &mut Sha256) {
    for file in directory.files() {
        digest.update(file.path().to_string_lossy().as_bytes());
        digest.update([0]);
        digest.update(Sha256::digest(file.contents()));
    }
    for inner in directory.dirs() {
        hash(inner, digest);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        path::{Path, PathBuf},
    };

    use super::{Dir, PLAYBOOKS, PROVISION_FILES};

    fn embedded(directory: &Dir<'_>, found: &mut BTreeSet<PathBuf>) {
        found.extend(directory.files().map(|file| file.path().to_owned()));
        directory.dirs().for_each(|inner| embedded(inner, found));
    }

    /// The files below a directory of the sources, but for those of tests.
    fn sources(root: &Path, below: &Path, found: &mut BTreeSet<PathBuf>) {
        for entry in std::fs::read_dir(root.join(below)).unwrap() {
            let entry = entry.unwrap();
            let path = below.join(entry.file_name());
            if !entry.file_type().unwrap().is_dir() {
                found.insert(path);
            } else if !path.ends_with("tests") && !path.ends_with("__pycache__") {
                sources(root, &path, found);
            }
        }
    }

    #[test]
    fn everything_that_builders_are_given_is_carried_and_no_test() {
        for (name, directory) in [("playbooks", &PLAYBOOKS), ("provision-files", &PROVISION_FILES)] {
            let (mut carried, mut expected) = (BTreeSet::new(), BTreeSet::new());
            embedded(directory, &mut carried);
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
            sources(&root, Path::new(""), &mut expected);
            assert_eq!(carried, expected, "{name}");
            let of_tests = |path: &&PathBuf| path.components().any(|part| part.as_os_str() == "tests");
            assert_eq!(carried.iter().find(of_tests), None);
        }
    }
}
