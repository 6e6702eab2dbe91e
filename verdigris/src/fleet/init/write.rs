//! The fleet file is written as a whole, and over another one only when that is wanted.

use std::{
    fs::Permissions,
    io::{ErrorKind, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use anyhow::{Context as _, bail};

/// Writes the whole file or nothing: a controller may read it again at any moment.
pub(super) fn write(path: &Path, text: &str, may_replace: bool) -> anyhow::Result<()> {
    let shown = || path.display().to_string();
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut staged = tempfile::Builder::new()
        .prefix(".fleet-")
        .permissions(Permissions::from_mode(0o666)) // less what the umask takes
        .tempfile_in(folder)
        .with_context(shown)?;
    staged.write_all(text.as_bytes()).with_context(shown)?;
    staged.as_file().sync_all().with_context(shown)?;
    let placed = if may_replace {
        if let Ok(old) = path.metadata() {
            staged
                .as_file()
                .set_permissions(old.permissions())
                .with_context(shown)?;
        }
        staged.persist(path)
    } else {
        staged.persist_noclobber(path)
    };
    match placed {
        Ok(_) => Ok(()),
        Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => bail!(
            "{} is there already; --force writes over it, and its `fleet` is then another one",
            shown()
        ),
        Err(failed) => Err(failed.error).with_context(shown),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path};

    use super::{Permissions, write};

    #[test]
    fn a_file_that_is_there_is_written_over_only_when_that_is_wanted() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("fleet.yaml");
        write(&file, "first, and longer\n", false).unwrap();
        let said = write(&file, "second\n", false).unwrap_err().to_string();
        assert!(
            said.contains("fleet.yaml is there already; --force writes over it"),
            "{said}"
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), "first, and longer\n");
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let before = fs::File::open(&file).unwrap();
        write(&file, "second\n", true).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "second\n");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o640);
        let read = io::read_to_string(before).unwrap();
        assert_eq!(read, "first, and longer\n", "one of the two, whole");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let said = format!("{:#}", write(Path::new("/nowhere/f"), "", true).unwrap_err());
        assert!(said.starts_with("/nowhere/f: "), "{said}");
    }
}
