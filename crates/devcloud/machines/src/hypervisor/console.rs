//! What machines wrote to their consoles: files beside their disks, which outlive them.

use std::{
    io::{self, SeekFrom},
    path::PathBuf,
};

use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::{
    Error, Hypervisor,
    launch::{console_path, io_error},
};
use crate::machine::is_instance_id;

impl Hypervisor {
    /// The last bytes of what a machine wrote to its console, also after it was terminated; empty if nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchMachine`] for what is no instance id; [`Error::Io`].
    pub async fn console_output(&self, id: &str, max_bytes: usize) -> Result<Vec<u8>, Error> {
        let path = self.console(id)?;
        let read = async {
            let mut file = match tokio::fs::File::open(&path).await {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            };
            let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX);
            let length = file.metadata().await?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(limit))).await?;
            let mut bytes = Vec::new();
            file.take(limit).read_to_end(&mut bytes).await?;
            Ok(bytes)
        };
        read.await.map_err(io_error(&format!("read {}", path.display())))
    }

    /// Removes the console that a terminated machine left.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchMachine`] for what is no instance id; [`Error::Io`].
    pub async fn forget(&self, id: &str) -> Result<(), Error> {
        let path = self.console(id)?;
        match tokio::fs::remove_file(&path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error(&format!("remove {}", path.display()))(error))
            }
            _ => Ok(()),
        }
    }

    fn console(&self, id: &str) -> Result<PathBuf, Error> {
        if is_instance_id(id) {
            Ok(console_path(&self.inner.plan.state_dir, id))
        } else {
            Err(Error::NoSuchMachine { id: id.to_owned() })
        }
    }
}
