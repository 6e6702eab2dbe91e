//! The playbooks and the files for builders that the program carries in itself, for farms that bring none of
//! their own. The build script gathers them.

use std::{
    collections::BTreeSet,
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use include_dir::{Dir, include_dir};
use provisioner::Provisioner;
use runtime::settings::FleetSettings;

static PLAYBOOKS: Dir<'_> = include_dir!("$OUT_DIR/assets/playbooks");
static PROVISION_FILES: Dir<'_> = include_dir!("$OUT_DIR/assets/provision-files");

/// What makes machines builders: the playbooks and provision-files of the settings, or those built in. Of the playbooks those of
/// `ours` have to be what our own runner understands; all, if there is no such set.
///
/// What is built in is unpacked to be read, and not kept: the farm's directory may be another user's, and a command that only
/// reads writes nothing there.
pub(crate) fn provisioner(
    settings: &FleetSettings,
    ours: Option<&BTreeSet<String>>,
) -> anyhow::Result<Provisioner> {
    let scratch = tempfile::tempdir()?;
    let playbooks = match &settings.playbooks {
        Some(path) => path.clone(),
        None => unpack(&PLAYBOOKS, scratch.path().join("playbooks"))?,
    };
    let files = match &settings.provision_files {
        Some(path) => path.clone(),
        None => unpack(&PROVISION_FILES, scratch.path().join("provision-files"))?,
    };
    Provisioner::load_beside_ansible(&playbooks, &files, ours)
        .context("loading playbooks and provision-files")
}

fn unpack(built_in: &Dir<'_>, target: PathBuf) -> anyhow::Result<PathBuf> {
    fs_err::create_dir(&target)?;
    built_in
        .extract(&target)
        .with_context(|| format!("writing {}", target.display()))?;
    make_scripts_executable(built_in, &target)?;
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
