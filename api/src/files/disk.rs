//! How much room there is, and whether a rename will work.

use std::{io, os::unix::fs::MetadataExt as _, path::Path};

use crate::http::error::Error;

/// Bytes that are free for us on the file system of `path`.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let statistics = rustix::fs::statvfs(path)?;
    Ok(statistics.f_bavail.saturating_mul(statistics.f_frsize))
}

/// Refuses two directories between which a file cannot be renamed.
pub(crate) fn same_file_system(spool: &Path, sources: &Path) -> Result<(), Error> {
    let device = |path: &Path| {
        fs_err::metadata(path)
            .map(|metadata| metadata.dev())
            .map_err(|source| Error::Directory {
                path: path.display().to_string(),
                source,
            })
    };
    if device(spool)? == device(sources)? {
        return Ok(());
    }
    Err(Error::DifferentFileSystems {
        spool: spool.display().to_string(),
        sources: sources.display().to_string(),
    })
}
