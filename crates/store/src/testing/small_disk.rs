//! A disk of a few megabytes for tests that fill it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::geteuid;

use super::{Error, system};

/// Says to a test's program that it runs in a namespace with such a disk, and where that is.
const PLACE: &str = "VERDIGRIS_TEST_SMALL_DISK";
/// Mounts a file system of `$2` bytes on `$1` and becomes the program that follows.
const MOUNT: &str = "mount -t tmpfs -o \"size=$2\" tmpfs \"$1\" && shift 2 && exec \"$@\"";

/// A file system in memory that is full after a few megabytes.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Runs `body` with a disk of so many bytes. It is mounted in a namespace of its own, which needs no privileges and
    /// leaves nothing behind; a program with threads cannot enter one, so that this runs the test named `test`, its own,
    /// once more in a new process there. SQLite follows links to a file's true name: no path from outside would do.
    ///
    /// # Errors
    /// [`Error::Failed`] where nothing may be mounted, and when the test failed there; with its output.
    pub fn run(test: &str, bytes: u64, body: impl FnOnce(Self)) -> Result<(), Error> {
        if let Some(path) = std::env::var_os(PLACE) {
            body(Self { path: path.into() });
            return Ok(());
        }
        let place = tempfile::tempdir().map_err(system("make a directory"))?;
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !geteuid().is_root() {
            command.args(["--user", "--map-root-user", "--map-auto"]);
        }
        let output = command
            .args(["--", "sh", "-c", MOUNT, "sh"])
            .arg(place.path())
            .arg(bytes.to_string())
            .arg(std::env::current_exe().map_err(system("find this program"))?)
            .args(["--exact", "--nocapture", test])
            .env(PLACE, place.path())
            .output()
            .map_err(system("start `unshare`"))?;
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        if output.status.success() && said[0].contains("1 passed") {
            return Ok(());
        }
        Err(Error::Failed {
            program: format!("{test} on a small disk"),
            output: said.join("\n"),
        })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes all that is left of it, until [`SmallDisk::free`].
    ///
    /// # Errors
    /// When writing fails for another reason than a full disk.
    pub fn fill(&self) -> io::Result<()> {
        let ballast = self.path.join("ballast");
        let mut file = OpenOptions::new().create(true).append(true).open(ballast)?;
        loop {
            match file.write_all(&[0; 4096]) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives back what [`SmallDisk::fill`] took.
    ///
    /// # Errors
    /// When the file cannot be emptied.
    pub fn free(&self) -> io::Result<()> {
        File::create(self.path.join("ballast"))?.set_len(0)
    }
}
