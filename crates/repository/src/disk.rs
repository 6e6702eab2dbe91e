//! The few steps on disk that everything durable here is made of: write and sync, rename, sync the directory.

use std::{
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use fs_err::File;
use rustix::fs::OFlags;

use crate::{Error, Result};

/// Opens an existing regular file for reading. Never follows a link in the last component, never waits on a
/// pipe, and refuses whatever is not a regular file.
pub(crate) fn open_regular(path: &Path) -> Result<File> {
    // The bits are few and positive; `custom_flags` only has the type of the C library.
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits()).unwrap_or(0);
    let mut options = std::fs::OpenOptions::new();
    options.read(true).custom_flags(flags);
    let file = match options.open(path) {
        Ok(file) => File::from_parts(file, path),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(Error::NotARegularFile {
                file: path.to_owned(),
            });
        }
        Err(error) => {
            return Err(
                io::Error::new(error.kind(), format!("cannot open `{}`: {error}", path.display())).into(),
            );
        }
    };
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(Error::NotARegularFile {
            file: path.to_owned(),
        })
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    // The parent of a bare file name is empty, and means the current directory.
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)?.sync_all()?;
    Ok(())
}

/// Writes a new file and makes its content durable; the caller syncs the directory.
pub(crate) fn write_synced(path: &Path, content: &[u8]) -> Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    Ok(())
}

/// Replaces a file by new content in one step: a reader sees the old text or the new, also after a crash.
pub(crate) fn replace_file(path: &Path, content: &[u8]) -> Result<()> {
    let Some(parent) = path.parent() else {
        return Err(io::Error::other(format!("`{}` has no directory", path.display())).into());
    };
    // A name of its own: two may replace the same file at once, as two repositories of a project its key.
    let mut temporary = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(parent)?;
    temporary.write_all(content)?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|failed| failed.error)?;
    sync_directory(parent)
}

/// Removes a file or a directory with all in it; that it is gone already is fine.
pub(crate) fn remove_any(path: &Path) -> Result<()> {
    let removed = match fs_err::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs_err::remove_dir_all(path),
        Ok(_) => fs_err::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io, os::unix::fs::PermissionsExt as _};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::{open_regular, remove_any, replace_file, write_synced};
    use crate::Error;

    #[test]
    fn only_a_regular_file_is_opened_and_nothing_else_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("file"), "text").unwrap();
        fs::create_dir(at("directory")).unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        std::os::unix::fs::symlink(at("nowhere"), at("dangling")).unwrap();
        // Without a writer, opening it would never end.
        mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(
            io::read_to_string(open_regular(&at("file")).unwrap()).unwrap(),
            "text"
        );
        for odd in ["directory", "link", "dangling", "pipe"] {
            let refused = open_regular(&at(odd)).unwrap_err();
            assert!(
                matches!(&refused, Error::NotARegularFile { .. }),
                "{odd}: {refused}"
            );
        }
        let missing = open_regular(&at("missing")).unwrap_err();
        assert!(
            matches!(&missing, Error::Io(error) if error.kind() == io::ErrorKind::NotFound),
            "{missing}"
        );
        assert!(missing.to_string().contains("missing"), "{missing}");
    }

    #[test]
    fn a_file_is_replaced_whole_readable_by_all_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pubkey.gpg");
        for text in ["first", "second"] {
            replace_file(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        // A reader that has the old one goes on with it.
        let held = fs::File::open(&path).unwrap();
        replace_file(&path, b"third").unwrap();
        assert_eq!(io::read_to_string(held).unwrap(), "second");
        assert!(replace_file(&directory.path().join("no/such/place"), b"").is_err());
    }

    #[test]
    fn what_is_removed_is_gone_with_all_in_it_and_may_have_been_gone() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir_all(at("tree/below")).unwrap();
        write_synced(&at("tree/below/file"), b"text").unwrap();
        write_synced(&at("kept"), b"text").unwrap();
        std::os::unix::fs::symlink(at("kept"), at("link")).unwrap();
        for name in ["tree", "link", "never"] {
            remove_any(&at(name)).unwrap();
            assert!(fs::symlink_metadata(at(name)).is_err(), "{name}");
        }
        // Of a link, the link.
        assert_eq!(fs::read_to_string(at("kept")).unwrap(), "text");
    }
}
