//! What can go wrong in starting and keeping the cloud. Errors that a client of the API sees are
//! `api::error::ApiError`; these are the operator's.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

/// An error of the cloud as its operator meets it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another devcloud holds the lock of this state directory.
    #[error("the state directory {} is in use by another devcloud", path.display())]
    StateInUse {
        /// The state directory.
        path: PathBuf,
    },
    /// The ledger is there and is not what this program writes. Nothing was changed.
    #[error("the ledger {} is damaged: {reason}", path.display())]
    CorruptLedger {
        /// The ledger's file.
        path: PathBuf,
        /// What is wrong, with line and column where they are known.
        reason: String,
    },
    /// The state directory holds things, but no ledger that lists them.
    #[error(
        "{} holds {found} but no ledger.json: put the ledger back, or empty the directory to begin anew",
        path.display()
    )]
    MissingLedger {
        /// The state directory.
        path: PathBuf,
        /// The name of one thing that was found.
        found: String,
    },
    /// The ledger could not be written; the change that asked for it did not happen.
    #[error("the ledger could not be written")]
    LedgerWrite(#[source] Arc<io::Error>),
    /// The cloud is ending and takes no more changes.
    #[error("the cloud is ending")]
    Ending,
    /// The hypervisor died and could not be brought back. Instances are in the ledger, and on their disks.
    #[error("the hypervisor died and could not be brought back: {reason}")]
    Lost {
        /// Why not.
        reason: String,
    },
    /// A setting has a value that cannot work.
    #[error("the setting `{name}` is wrong: {reason}")]
    Setting {
        /// The field of [`crate::CloudConfig`].
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// An image's directory or its `image.json` cannot be used.
    #[error("the image {} cannot be used: {reason}", path.display())]
    Image {
        /// The image's directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or directory could not be used.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// An address could not be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The port of public addresses cannot be listened on, whichever address is tried.
    #[error("cannot listen on {address}, so no instance could be reached: {reason}; choose another ssh_port")]
    PublicPort {
        /// The address that was tried.
        address: SocketAddr,
        /// What stands in the way.
        reason: String,
    },
    /// The hypervisor refused or failed.
    #[error("the hypervisor failed to {action}")]
    Machines {
        /// What was asked of it.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: crate::machines::MachineError,
    },
}

impl Error {
    /// Attaches the action and the path to an error of the file system.
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}

/// An error with its causes, in one line.
#[must_use]
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
