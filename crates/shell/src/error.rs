//! What can go wrong with a builder over SSH, sorted by what the caller does about it.

use std::time::Duration;

use crate::event::Exit;

/// The underlying error of another library, kept for the log.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a connection could not be opened, or something on it did not succeed.
///
/// [`Error::is_worth_retrying`] sums up the choice most callers have to make.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers at the endpoint, or not in time: a machine that still boots looks like this. Retry later.
    #[error("{endpoint} cannot be reached: {stage} failed")]
    Unreachable {
        /// Who was called, as `user@host:port`.
        endpoint: String,
        /// How far it went: TCP connection, key exchange, authentication.
        stage: &'static str,
        /// What the system or the protocol library said.
        #[source]
        cause: Cause,
    },
    /// Another machine answers, or one that was made anew. Never retry; the address no longer belongs to the builder.
    #[error("{endpoint} shows the host key {got}, expected {expected}")]
    HostKeyMismatch {
        /// Who was called, as `user@host:port`.
        endpoint: String,
        /// The fingerprint that was expected.
        expected: String,
        /// The fingerprint of the key that was shown.
        got: String,
    },
    /// The machine is the right one, but does not accept our key for this user.
    #[error("{endpoint} refuses the key {fingerprint}")]
    AuthenticationRefused {
        /// Who was called, as `user@host:port`.
        endpoint: String,
        /// The fingerprint of the key that was offered.
        fingerprint: String,
    },
    /// The connection ended before the work did: the command may still be running over there, or never have run.
    #[error("the connection was lost during {what}, {bytes_received} bytes received: {why}")]
    Lost {
        /// The command or transfer.
        what: String,
        /// How much output had come until then.
        bytes_received: u64,
        /// The reason, as far as it is known.
        why: String,
    },
    /// The deadline of one operation passed. The remote process may go on.
    #[error("{what} did not end within {limit:?} ({bytes_received} bytes received)")]
    Timeout {
        /// The command or transfer.
        what: String,
        /// The deadline that was given.
        limit: Duration,
        /// How much output had come until then.
        bytes_received: u64,
    },
    /// The server is there but does not open another channel or does not start commands (`MaxSessions`, a
    /// forced command). Retry with fewer at once.
    #[error("the server refuses {what}: {why}")]
    Refused {
        /// What was asked for.
        what: String,
        /// The server's reason.
        why: String,
    },
    /// The peer does not speak SSH as we do. Retrying changes nothing.
    #[error("{what} failed in the SSH protocol")]
    Protocol {
        /// What was being done.
        what: String,
        /// The protocol library's error.
        #[source]
        cause: Cause,
    },
    /// The remote command of a transfer, or one that had to succeed, did not.
    #[error("{what} failed on the builder ({exit}): {stderr}")]
    Failed {
        /// The command or transfer.
        what: String,
        /// How it ended.
        exit: Exit,
        /// The end of what it wrote to standard error, at most 2000 characters.
        stderr: String,
    },
    /// A file is larger than the caller permits.
    #[error("{path} has {size} bytes, more than the {limit} permitted")]
    TooLarge {
        /// The remote file.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// What arrived is not what was sent.
    #[error("{path} arrived damaged: {why}")]
    Damaged {
        /// The remote file.
        path: String,
        /// Which check failed.
        why: String,
    },
    /// Our own side of a transfer failed: the source could not be read or the target not written.
    #[error("the local side of {what} failed")]
    Local {
        /// The command or transfer.
        what: String,
        /// The system's error.
        #[source]
        cause: std::io::Error,
    },
    /// The caller gave something that cannot be sent: a key that is none, an argument with a NUL.
    #[error("{what} is not usable: {why}")]
    Invalid {
        /// Which value.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Error {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_worth_retrying(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Lost { .. } | Self::Timeout { .. } | Self::Refused { .. }
        )
    }
}

#[cfg(test)]
mod tests;
