//! Opening what strangers name, without leaving the directory that they may see.
//!
//! The path is walked one name at a time, each opened relative to the directory before and never through a
//! link, so that neither `..` nor a link that a builder smuggled in leads anywhere. One link is known and
//! followed, by the same rules: `repodata`, with which the publisher switches from one state to the next.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags, open, openat, readlinkat},
    io::Errno,
};

/// The one link that may be followed.
const REPODATA: &str = "repodata";

/// Where the link leads: a directory of that name.
const SNAPSHOTS: &str = ".snapshots";

/// The longest path that is looked at.
const MAX_COMPONENTS: usize = 16;

/// Opens what lies at `components` below `root`; `NotFound` for whatever may not be seen.
pub(crate) fn open_beneath(root: &Path, components: &[String]) -> io::Result<File> {
    if components.len() > MAX_COMPONENTS {
        return Err(not_found());
    }
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut here: OwnedFd = open(root, directory, Mode::empty())?;
    for name in components {
        if !is_plain(name) {
            return Err(not_found());
        }
        here = match open_entry(&here, OsStr::new(name)) {
            Ok(next) => next,
            Err(Errno::LOOP | Errno::NOTDIR | Errno::MLINK) if name == REPODATA => follow(&here)?,
            Err(error) => return Err(unseen(error)),
        };
    }
    Ok(File::from(here))
}

/// A name that is one step down and nothing else.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

fn open_entry(directory: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    // Not waiting: a pipe in the place of a file must not hold us.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::empty())
}

/// Follows the link `repodata`, if it leads to a snapshot beside it.
fn follow(directory: &OwnedFd) -> io::Result<OwnedFd> {
    let target = readlinkat(directory, REPODATA, Vec::new()).map_err(unseen)?;
    let target = OsStr::from_bytes(target.to_bytes())
        .to_str()
        .ok_or_else(not_found)?
        .to_owned();
    match target.split('/').collect::<Vec<_>>().as_slice() {
        [SNAPSHOTS, number] if is_plain(number) => {
            let snapshots = open_entry(directory, OsStr::new(SNAPSHOTS)).map_err(unseen)?;
            open_entry(&snapshots, OsStr::new(number)).map_err(unseen)
        }
        _ => Err(not_found()),
    }
}

/// What an error of the system means to a stranger: whatever a path can be wrong in is nothing that he may see; the rest is the
/// farm's own trouble.
fn unseen(error: Errno) -> io::Error {
    match error {
        Errno::LOOP | Errno::MLINK | Errno::NOTDIR | Errno::INVAL | Errno::NXIO | Errno::NAMETOOLONG => {
            not_found()
        }
        error => error.into(),
    }
}

fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{ErrorKind, Read as _},
        os::unix::fs::symlink,
    };

    use super::open_beneath;

    fn read(root: &std::path::Path, path: &[&str]) -> Result<String, ErrorKind> {
        let components: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        let mut text = String::new();
        let mut file = open_beneath(root, &components).map_err(|error| error.kind())?;
        file.read_to_string(&mut text).map_err(|error| error.kind())?;
        Ok(text)
    }

    #[test]
    fn only_the_publishers_link_is_followed() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "secret").unwrap();
        let root = tempfile::tempdir().unwrap();
        let chroot = root.path().join("a/p/c");
        std::fs::create_dir_all(chroot.join(".snapshots/00000001")).unwrap();
        std::fs::write(chroot.join(".snapshots/00000001/repomd.xml"), "one").unwrap();
        std::fs::write(chroot.join("plain"), "plain").unwrap();
        symlink(".snapshots/00000001", chroot.join("repodata")).unwrap();
        symlink(outside.path(), chroot.join("out")).unwrap();
        symlink(outside.path().join("secret"), chroot.join("file")).unwrap();
        std::fs::create_dir_all(root.path().join("a/p/d")).unwrap();
        symlink(outside.path(), root.path().join("a/p/d/repodata")).unwrap();
        symlink("../../../../../etc", root.path().join("a/p/repodata")).unwrap();
        std::fs::create_dir_all(root.path().join("a/p/gone")).unwrap();
        symlink(".snapshots/00000002", root.path().join("a/p/gone/repodata")).unwrap();
        std::fs::create_dir_all(root.path().join("a/p/e")).unwrap();
        std::fs::write(root.path().join("a/p/e/repodata"), "a file").unwrap();

        let at = root.path();
        for (path, text) in [
            (&["a", "p", "c", "plain"][..], "plain"),
            (&["a", "p", "c", "repodata", "repomd.xml"], "one"),
            (&["a", "p", "e", "repodata"], "a file"),
        ] {
            assert_eq!(read(at, path).as_deref(), Ok(text), "{path:?}");
        }
        let long = "x".repeat(256);
        for path in [
            &["a", "p", "c", "out", "secret"][..],
            &["a", "p", "c", "file"],
            &["a", "p", "d", "repodata", "secret"],
            &["a", "p", "repodata", "passwd"],
            &["a", "..", "a", "p", "c", "plain"],
            &["a/p/c/plain"],
            &["a", "p", "c", "plain", "x"],
            &["", "a"],
            &["a\0"],
            &["a", "p", "c", "plain", "repodata"],
            &["a", "p", "c", "plain", "repodata", "repomd.xml"],
            &["a", "p", "c", "repodata", "repomd.xml", "repodata", "repomd.xml"],
            &["a", "p", "e", "repodata", "repodata"],
            &["a", "p", "e", "repodata", "x"],
            &["a", "p", "gone", "repodata", "repomd.xml"],
            &["a", &long, "repodata"],
            &["a", "p", "c", &long],
        ] {
            // Any other kind would be told as the farm's own fault, with status 500.
            assert_eq!(read(at, path), Err(ErrorKind::NotFound), "{path:?}");
        }
    }
}
