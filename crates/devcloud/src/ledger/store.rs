//! The ledger's files: the lock, `ledger.json` and `archive.jsonl`.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::State;
use crate::Error;

const LEDGER: &str = "ledger.json";
const LEDGER_NEW: &str = "ledger.json.new";
const ARCHIVE: &str = "archive.jsonl";
const LOCK: &str = "lock";

/// The files of one ledger, locked.
pub(super) struct Store {
    directory: PathBuf,
    /// Holds the lock of the directory; the kernel releases it with the descriptor, also after `kill -9`.
    _lock: File,
}

impl Store {
    pub(super) fn open(directory: &Path) -> Result<Self, Error> {
        fs_err::create_dir_all(directory).map_err(Error::file("make", directory))?;
        let path = directory.join(LOCK);
        let lock = options()
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::file("open", &path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                directory: directory.to_owned(),
                _lock: lock,
            }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::StateInUse {
                path: directory.to_owned(),
            }),
            Err(error) => Err(Error::file("lock", path)(error.into())),
        }
    }

    /// Reads the state, or makes and writes an empty one when the directory holds nothing.
    pub(super) fn read(&self) -> Result<State, Error> {
        let path = self.directory.join(LEDGER);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return self.begin(),
            Err(error) => return Err(Error::file("read", path)(error)),
        };
        let damaged = |reason: String| Error::CorruptLedger {
            path: path.clone(),
            reason,
        };
        let state: State = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        state.check().map_err(damaged)?;
        Ok(state)
    }

    fn begin(&self) -> Result<State, Error> {
        let failed = || Error::file("list", &self.directory);
        for entry in std::fs::read_dir(&self.directory).map_err(failed())? {
            let name = entry
                .map_err(failed())?
                .file_name()
                .to_string_lossy()
                .into_owned();
            if ![LOCK, LEDGER_NEW].contains(&name.as_str()) {
                return Err(Error::MissingLedger {
                    path: self.directory.clone(),
                    found: name,
                });
            }
        }
        let state = State::new().map_err(|error| Error::LedgerWrite(io::Error::other(error).into()))?;
        self.write(&state, &state)
            .map_err(Error::file("write", self.directory.join(LEDGER)))?;
        Ok(state)
    }

    /// Writes `after` in place of `before`. What `before` has and `after` has not goes to the archive first: a
    /// crash between the two leaves it in both, never in none.
    pub(super) fn write(&self, before: &State, after: &State) -> io::Result<()> {
        let mut forgotten = Vec::new();
        for (id, instance) in &before.instances {
            if !after.instances.contains_key(id) {
                serde_json::to_writer(&mut forgotten, &**instance)?;
                forgotten.push(b'\n');
            }
        }
        if !forgotten.is_empty() {
            let mut archive = options().append(true).open(self.directory.join(ARCHIVE))?;
            archive.write_all(&forgotten)?;
            archive.sync_data()?;
        }
        let new = self.directory.join(LEDGER_NEW);
        let mut text = serde_json::to_vec_pretty(after)?;
        text.push(b'\n');
        let mut file = options().write(true).truncate(true).open(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&new, self.directory.join(LEDGER))?;
        File::open(&self.directory)?.sync_all()
    }
}

/// Options for files that only the owner may read: user data and launch tokens are in them.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).mode(0o600);
    options
}
