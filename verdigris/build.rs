//! Gathers what the program carries in itself: playbooks and provision-files, without what only their tests need.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// Directories that no builder is given.
const LEFT_OUT: [&str; 2] = ["tests", "__pycache__"];

fn main() -> io::Result<()> {
    let variable = |name: &str| {
        let value = env::var_os(name).ok_or_else(|| io::Error::other(format!("cargo sets no {name}")))?;
        Ok::<_, io::Error>(PathBuf::from(value))
    };
    let root = variable("CARGO_MANIFEST_DIR")?.join("..");
    let gathered = variable("OUT_DIR")?.join("assets");
    if gathered.exists() {
        fs::remove_dir_all(&gathered)?;
    }
    for name in ["playbooks", "provision-files"] {
        let from = root.join(name);
        println!("cargo::rerun-if-changed={}", from.display());
        copy(&from, &gathered.join(name))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if !entry.file_type()?.is_dir() {
            fs::copy(entry.path(), target)?;
        } else if !LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
            copy(&entry.path(), &target)?;
        }
    }
    Ok(())
}
